"""Records of the runs that were made in this folder, as `.reprolock/runs/<id>/record.json` keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from reprolock.files.outputs import measure
from reprolock.files.whole import own_folder, write_whole
from reprolock.model.record import Digests, Record
from reprolock.tracker.protocol import RECORD

_SHORTEST = 4


def runs_folder(root: Path) -> Path:
    """Where the folders of runs stand."""
    return root / ".reprolock" / "runs"


def local_record(root: Path, run: str) -> Record | None:
    """The record of the one run here whose ID begins so; None where there is none, or more than one."""
    if len(run) < _SHORTEST or not run.isalnum():
        return None
    found = list(runs_folder(root).glob(f"{run}*/{RECORD}"))
    return read_record(found[0]) if len(found) == 1 else None


def latest(root: Path) -> Record | None:
    """The record of the run here that was started last."""
    for path in sorted(runs_folder(root).glob(f"*/{RECORD}"), key=lambda path: path.stat().st_mtime, reverse=True):
        if record := read_record(path):
            return record
    return None


def read_record(path: Path) -> Record | None:
    """The record in a file; None where there is none or it is damaged: MLflow has it too."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def note_finished(root: Path, record: Record) -> None:
    """Remember a finished run under its pinned digest, for `--if-changed`."""
    folder = own_folder(root) / "finished"
    folder.mkdir(exist_ok=True)
    write_whole(folder / record.pinned.total, record.run_id.encode())


def unchanged(root: Path, pinned: Digests, observed: Mapping[str, str]) -> Record | None:
    """The finished run with these digests, if its outputs are still what it left; None otherwise.

    `observed` holds the digests of the observed sections that are to be equal as well.
    """
    try:
        run_id = (root / ".reprolock" / "finished" / pinned.total).read_text()
    except OSError:
        return None
    record = read_record(runs_folder(root) / run_id / RECORD)
    if record is None or record.status != "FINISHED" or record.pinned != pinned:
        return None
    if any(record.observed.sections[name] != digest for name, digest in observed.items()):
        return None
    for output in record.outputs:
        found = measure(root / output.path)
        if found is None or found.digest != output.digest:
            return None
    return record
