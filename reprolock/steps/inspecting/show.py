"""`show`: find the record or the lock that is to be shown."""

from __future__ import annotations

from pathlib import Path

from reprolock.errors import UsageError
from reprolock.model.lock import Lock
from reprolock.model.record import Record
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.project import read_project
from reprolock.steps.project.run_folders import latest
from reprolock.steps.recording.find_run import RunFinder
from reprolock.steps.recording.load import check_seal, read_record
from reprolock.steps.recording.recover import close_abandoned
from reprolock.tracker.protocol import RECORD


def show(
    root: Path,
    run: str | None = None,
    *,
    tracking_uri: str | None = None,
    of_lock: bool = False,
    machine: Machine | None = None,
) -> Record | Lock:
    """The record of a run (see `RunFinder`; None: the newest here), or the lock.

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
    with RunFinder(root, machine, tracking_uri) as finder:
        found = finder.find(run)
        if found.folder is None:
            assert found.run_id is not None  # one of the two is there
            return finder.tracker.read(found.run_id)
    record = read_record(found.folder / RECORD)
    if found.run_id is None:
        check_seal(record, None)
    return record
