"""Records that could not reach MLflow, kept on disk until `sync` sends them.

    .reprolock/outbox/<Record.run_id>/   record.json and the run's files, as `replay FOLDER` takes them
                                         outbox.json: which MLflow run they belong to, and where

outbox.json is written last and removed first: an entry without it is not there. Sending may be killed and
repeated at any point; a run that was recorded offline carries its own ID as a tag, so it is never sent twice.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from reprolock.errors import MachineError, ReprolockError, UsageError
from reprolock.files.atomic_write import guard, write_whole
from reprolock.files.containment import read_linked
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.model.record import Record
from reprolock.model.uri import check_path
from reprolock.tracker.encoding.name import name_of
from reprolock.tracker.errors import NoRun, Unreachable, run_removed
from reprolock.tracker.mlflow_tracker import record_bytes
from reprolock.tracker.protocol import ATTESTATIONS, RECORD, Tracker

ENTRY = "outbox.json"


class Pending(NamedTuple):
    """One record that waits. `mlflow_run` is None where it has no MLflow run yet; `tracking_uri` says where
    that run is, without keys."""

    record: Record
    files: Mapping[str, Path]
    mlflow_run: str | None
    tracking_uri: str | None


class Sent(NamedTuple):
    """What became of one record: its run in MLflow and the record that MLflow has now, or the error that kept it here."""

    run_id: str
    mlflow_run: str | None
    remarks: tuple[str, ...] = ()
    error: ReprolockError | None = None
    record: Record | None = None


class Outbox:
    """The records that wait in a folder, `.reprolock/outbox` of a project."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when the first record is kept."""
        self.folder = folder

    def keep(
        self,
        record: Record,
        files: Mapping[str, Path],
        *,
        mlflow_run: str | None = None,
        tracking_uri: str | None = None,
    ) -> Path:
        """Keep a record and its files, in place of an earlier state of the same run; the entry's folder.

        `mlflow_run` and `tracking_uri` (`Place.shown`) name the run that MLflow has already; None for an offline run.
        MachineError names what could not be written.
        """
        entry = self.folder / record.run_id
        try:
            entry.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(entry, error) from error
        for name, file in files.items():
            _place(file, entry / name)
        write_whole(entry / RECORD, record_bytes(record))
        kept = {"mlflow_run": mlflow_run, "tracking_uri": tracking_uri, "files": sorted(files)}
        write_whole(entry / ENTRY, json.dumps(kept, indent=2).encode() + b"\n")
        return entry

    def pending(self) -> Iterator[Pending]:
        """The records that wait, oldest first. MachineError names an entry that is damaged."""
        found = [self._read(file.parent) for file in self.folder.glob(f"*/{ENTRY}")]
        yield from sorted(found, key=lambda entry: (entry.record.started, entry.record.run_id))

    def has(self, run_id: str) -> bool:
        """Whether the record of a run waits here."""
        return (self.folder / run_id).is_dir()

    def drop(self, run_id: str) -> None:
        """Forget a record that MLflow has now."""
        entry = self.folder / run_id
        with suppress(FileNotFoundError):
            (entry / ENTRY).unlink()
        shutil.rmtree(entry, ignore_errors=True)

    def _read(self, entry: Path) -> Pending:
        try:
            kept = json.loads(read_linked(entry / ENTRY))
            record = Record.model_validate_json(read_linked(entry / RECORD))
            if record.run_id != entry.name:
                raise ValueError("another run's record")
            files = {name: _own_file(entry, name) for name in kept["files"]}
            return Pending(record, files, kept["mlflow_run"], kept["tracking_uri"])
        except OSError as error:
            raise cannot_read(entry, error) from error
        except (ValueError, KeyError, TypeError, ValidationError, RecursionError) as error:
            raise MachineError(f"{entry} is damaged", hint="move it away, and run `reprolock sync` again") from error


def _own_file(entry: Path, name: str) -> Path:
    """A file of an entry. ValueError for one that leads out of it: what is sent is what was kept, and nothing else."""
    check_path(name)
    if Path(os.path.realpath(entry / name)) != Path(os.path.realpath(entry)) / name:
        raise ValueError(f"{name} is a link")
    return entry / name


def log_or_keep(tracker: Tracker, outbox: Outbox, run_id: str, record: Record, files: Mapping[str, Path]) -> Sent:
    """`Tracker.log`, and where MLflow does not take it the record kept in the outbox.

    `run_id` is MLflow's. The answer's `error` is what MLflow said, for a warning; it is not raised. An
    earlier state of the run that waits in the outbox is forgotten once MLflow has this one.
    """
    try:
        remarks = tracker.log(run_id, record, files)
    except ReprolockError as error:
        outbox.keep(record, files, mlflow_run=run_id, tracking_uri=tracker.place.shown)
        return Sent(record.run_id, None, error=error)
    outbox.drop(record.run_id)
    return Sent(record.run_id, run_id, remarks)


def sync(outbox: Outbox, tracker: Tracker) -> list[Sent]:
    """Send every record that waits, oldest first; one answer each, errors in the answers.

    A record whose run is in another MLflow than the tracker's stays. When the server does not answer, the rest is not
    tried. MachineError when another `sync` of this project is at work. Where no record was ever kept, nothing is made.
    """
    answers: list[Sent] = []
    if not outbox.folder.exists():
        return answers
    with guard(outbox.folder, "sending the outbox"):
        for entry in outbox.pending():
            answer = _send(entry, outbox, tracker)
            answers.append(answer)
            if isinstance(answer.error, Unreachable):
                break
    return answers


def _send(entry: Pending, outbox: Outbox, tracker: Tracker) -> Sent:
    record, shown = entry.record, tracker.place.shown
    try:
        if entry.mlflow_run is not None and entry.tracking_uri != shown:
            raise UsageError(
                f"the run {record.run_id} is in MLflow at {entry.tracking_uri}, not at {tracker.place}",
                hint=f"send it with `reprolock sync --tracking-uri {entry.tracking_uri}`",
            )
        run_id = entry.mlflow_run or tracker.create(record.experiment, name_of(record), record.started, record.run_id)
        files = entry.files
        if ATTESTATIONS in files:
            # What was signed is sent as it is, byte for byte, and metrics that come up now are none of it.
            files = {**files, RECORD: outbox.folder / record.run_id / RECORD}
        elif record.status != "RUNNING":
            # What the command logged could not be asked for when MLflow went away under it.
            record = record.replaced({"metrics": tracker.metrics(run_id) | record.metrics})
        remarks = tracker.log(run_id, record, files)
    except NoRun:
        return Sent(record.run_id, None, error=run_removed(tracker.place, record.run_id, outbox.folder / record.run_id))
    except ReprolockError as error:
        return Sent(record.run_id, None, error=error)
    outbox.drop(record.run_id)
    return Sent(record.run_id, run_id, remarks, record=record)


def _place(source: Path, target: Path) -> None:
    """A copy that appears whole. The link costs nothing; across file systems the bytes are copied."""
    if target.exists() and os.path.samefile(source, target):
        return
    temporary = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise cannot_write(target, error) from error
