"""Ask a cluster's executors, in a short session, which Python, packages and Java they run; ask a Connect server for its version and jars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from reprolock.engine.cluster.settings import WAITING
from reprolock.engine.session_script import ask_script
from reprolock.errors import ServiceError
from reprolock.model.record import ExecutorRecord, ServerRecord
from reprolock.model.spec_spark import is_connect

_SCRIPT = Path(__file__).with_name("probe_task.py")


class Probed(NamedTuple):
    """What executors run, a record for each combination; most clusters have one. `server` is None for a master.

    `refused` are settings of the run's that a server's sessions do not have: name → the value there, None for none.
    """

    executors: tuple[ExecutorRecord, ...] = ()
    server: ServerRecord | None = None
    refused: Mapping[str, str | None] = {}


def probe_cluster(
    master: str, version: str, *, python: Path, environ: Mapping[str, str], folder: Path, patience_seconds: int
) -> Probed:
    """What `master` runs, which may be the address of a Connect server; one of another Spark than `version` is asked no more.

    `python` and `environ` are the command's; `patience_seconds` is how long the cluster may take until it has given an executor
    and run two small jobs. ServiceError (exit 5) where no executor starts or Python does not run there.
    """
    found, _ = ask_script(
        [_SCRIPT],
        python=python,
        environ=environ,
        folder=folder,
        during="executors were asked",
        tasks=version,
        timeout_seconds=patience_seconds,
    )
    if found is None:
        raise ServiceError(
            f"{master} gave no executor within {patience_seconds} s",
            hint="are its workers running, and do they have cores and memory to spare? the master's page shows them",
            owner_hint=f"{WAITING} in [spark] conf gives them longer",
        )
    if "error" in found:
        if is_connect(master):
            raise ServiceError(
                f"the Spark Connect server {master} does not run the command's Python: {found['error']}",
                hint="its executors need a Python of the locked feature version on PATH; the server's log says more",
            )
        raise ServiceError(
            f"the executors of {master} do not run the command's Python: {found['error']}",
            hint="each worker needs a Python of the locked feature version on PATH, and must reach this machine",
        )
    executors = tuple(ExecutorRecord.model_validate(item) for item in found["executors"])
    if (server := found["server"]) is None:
        return Probed(executors)
    refused = server.pop("settings")
    return Probed(executors, ServerRecord(**server | {"jars": tuple(server["jars"])}), refused)
