"""Check with SQLite, before MLflow is loaded, that MLflow's SQLite file is usable.

MLflow answers an unusable file with ten tries over a minute and a half; SQLite alone says at once
what is wrong. A `MachineError` says what is wrong.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from reprolock.errors import ReprolockError
from reprolock.files.os_errors import cannot_write
from reprolock.tracker import errors
from reprolock.tracker.tracking_uri import Place

_LONGEST_PATH = 500
"""SQLite takes 512 bytes, for the journal beside the file too."""
_TABLES = {"experiments", "runs", "alembic_version"}
"""What every MLflow since 1.0 has made."""
_WAIT_SECONDS = 20.0
"""How long another writer may hold the file; MLflow itself waits as long."""


def check(place: Place, file: Path, *, writing: bool) -> None:
    """Open the file as SQLite would, and take the right to write and give it back where that is asked.

    With `writing` the file and its folder are made where they are missing. Without, the file must be there.
    """
    try:
        named = str(file.absolute()).encode()
    except UnicodeEncodeError:
        raise errors.database_not_named(place, file) from None
    if len(named) > _LONGEST_PATH:
        raise errors.database_too_deep(place, file, _LONGEST_PATH)
    if writing:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(file.parent, error) from error
    # What a writer left who died in the midst of it, SQLite undoes when it may write.
    mode = "rwc" if writing else "rw" if file.with_name(f"{file.name}-journal").exists() else "ro"
    address = f"{file.absolute().as_uri()}?mode={mode}"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)) as connection:
            connection.execute("PRAGMA schema_version")
            # A view in the place of a table may have rows without end. A database of the user's own may have some.
            views = "SELECT name FROM sqlite_master WHERE type = 'view'"
            view = connection.execute(views).fetchone() if place.project is not None else None
            if writing:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise problem_of(place, file, str(error)) from error
    if view is not None:
        raise errors.with_a_view(place, file, str(view[0]))


def is_made(file: Path) -> bool:
    """False where nothing has been recorded yet: no file, or the empty one that `check` makes."""
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


def revision(file: Path) -> str | None:
    """The revision of MLflow's schema that the file has (Alembic's one row); None where it has none, or cannot be read."""
    try:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)
        ) as connection:
            there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
            if connection.execute(there).fetchone() is None:
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None


def is_mlflows(file: Path) -> bool:
    """Whether a database holds MLflow's tables. MLflow would add them to that of any other program."""
    try:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)
        ) as connection:
            names = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return True  # what is wrong with the file is said when it is opened
    return not names or names >= _TABLES


def problem_of(place: Place, file: Path, message: str) -> ReprolockError:
    """Our sentence for one of SQLite's: its messages are fixed texts of its C library."""
    if "not a database" in message or "malformed" in message:
        return errors.not_a_database(place, file)
    if "locked" in message:
        return errors.database_locked(place, file)
    if "disk I/O" in message:
        return errors.database_unreadable(place, file)
    if "full" in message:
        return errors.database_full(place, file)
    if "readonly" in message or "unable to open" in message:
        return errors.database_not_writable(place, file)
    return errors.failed(place, "use its database", message.partition("[SQL")[0])
