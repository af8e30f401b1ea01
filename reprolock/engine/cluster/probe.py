"""Asks a cluster's executors, in a short session of its own, which Python, packages and Java they run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from reprolock.engine.process import execute
from reprolock.errors import Interrupted, ServiceError
from reprolock.files.os_errors import cannot_write
from reprolock.model.record import ExecutorRecord

PATIENCE_SECONDS = 300
"""How long a cluster may take until it has given an executor and run two small jobs."""
_SCRIPT = "probe_task.py"


def probe_executors(
    master: str, *, python: Path, environ: Mapping[str, str], folder: Path
) -> tuple[ExecutorRecord, ...]:
    """What the executors of `master` run, a record for each combination; most clusters have one.

    `python` and `environ` are the command's. ServiceError (exit 5) where no executor starts or Python does not run there.
    """
    try:
        with TemporaryDirectory(prefix="probe-", dir=folder, ignore_cleanup_errors=True) as name:
            answer = _run(Path(name), master, python, environ)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return tuple(ExecutorRecord.model_validate(item) for item in answer)


def _run(scratch: Path, master: str, python: Path, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    shutil.copy(Path(__file__).with_name(_SCRIPT), scratch / _SCRIPT)
    answer = scratch / "answer.json"
    ending = execute(
        [str(python), _SCRIPT, answer.name, "spark.log"],
        cwd=scratch,
        environ=environ,
        timeout_seconds=PATIENCE_SECONDS,
        clock=lambda: datetime.now(UTC),
    )
    if ending.status == "KILLED" and ending.signal is not None:
        raise Interrupted(f"interrupted ({ending.reason}) while executors were asked", signal_number=ending.signal)
    if not answer.exists():
        raise ServiceError(
            f"{master} gave no executor within {PATIENCE_SECONDS} s",
            hint="are its workers running, and do they have cores and memory to spare? the master's page shows them",
        )
    found = json.loads(answer.read_text("utf-8"))
    if isinstance(found, dict):
        raise ServiceError(
            f"the executors of {master} do not run the command's Python: {found['error']}",
            hint="each worker needs a Python of the locked feature version on PATH, and must reach this machine",
        )
    return list(found)
