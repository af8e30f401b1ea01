"""What a run on a cluster needs before it starts: no output or input that executors cannot see, and a master that answers."""

from __future__ import annotations

import socket
from pathlib import Path

from reprolock.engine.cluster.settings import master_address
from reprolock.errors import ServiceError, UsageError
from reprolock.model.spec import Spec
from reprolock.model.spec_spark import SparkSpec

_CONNECT_SECONDS = 10
_HINTS = {
    False: 'publish outputs to the lake, or name a folder that executors see too: shared = ["/mnt/…"] in [spark]',
    True: "replay in a folder that spark.shared names, or on this machine alone: `reprolock replay --master 'local[*]'`",
}


def check_cluster(root: Path, spec: Spec, *, replay: bool = False) -> None:
    """UsageError for what only this machine's disk has; ServiceError where a standalone master does not answer.

    `root` is the folder that outputs and local trees stand in. A local master passes. A `replay` publishes nothing, so
    its outputs are written to their paths.
    """
    if spec.spark is None or not spec.spark.has_cluster:
        return
    problems = [*_outputs(spec, spec.spark, root, replay), *_inputs(spec, spec.spark, root)]
    if problems:
        raise UsageError(
            f"spark.{'remote' if spec.spark.remote else 'master'} is {spec.spark.address}, whose executors do not see this machine's disk",
            problems=tuple(problems),
            hint=_HINTS[replay],
        )
    if spec.spark.remote and spec.run.undeclared_reads == "error":
        raise UsageError(
            f'run.undeclared_reads is "error", and what the Spark Connect server {spec.spark.remote} reads is not observed',
            hint='write undeclared_reads = "warn", or use a master',
        )
    check_answers(spec.spark)


def _outputs(spec: Spec, spark: SparkSpec, root: Path, replay: bool) -> list[str]:
    """A JSON document is written by the driver; anything else may be Spark's."""
    return [
        f"outputs.{name}.path is {output.path}, which each executor would write to a disk of its own"
        for name, output in spec.outputs.items()
        if output.compare != "json" and (replay or name not in spec.published) and not spark.sees(root / output.path)
    ]


def _inputs(spec: Spec, spark: SparkSpec, root: Path) -> list[str]:
    if spark.sees(root):
        return []
    if spec.lake.kind == "git" and spec.datasets:
        return [f"lake.endpoint is {spec.lake.endpoint}: an embedded lake is read from this machine's disk"]
    asked = " ".join((*spec.run.command, *spec.run.env.values()))
    return [
        f"run.command asks for {{datasets.{name}.path}}, a folder of this machine; executors read {{datasets.{name}.url}}"
        for name in spec.datasets
        if f"{{datasets.{name}.path}}" in asked
    ]


def check_answers(spark: SparkSpec) -> None:
    """ServiceError where nothing answers at the address of a standalone master or a Connect server."""
    address = master_address(spark)
    if address is None:
        return  # Spark alone knows how other masters are reached
    try:
        socket.create_connection(address, timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        what, key = ("Spark Connect server", "remote") if spark.remote else ("Spark master", "master")
        raise ServiceError(
            f"no answer from the {what} at {spark.address}: {reason}", hint=f"is it running? spark.{key} names it"
        ) from None
