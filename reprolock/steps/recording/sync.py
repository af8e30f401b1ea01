"""Send the records that could not reach MLflow, and close the runs whose reprolock was killed."""

from __future__ import annotations

from pathlib import Path

from reprolock.files.atomic_write import OWN_FOLDER, write_whole
from reprolock.steps.project.locate import which_mlflow
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_folders import runs_folder
from reprolock.steps.recording.recover import close_abandoned
from reprolock.tracker import open_tracker
from reprolock.tracker.mlflow_tracker import record_bytes
from reprolock.tracker.outbox import Outbox, Sent
from reprolock.tracker.outbox import sync as send
from reprolock.tracker.protocol import RECORD


def sync(root: Path, *, tracking_uri: str | None = None, machine: Machine | None = None) -> list[Sent]:
    """One answer a record, oldest first; an answer's `error` says why it stays."""
    machine = machine or Machine.here()
    root = root.resolve()
    place = which_mlflow(root, machine, tracking_uri)
    tracker = open_tracker(place, machine.environ, machine.home)
    try:
        close_abandoned(root, machine)
        answers = send(Outbox(root / OWN_FOLDER / "outbox"), tracker)
    finally:
        tracker.close()
    for answer in answers:
        kept = runs_folder(root) / answer.run_id / RECORD
        if answer.record is not None and kept.exists():
            write_whole(kept, record_bytes(answer.record))
    return answers
