"""Close the runs whose reprolock was killed: the next command records them as KILLED, from their journals."""

from __future__ import annotations

import shutil
from pathlib import Path

from reprolock.engine.process_tree import end_leftovers
from reprolock.errors import ReprolockError, UsageError
from reprolock.files.atomic_write import OWN_FOLDER, own_folder, write_whole
from reprolock.files.containment import check_inside
from reprolock.files.journal import Journal, find_abandoned
from reprolock.steps.project.locate import which_mlflow
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_folders import read_record, runs_folder
from reprolock.steps.recording.build import killed_record
from reprolock.steps.recording.log import offline_place
from reprolock.tracker import open_tracker
from reprolock.tracker.mlflow_tracker import record_bytes
from reprolock.tracker.outbox import Outbox, log_or_keep
from reprolock.tracker.permission import check_credentials
from reprolock.tracker.protocol import ATTESTATIONS, RECORD, Tracker

_FILES = ("repro.toml", "repro.lock", "code.tar.gz", ATTESTATIONS)
REASON = "reprolock was killed"


def close_abandoned(root: Path, machine: Machine) -> tuple[str, ...]:
    """Close them all, replays too; their IDs. What MLflow does not take waits in the outbox. Costs nothing where there are none."""
    homes = (root, *sorted((root / OWN_FOLDER).glob("replays/*/project")))
    check_inside(root, *(home.relative_to(root) for home in homes))
    found = [(journal, home) for home in homes for journal in find_abandoned(home)]
    if not found:
        return ()
    try:
        place = which_mlflow(root, machine)
        check_credentials(place, machine.environ, machine.home)
    except ReprolockError:
        for journal, _ in found:
            end_leftovers(journal.run_id)  # also where its run cannot be closed yet
            journal.release()  # an invalid repro.toml, or an address that is not trusted, is reported elsewhere
        return ()
    tracker = open_tracker(place, machine.environ, machine.home)
    try:
        for journal, home in found:
            _close(journal, root, home, tracker, machine)
    finally:
        tracker.close()
    return tuple(journal.run_id for journal, _ in found)


def _close(journal: Journal, root: Path, home: Path, tracker: Tracker, machine: Machine) -> None:
    """`home` has the run's folder; a replay's is not the project's."""
    end_leftovers(journal.run_id)  # what the command left running must not go on writing
    folder = runs_folder(home) / journal.run_id
    record = read_record(folder / RECORD)
    if record is not None and record.run_id != journal.run_id:
        record = None  # whatever was put there, it is not what this run left
    here = journal.tracking == tracker.place.shown
    if record is not None:
        if record.status == "RUNNING":  # else it was killed between its last line and MLflow
            record = killed_record(record, REASON, machine.now())
            write_whole(folder / RECORD, record_bytes(record))
        files = {path.name: path for path in folder.iterdir() if path.name in _FILES and not path.is_symlink()}
        outbox = Outbox(own_folder(root) / "outbox")
        if journal.tracking == offline_place(root).shown:
            outbox.keep(record, files)
        elif here:
            log_or_keep(tracker, outbox, record.run_id, record, files)
        else:
            outbox.keep(record, files, mlflow_run=record.run_id, tracking_uri=journal.tracking)
    elif here:
        try:
            # It may have been killed before it knew the ID that MLflow gave.
            tracker.end(tracker.find(journal.run_id), "KILLED", REASON, machine.now())
        except UsageError:
            pass  # and before MLflow had made it
        except ReprolockError:
            journal.release()  # MLflow is away: a later command tries again
            return
    shutil.rmtree(folder / "work", ignore_errors=True)
    journal.close()
