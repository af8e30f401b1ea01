"""`OfflineTracker`: the project's own MLflow database, for runs that ask no service. MLflow is loaded where it is needed.

The command needs a run that its own MLflow finds; reprolock needs what the command logged to it. MLflow makes the first
run of an experiment, and its rows are kept as they are then; each later run is those rows under another ID, which
SQLite alone can write. A database that the command left as it was holds nothing of the command's. Where the command has no
MLflow, there is no database.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from reprolock.files.atomic_write import write_whole
from reprolock.tracker.mlflow_tracker import MlflowTracker, milliseconds
from reprolock.tracker.protocol import RUN_ID_TAG, Children
from reprolock.tracker.stores import sqlite_check
from reprolock.tracker.stores.protocol import Store
from reprolock.tracker.tracking_uri import Place

_SIDES = ("", "-wal", "-journal")
_TABLES = ("runs", "tags")
_WAIT_SECONDS = 20.0
_COLUMN = re.compile(r"[a-z_]+")


class OfflineTracker(MlflowTracker):
    """A `Tracker` of one run at a time. `asked`: the command has an MLflow, which will look for its run."""

    def __init__(self, place: Place, file: Path, open_store: Callable[[], Store], *, asked: bool) -> None:
        super().__init__(place, open_store)
        self._file = file
        self._asked = asked
        self._experiment_id: str | None = None
        self._before = self._state

    def create(
        self, experiment: str, name: str | None, started: datetime, local_id: str | None = None, *, again: bool = True
    ) -> str:
        run_id = uuid4().hex
        if self._asked:
            self._check_file(writing=True)
            kept = self._kept(experiment)
            self._experiment_id = _insert(kept, self._file, run_id, name, milliseconds(started), local_id)
            if self._experiment_id is None:
                run_id = super().create(experiment, name, started, local_id, again=again)
                self._experiment_id = self._find(run_id).experiment_id
                write_whole(self._kept(experiment), json.dumps(_rows(self._file, run_id)).encode())
        self._before = self._state
        return run_id

    def end(self, run_id: str, status: str, reason: str, ended: datetime) -> None:
        if self._asked:
            super().end(run_id, status, reason, ended)

    def metrics(self, run_id: str) -> dict[str, float]:
        return super().metrics(run_id) if self._is_changed else {}

    def children(self, run_id: str) -> Children:
        return super().children(run_id) if self._is_changed else Children()

    def _experiment_of(self, run_id: str) -> str | None:
        return self._experiment_id

    def _kept(self, experiment: str) -> Path:
        """The file with the rows of a run of this experiment, as MLflow has made it in a database of this schema."""
        key = f"{sqlite_check.revision(self._file)} {experiment}"
        return self._file.with_name(f"run-{sha256(key.encode()).hexdigest()[:16]}.json")

    @property
    def _is_changed(self) -> bool:
        return self._asked and self._state != self._before

    @property
    def _state(self) -> tuple[tuple[int, int] | None, ...]:
        """What each writing changes: the sizes and times of SQLite's files."""
        return tuple(map(_size_and_time, (self._file.with_name(self._file.name + side) for side in _SIDES)))


def _size_and_time(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _rows(file: Path, run_id: str) -> dict[str, Any]:
    """What MLflow wrote of a run: table → its rows."""
    with closing(sqlite3.connect(file, timeout=_WAIT_SECONDS)) as connection:
        connection.row_factory = sqlite3.Row
        found = {table: connection.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (run_id,)) for table in _TABLES}
        return {table: [dict(row) for row in rows] for table, rows in found.items()}


def _insert(kept: Path, file: Path, run_id: str, name: str | None, started: int, local_id: str | None) -> str | None:
    """Write the kept rows as those of another run, and answer the ID of its experiment; None, with nothing written, where
    nothing is kept or the database is another one by now."""
    try:
        rows = json.loads(kept.read_bytes())
        (run,) = rows["runs"]
        tags = {tag["key"]: tag for tag in rows["tags"]}
        old_id, experiment_id = str(run["run_uuid"]), str(run["experiment_id"])
        run |= {"name": name or run["name"], "start_time": started}
        for key, value in (("mlflow.runName", name), (RUN_ID_TAG, local_id)):
            if value is not None:
                tags[key]["value"] = value
        if not all(_COLUMN.fullmatch(column) for row in (run, *tags.values()) for column in row):
            return None  # not as MLflow wrote it: names of columns are put into the statement
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        with closing(sqlite3.connect(file, timeout=_WAIT_SECONDS)) as connection, connection:
            active = "SELECT 1 FROM experiments WHERE experiment_id = ? AND lifecycle_stage = 'active'"
            if connection.execute(active, (experiment_id,)).fetchone() is None:
                return None
            for table, row in [("runs", run), *(("tags", tag) for tag in tags.values())]:
                values = [item.replace(old_id, run_id) if isinstance(item, str) else item for item in row.values()]
                columns = ", ".join(f'"{column}"' for column in row)
                marks = ", ".join("?" * len(values))
                connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)
    except (sqlite3.Error, OverflowError, AttributeError, TypeError):  # rows that MLflow has not made
        return None
    return str(experiment_id)
