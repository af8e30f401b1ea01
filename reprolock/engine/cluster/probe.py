"""Asks a cluster's executors, in a short session of its own, which Python, packages and Java they run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reprolock.engine.session_script import ask_script
from reprolock.errors import ServiceError
from reprolock.model.record import ExecutorRecord

PATIENCE_SECONDS = 300
"""How long a cluster may take until it has given an executor and run two small jobs."""
_SCRIPT = Path(__file__).with_name("probe_task.py")


def probe_executors(
    master: str, *, python: Path, environ: Mapping[str, str], folder: Path
) -> tuple[ExecutorRecord, ...]:
    """What the executors of `master` run, a record for each combination; most clusters have one.

    `python` and `environ` are the command's. ServiceError (exit 5) where no executor starts or Python does not run there.
    """
    found, _ = ask_script(
        [_SCRIPT],
        python=python,
        environ=environ,
        folder=folder,
        during="executors were asked",
        timeout_seconds=PATIENCE_SECONDS,
    )
    if found is None:
        raise ServiceError(
            f"{master} gave no executor within {PATIENCE_SECONDS} s",
            hint="are its workers running, and do they have cores and memory to spare? the master's page shows them",
        )
    if isinstance(found, dict):
        raise ServiceError(
            f"the executors of {master} do not run the command's Python: {found['error']}",
            hint="each worker needs a Python of the locked feature version on PATH, and must reach this machine",
        )
    return tuple(ExecutorRecord.model_validate(item) for item in found)
