"""Records of the runs that were made in this folder, as `.reprolock/runs/<id>/record.json` keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from reprolock.files.atomic_write import OWN_FOLDER
from reprolock.model.record import Record
from reprolock.tracker.protocol import RECORD

_SHORTEST = 4
REPLAYS = "replays"
"""Where the folders of replays stand, in `.reprolock`."""


def runs_folder(root: Path) -> Path:
    """Where the folders of runs stand."""
    return root / OWN_FOLDER / "runs"


def local_record(root: Path, run: str) -> Record | None:
    """The record of the one run here whose ID begins so; None where there is none, or more than one."""
    if len(run) < _SHORTEST or not run.isalnum():
        return None
    found = list(runs_folder(root).glob(f"{run}*/{RECORD}"))
    return read_record(found[0]) if len(found) == 1 else None


def latest(root: Path) -> Record | None:
    """The record of the run here that was started last."""
    return next(local_records(root), None)


def local_records(root: Path) -> Iterator[Record]:
    """The records of the runs here, the newest first; each is read when it is asked for."""
    for path in sorted(runs_folder(root).glob(f"*/{RECORD}"), key=lambda path: path.stat().st_mtime, reverse=True):
        if record := read_record(path):
            yield record


def read_record(path: Path) -> Record | None:
    """The record in a file; None where there is none or it is damaged: MLflow has it too."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
