"""Run a script of reprolock's own on the command's Python, and read what it answers.

The script runs as a copy in an empty folder: what stands beside a script is what Python imports first.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from reprolock.engine.process import execute
from reprolock.errors import Interrupted
from reprolock.files.os_errors import cannot_write

_TASKS = "tasks.json"
_ANSWER = "answer.json"
_LOG = "spark.log"


class Answer(NamedTuple):
    """What the script wrote, as JSON gives it; None where it wrote nothing, and then `reason` says how it ended."""

    value: Any
    reason: str


def ask_script(
    scripts: Sequence[Path],
    *,
    python: Path,
    environ: Mapping[str, str],
    folder: Path,
    during: str,
    tasks: Any = None,
    timeout_seconds: int | None = None,
) -> Answer:
    """Run the first of `scripts`, the others beside it, as `python SCRIPT [tasks.json] answer.json spark.log`.

    `folder` holds the copies for the time being. Interrupted on a signal, with `during` as what was going on; MachineError
    where `folder` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="script-", dir=folder, ignore_cleanup_errors=True) as name:
            scratch = Path(name)
            for script in scripts:
                shutil.copy(script, scratch / script.name)
            files = [_ANSWER, _LOG]
            if tasks is not None:
                (scratch / _TASKS).write_text(json.dumps(tasks), "utf-8")
                files.insert(0, _TASKS)
            ending = execute(
                [str(python), scripts[0].name, *files],
                cwd=scratch,
                environ=environ,
                timeout_seconds=timeout_seconds,
                clock=lambda: datetime.now(UTC),
            )
            if ending.status == "KILLED" and ending.signal is not None:
                raise Interrupted(f"interrupted ({ending.reason}) while {during}", signal_number=ending.signal)
            answer = scratch / _ANSWER
            return Answer(json.loads(answer.read_text("utf-8")) if answer.exists() else None, ending.reason or "")
    except OSError as error:
        raise cannot_write(Path(error.filename or folder), error) from error
