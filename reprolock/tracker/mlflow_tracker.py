"""`MlflowTracker`: the `Tracker` protocol, built on the single calls of a `Store`.

The store is opened by the first call that needs it, so that a tracker costs nothing until then.
"""

from __future__ import annotations

import getpass
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from operator import itemgetter
from pathlib import Path

from pydantic import ValidationError

from reprolock.errors import ServiceError
from reprolock.files.containment import check_inside
from reprolock.files.os_errors import cannot_write
from reprolock.model.record import ChildRecord, Record
from reprolock.model.uri import check_path
from reprolock.tracker import errors
from reprolock.tracker.encoding.inputs import input_of
from reprolock.tracker.encoding.note import NOTE_BEGINNING, NOTE_TAG, note_of
from reprolock.tracker.encoding.params import flatten
from reprolock.tracker.encoding.tags import model_tags_of, tags_of
from reprolock.tracker.protocol import (
    FOLDER,
    LAKE_TAG_TAG,
    PARENT_TAG,
    REASON_TAG,
    RECORD,
    RUN_ID_TAG,
    STARTED_BY_TAG,
    SWEEP_TAG,
    Children,
    ModelVersion,
    Row,
)
from reprolock.tracker.stores import sqlite_check
from reprolock.tracker.stores.protocol import BATCH, Store, StoredRun
from reprolock.tracker.tracking_uri import Place

_ID = re.compile("[0-9A-Za-z][0-9A-Za-z-]{3,254}")
"""A run's ID, or as much of it as people must write at least. A "_" would stand for any character in a search."""
_MOST_NESTED = 10_000
_CLOCKS = 600_000
"""Milliseconds by which the clock of the process that nests a run may be slow."""
_RECORDED = f"tags.`{RUN_ID_TAG}` LIKE '%'"
"""Selects what reprolock recorded: the command's own nested runs have no such tag."""


class MlflowTracker:
    """See `reprolock.tracker.protocol.Tracker`."""

    def __init__(self, place: Place, open_store: Callable[[], Store]) -> None:
        """`open_store` is called once, before the first call to MLflow."""
        self.place = place
        self._open_store = open_store

    def create(
        self, experiment: str, name: str | None, started: datetime, local_id: str | None = None, *, again: bool = True
    ) -> str:
        self._check_file(writing=True)
        found = self._store.experiment(experiment)
        if found is not None and found.deleted:
            raise errors.experiment_deleted(self.place, experiment, found.experiment_id)
        experiment_id = found.experiment_id if found else self._store.create_experiment(experiment)
        tags = {"mlflow.user": _user()}
        if local_id is not None:
            if again and (sent := self._find_by_tag(local_id)):
                return sent[0].run_id
            tags[RUN_ID_TAG] = local_id
        try:
            return self._store.create_run(experiment_id, name, milliseconds(started), tags).run_id
        except ServiceError:
            # The only call that must not be repeated blindly: its answer may have been lost.
            if local_id is not None and (made := self._find_by_tag(local_id)):
                return made[0].run_id
            raise

    def command_environment(self, run_id: str, experiment: str) -> dict[str, str]:
        # The name too: MLflow refuses every run while the caller's own says otherwise than the ID.
        where = {"MLFLOW_EXPERIMENT_NAME": experiment}
        if experiment_id := self._experiment_of(run_id):
            where["MLFLOW_EXPERIMENT_ID"] = experiment_id
        # MLflow gives these tags to each further run of a process that has this variable.
        tags = {PARENT_TAG: run_id, STARTED_BY_TAG: run_id}
        return {
            "MLFLOW_TRACKING_URI": self.place.uri,
            "MLFLOW_RUN_ID": run_id,
            "MLFLOW_RUN_CONTEXT": json.dumps(tags),
            **where,
        }

    def _experiment_of(self, run_id: str) -> str | None:
        return self._find(run_id).experiment_id

    def log(self, run_id: str, record: Record, files: Mapping[str, Path]) -> tuple[str, ...]:
        self._check_file(writing=True)
        run = self._find(run_id, writing=True)
        self._send_files(run, record, files)
        inputs = [input_of(dataset) for dataset in record.datasets]
        self._store.log_inputs(run_id, [entry for entry in inputs if (entry.name, entry.source) not in run.inputs])
        tags = tags_of(record)
        if run.tags.get(NOTE_TAG, "").startswith(NOTE_BEGINNING) or NOTE_TAG not in run.tags:
            tags[NOTE_TAG] = note_of(record)  # what the command described itself stays
        self._store.set_tags(run_id, {name: value for name, value in tags.items() if run.tags.get(name) != value})
        if record.status == "RUNNING":
            return ()
        remarks = self._send_params(run, record)
        if record.status == "FINISHED" and run.status in ("FAILED", "KILLED"):
            remarks += (
                f"the command ended its MLflow run as {run.status}, and itself with exit code 0: the run is recorded as FINISHED",
            )
        ended = milliseconds(record.ended or datetime.now(UTC))
        # The command of an offline run logged them elsewhere.
        self._store.log_metrics(
            run_id, {name: value for name, value in record.metrics.items() if name not in run.metrics}, ended
        )
        nested, _ = self._started_beside(run, until=ended)
        for child in nested:
            if missing := {PARENT_TAG, STARTED_BY_TAG} - child.tags.keys():
                self._store.set_tags(child.run_id, dict.fromkeys(missing, run_id))
            if child.status == "RUNNING":  # the command was stopped before its own MLflow could close it
                self._store.end_run(child.run_id, record.status, ended)
        remarks += self._tie_models(run, nested, record)
        # Last, for the command's MLflow may have ended the run in its own way, and a repeated call must come this far.
        self._store.end_run(run_id, record.status, ended)
        return remarks

    def end(self, run_id: str, status: str, reason: str, ended: datetime) -> None:
        self._find(run_id, writing=True)
        self._store.set_tags(run_id, {RUN_ID_TAG: run_id, REASON_TAG: reason[:5000]})
        self._store.end_run(run_id, status, milliseconds(ended))

    def finish(self, run_id: str, status: str, ended: datetime) -> None:
        self._store.end_run(run_id, status, milliseconds(ended))

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._find(run_id, writing=True)
        self._store.set_tags(run_id, tags)

    def tags(self, run_id: str) -> dict[str, str]:
        return dict(self._find(run_id).tags)

    def metrics(self, run_id: str) -> dict[str, float]:
        return dict(self._find(run_id).metrics)

    def children(self, run_id: str) -> Children:
        found, loose = self._started_beside(self._find(run_id), until=milliseconds(datetime.now(UTC)))
        ids = [child.run_id for child in found]
        versions = [
            version for start in range(0, len(ids), BATCH) for version in self._store.models(ids[start : start + BATCH])
        ]
        return Children(
            tuple(
                ChildRecord(
                    run_id=child.run_id,
                    name=child.name,
                    experiment_id=child.experiment_id,
                    status=child.status,
                    params=dict(child.params),
                    metrics=dict(child.metrics),
                    models=tuple(
                        sorted(f"{item.name}/{item.version}" for item in versions if item.run_id == child.run_id)
                    ),
                )
                for child in sorted(found, key=lambda child: (child.start_time, child.name, child.run_id))
            ),
            tuple(sorted(child.name or child.run_id[:8] for child in loose)),
        )

    def find(self, run: str, experiment: str | None = None) -> str:
        if not self._is_there:
            raise errors.no_run(self.place, run, [])
        if _ID.fullmatch(run):
            if self._store.run(run) is not None:
                return run
            ids = self._experiment_ids
            found = self._store.search(ids, f"attributes.run_id LIKE '{run}%' AND {_RECORDED}", 10)
            found += self._find_by_tag(run, beginning=True)
        else:
            found = []
        among = [entry.experiment_id for entry in self._store.experiments() if experiment in (None, entry.name)]
        if _is_quotable(run):
            for field in ("attributes.run_name", f"tags.`{LAKE_TAG_TAG}`"):
                found += self._store.search(among, f"{field} = {_quote(run)} AND {_RECORDED}", 10)
        names = {entry.run_id: entry.name for entry in found}
        if len(names) > 1:
            raise errors.several_runs(self.place, run, names)
        if not names:
            raise errors.no_run(self.place, run, [entry.name for entry in self._store.search(among, _RECORDED, 5)])
        return names.popitem()[0]

    def read(self, run_id: str) -> Record:
        with tempfile.TemporaryDirectory(prefix="reprolock-") as folder:
            file = Path(folder) / RECORD
            run = self._find(run_id)
            if RECORD not in self._store.artifacts(run, FOLDER):
                raise errors.no_record(self.place, run_id)
            self._store.fetch(run, f"{FOLDER}/{RECORD}", file)
            record = self._parse_record(run_id, file.read_bytes())
        self._require_same_run(run, record)
        return record

    def download(self, run_id: str, folder: Path) -> Path:
        run = self._find(run_id)
        names = self._store.artifacts(run, FOLDER)
        if RECORD not in names:
            raise errors.no_record(self.place, run_id)
        for name in sorted(names):
            try:
                check_path(name)  # a record is foreign input
            except ValueError:
                raise errors.unsafe_artifact(self.place, run_id, name) from None
            target = folder / name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._store.fetch(run, f"{FOLDER}/{name}", target)
            except OSError as error:
                raise cannot_write(target, error) from error
        with suppress(ValidationError):  # who reads it says what is wrong with it
            self._require_same_run(run, Record.model_validate_json((folder / RECORD).read_bytes()))
        return folder

    def artifact(self, run_id: str, name: str) -> bytes | None:
        run = self._find(run_id)
        if name not in self._store.artifacts(run, FOLDER):
            return None
        with tempfile.TemporaryDirectory(prefix="reprolock-") as folder:
            file = Path(folder) / name
            self._store.fetch(run, f"{FOLDER}/{name}", file)
            return file.read_bytes()

    def attach(self, run_id: str, name: str, data: bytes) -> None:
        self._check_file(writing=True)
        run = self._find(run_id, writing=True)
        with tempfile.TemporaryDirectory(prefix="reprolock-") as folder:
            file = Path(folder) / name
            file.write_bytes(data)
            self._store.upload(run, file, f"{FOLDER}/{name}")

    def runs(
        self,
        experiment: str | None = None,
        tags: Mapping[str, str] = {},
        limit: int = 100,
        *,
        recorded: bool = True,
        where: str = "",
        beginnings: Mapping[str, str] = {},
    ) -> list[Row]:
        if not self._is_there:
            return []
        names = {entry.experiment_id: entry.name for entry in self._store.experiments()}
        wanted = [found for found, name in names.items() if experiment in (None, name)]
        parts = [*([_RECORDED] if recorded else []), *(f"tags.`{n}` = {_quote(v)}" for n, v in tags.items())]
        parts += [f"tags.`{name}` LIKE {_quote(value + '%')}" for name, value in beginnings.items()]
        filtered = " AND ".join([*parts, *([where] if where else [])])
        try:
            found = self._store.search(wanted, filtered, limit)
        except ServiceError as error:
            _, answered, reason = error.message.partition("could not search its runs: ")
            if where and answered:
                raise errors.bad_filter(self.place, where, reason) from None
            raise
        return [_row(run, names[run.experiment_id]) for run in found]

    def curve(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        return sorted(self._store.curve(run_id, metric), key=itemgetter(0)) if self._is_there else []

    def experiment_id(self, name: str) -> str | None:
        found = self._store.experiment(name) if self._is_there else None
        return found.experiment_id if found is not None and not found.deleted else None

    def models(self, run_ids: Sequence[str]) -> list[ModelVersion]:
        ids = [run_id for run_id in dict.fromkeys(run_ids) if re.fullmatch(r"[\w-]+", run_id)]
        batches = (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
        found = [version for batch in batches for version in self._store.models(batch)]
        return sorted(found, key=lambda version: (version.name, len(version.version), version.version))

    def close(self) -> None:
        if "_store" in self.__dict__:
            self._store.close()

    @cached_property
    def _store(self) -> Store:
        self._check_file(writing=False)
        return self._open_store()

    @property
    def _is_there(self) -> bool:
        """False where nothing has been recorded yet: reading must not make an empty database."""
        return self.place.file is None or sqlite_check.is_made(self.place.file)

    def _check_file(self, *, writing: bool) -> None:
        file, project = self.place.file, self.place.project
        if writing and file is not None and project is not None:
            beside = (file, *(file.with_name(f"{file.name}-{part}") for part in ("wal", "shm", "journal")))
            check_inside(project, *(path.relative_to(project) for path in (*beside, file.with_name("mlruns"))))
        if self.place.file is not None:
            sqlite_check.check(self.place, self.place.file, writing=writing)

    @property
    def _experiment_ids(self) -> list[str]:
        return [entry.experiment_id for entry in self._store.experiments()]

    def _find(self, run_id: str, *, writing: bool = False) -> StoredRun:
        run = self._store.run(run_id) if self._is_there else None
        if run is None:
            raise errors.no_run(self.place, run_id, [])
        if writing and run.deleted:
            raise errors.run_deleted(self.place, run_id)
        return run

    def _find_by_tag(self, local_id: str, *, beginning: bool = False) -> list[StoredRun]:
        test = f"LIKE {_quote(local_id + '%')}" if beginning else f"= {_quote(local_id)}"
        return self._store.search(self._experiment_ids, f"tags.`{RUN_ID_TAG}` {test}", 10)

    def _started_beside(self, run: StoredRun, *, until: int) -> tuple[list[StoredRun], list[StoredRun]]:
        """Runs that the command has started, at any depth; and runs of its time that it may have started.

        In a database of the project's own nobody else logs, so every experiment is looked through; elsewhere the run's own.
        """
        everywhere = self._experiment_ids
        marked = self._store.search(everywhere, f"tags.`{STARTED_BY_TAG}` = '{run.run_id}'", _MOST_NESTED)
        since = f"attributes.start_time >= {run.start_time - _CLOCKS}"
        where = [run.experiment_id] if self.place.project is None else everywhere
        later = self._store.search(where, since, _MOST_NESTED)
        loose = [entry for entry in later if _is_loose(entry, run, until)]
        others = [entry for entry in later if RUN_ID_TAG in entry.tags and entry.run_id != run.run_id]
        found = {entry.run_id: entry for entry in marked if RUN_ID_TAG not in entry.tags}
        if self.place.file is not None and not any(_overlap(other, entry) for other in others for entry in loose):
            found |= {entry.run_id: entry for entry in loose}
            loose = []
        parents = {run.run_id, *found}
        while parents:
            children = [entry for entry in later if entry.tags.get(PARENT_TAG) in parents and entry.run_id not in found]
            # A run that another recorded run is made of, such as one of a sweep, has a record of its own.
            children = [entry for entry in children if RUN_ID_TAG not in entry.tags]
            found |= {entry.run_id: entry for entry in children}
            parents = {child.run_id for child in children}
        return list(found.values()), loose

    def _tie_models(self, run: StoredRun, nested: Sequence[StoredRun], record: Record) -> tuple[str, ...]:
        """Tag what the command has logged as models, and registered of them. A remark where that fails: the record does not depend on it."""
        every = (run, *nested)
        ids = [entry.run_id for entry in every]
        tags = model_tags_of(record)
        try:
            for experiment, start in (
                (e, s) for e in {r.experiment_id for r in every} for s in range(0, len(ids), BATCH)
            ):
                for model in self._store.logged_models(experiment, ids[start : start + BATCH]):
                    if not tags.items() <= model.tags.items():
                        self._store.tag_model(model.model_id, tags)
            for start in range(0, len(ids), BATCH):
                for version in self._store.models(ids[start : start + BATCH]):
                    self._store.tag_version(version, tags)
        except ServiceError as error:
            return (f"models that the command logged are not tied to the lock: {error.message}",)
        return ()

    def _send_files(self, run: StoredRun, record: Record, files: Mapping[str, Path]) -> None:
        there = self._store.artifacts(run, FOLDER)
        for name, file in files.items():
            if name == RECORD or there.get(name) != file.stat().st_size:
                self._store.upload(run, file, f"{FOLDER}/{name}")
        if RECORD in files:
            return
        with tempfile.TemporaryDirectory(prefix="reprolock-") as folder:
            file = Path(folder) / RECORD
            file.write_bytes(record_bytes(record))
            self._store.upload(run, file, f"{FOLDER}/{RECORD}")

    def _send_params(self, run: StoredRun, record: Record) -> tuple[str, ...]:
        """Params are MLflow's to keep: what the command logged itself stays as it logged it."""
        flat = flatten(record.params)
        missing = {name: value for name, value in flat.values.items() if name not in run.params}
        self._store.log_params(run.run_id, missing)
        others = (
            f"params.{name} is {value!r} in repro.toml, and the command logged {run.params[name]!r}; MLflow keeps the command's"
            for name, value in flat.values.items()
            if run.params.get(name, value) != value
        )
        return (*flat.remarks, *others)

    def _require_same_run(self, run: StoredRun, record: Record) -> None:
        """NotReplayable where the record of another run is kept with this one. A copy of a run has its own ID in MLflow, and
        its tag names the run."""
        if record.run_id != run.run_id and run.tags.get(RUN_ID_TAG) != record.run_id:
            raise errors.other_record(run.run_id, record.run_id)

    def _parse_record(self, run_id: str, data: bytes) -> Record:
        try:
            return Record.model_validate_json(data)
        except ValidationError as error:
            newer = any(detail["loc"] == ("version",) for detail in error.errors())
            raise errors.unreadable_record(self.place, run_id, newer) from error


def record_bytes(record: Record) -> bytes:
    """record.json, sealed: indented UTF-8 JSON with a newline at its end."""
    return record.sealed().model_dump_json(indent=2).encode() + b"\n"


def _is_loose(entry: StoredRun, run: StoredRun, until: int) -> bool:
    """Whether a run began in another one's time and carries no word of where it came from, as `MlflowClient().create_run` leaves it."""
    known = entry.tags.keys() & {RUN_ID_TAG, STARTED_BY_TAG, PARENT_TAG, SWEEP_TAG}
    return entry.run_id != run.run_id and not known and run.start_time <= entry.start_time <= until


def _overlap(other: StoredRun, entry: StoredRun) -> bool:
    """Whether a recorded run was under way when `entry` began, and may have started it."""
    return other.start_time <= entry.start_time and (other.end_time is None or entry.start_time <= other.end_time)


def _row(run: StoredRun, experiment: str) -> Row:
    ended = None if run.end_time is None else _time(run.end_time)
    return Row(
        run.run_id,
        experiment,
        run.name,
        run.status,
        _time(run.start_time),
        ended,
        run.tags,
        run.metrics,
        run.inputs,
        run.params,
    )


def milliseconds(time: datetime) -> int:
    """A time as MLflow keeps it: milliseconds since 1970."""
    return round(time.timestamp() * 1000)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _quote(text: str) -> str:
    """A text as MLflow's filter language takes it; it has no escape, so the quote that the text lacks is used."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def _is_quotable(text: str) -> bool:
    """Whether a filter can hold the text: a name that no run has been given here cannot be looked up, and need not be."""
    return text.isprintable() and "\\" not in text and not ("'" in text and '"' in text)


def _user() -> str:
    """The user as MLflow's own runs name it in `mlflow.user`: the name of the account."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
