"""What a run on a Spark Connect server needs: its client among the packages, a server of the Spark that is locked."""

from __future__ import annotations

from reprolock.engine.cluster.probe import Probed
from reprolock.errors import PinError, UsageError
from reprolock.model.record import EnvironmentRecord
from reprolock.model.spec import Spec
from reprolock.model.workspace import SparkPlan
from reprolock.parts import install_hint


def check_client(spec: Spec, environment: EnvironmentRecord) -> None:
    """UsageError where the command's Python lacks what pyspark speaks to a Connect server with."""
    if spec.spark is None or spec.spark.remote is None or "grpcio" in environment.packages:
        return
    hint = (
        'write "pyspark[connect]==…" in environment.packages, and run `reprolock lock`'
        if environment.isolated
        else install_hint("connect")
    )
    raise UsageError(
        f"spark.remote is {spec.spark.remote}, and the command's Python lacks grpcio, which Spark Connect needs",
        hint=hint,
    )


def check_server(spec: Spec, plan: SparkPlan | None, probed: Probed) -> None:
    """PinError (exit 4) for a server of another Spark than what is locked or declared, or whose settings are others."""
    if spec.spark is None or plan is None or probed.server is None:
        return
    wanted, found = spec.spark.server or plan.version, probed.server.version
    if found != wanted:
        said = "spark.server says" if spec.spark.server else "pyspark is locked at"
        raise PinError(
            f"the Spark Connect server {plan.master} runs Spark {found}, and {said} {wanted}",
            hint="use a server of that version",
            owner_hint=f'lock pyspark {found}, or declare it: server = "{found}" in [spark]',
        )
    if probed.refused:
        raise PinError(
            f"sessions of the Spark Connect server {plan.master} do not take the settings of this run",
            problems=tuple(
                f"{name} is {_quoted(there)} there, and {_quoted(plan.conf.get(name))} is needed"
                if name.startswith("spark.")
                else f"{name} is not taken"
                for name, there in sorted(probed.refused.items())
            ),
            hint="start the server with them",
            owner_hint="or declare in [spark] conf what the server has",
        )


def _quoted(value: str | None) -> str:
    return "not set" if value is None else f'"{value}"'
