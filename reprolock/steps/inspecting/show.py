"""A record or the lock, for people."""

from __future__ import annotations

from pathlib import Path

from reprolock.errors import UsageError
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_spec
from reprolock.model.lock import Lock
from reprolock.model.record import Record
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.project import read_project
from reprolock.steps.project.run_folders import latest, local_record
from reprolock.steps.recording.load import artifacts_in, check_seal, read_record
from reprolock.steps.recording.recover import close_abandoned
from reprolock.tracker import open_tracker
from reprolock.tracker.protocol import RECORD
from reprolock.tracker.tracking_uri import find_place


def show(
    root: Path,
    run: str | None = None,
    *,
    tracking_uri: str | None = None,
    of_lock: bool = False,
    machine: Machine | None = None,
) -> Record | Lock:
    """The record of a run (an ID, an unambiguous beginning of one, or a folder with its artifacts; None: the newest here), or
    the lock.

    Records of this folder are read from its disk, all others from MLflow. NotReplayable for a folder's that was changed.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    if run is not None and of_lock:
        raise UsageError("RUN and --lock cannot be used together", hint="use one of them")
    close_abandoned(root, machine)
    if run is None and not of_lock and (newest := latest(root)) is not None:
        return newest
    if run is None:
        lock = read_project(root).lock
        if lock is None:
            raise UsageError("nothing has run here yet, and there is no repro.lock", hint="run `reprolock lock`")
        return lock
    if (folder := artifacts_in(Path(run))) is not None:
        record = read_record(folder / RECORD)
        check_seal(record, None)
        return record
    if tracking_uri is None and (found := local_record(root, run)) is not None:
        return found
    declared = read_spec(root).mlflow.tracking_uri if (root / SPEC).exists() else None
    tracker = open_tracker(find_place(declared, root, machine.environ, tracking_uri), machine.environ, machine.home)
    try:
        return tracker.read(tracker.find(run))
    finally:
        tracker.close()
