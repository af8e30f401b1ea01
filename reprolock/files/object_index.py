"""What lakes call the objects of the cache: (scheme, checksum, size) in, the SHA-256 of the bytes out.

One SQLite file. It is a memory, not a truth: an entry may outlive its object, and a file that is lost
or damaged costs transfers and nothing else, so it is begun anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from errno import EACCES, ENOSPC
from pathlib import Path
from typing import NamedTuple, TypeVar

from reprolock.errors import MachineError
from reprolock.files.failures import cannot_write

_WAIT_SECONDS = 60.0
_KEYS_A_QUERY = 500
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

T = TypeVar("T")


class Key(NamedTuple):
    """What a lake says about an object's bytes. Equal keys stand for equal bytes; `size` in bytes."""

    scheme: str
    checksum: str
    size: int


class ObjectIndex:
    """Opened for each call, so that any thread and any number of processes may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self, keys: Iterable[Key]) -> dict[Key, str]:
        """Those of the keys that were learnt, each with its SHA-256 (hex)."""
        wanted = {_text(key): key for key in keys}
        if not wanted or not self._path.exists():
            return {}
        texts = list(wanted)

        def query(database: sqlite3.Connection) -> dict[Key, str]:
            found: dict[Key, str] = {}
            for start in range(0, len(texts), _KEYS_A_QUERY):
                some = texts[start : start + _KEYS_A_QUERY]
                marks = ",".join("?" * len(some))
                rows = database.execute(f"SELECT key, sha256 FROM known WHERE key IN ({marks})", some)
                found |= {wanted[text]: sha256.hex() for text, sha256 in rows}
            return found

        return self._with(query)

    def learn(self, pairs: Iterable[tuple[Key, str]]) -> None:
        """Remember (key, SHA-256) pairs, in one transaction; a later pair of the same key holds."""
        rows = [(_text(key), bytes.fromhex(sha256)) for key, sha256 in pairs]
        self._with(lambda database: database.executemany("INSERT OR REPLACE INTO known VALUES (?, ?)", rows))

    def forget(self, hashes: Iterable[str]) -> None:
        """Drop what stands for these SHA-256 (hex)."""
        rows = [(bytes.fromhex(sha256),) for sha256 in hashes]
        if not rows or not self._path.exists():
            return

        def delete(database: sqlite3.Connection) -> None:
            # One pass over the table: it has no second index, which would cost every transfer.
            database.execute("CREATE TEMP TABLE gone (sha256 BLOB PRIMARY KEY) WITHOUT ROWID")
            database.executemany("INSERT OR IGNORE INTO gone VALUES (?)", rows)
            database.execute("DELETE FROM known WHERE sha256 IN gone")

        self._with(delete)

    def _with(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._once(work)
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DAMAGED:
                raise self._fault(error) from error
        with suppress(OSError):
            self._path.unlink()
        try:
            return self._once(work)
        except sqlite3.DatabaseError as error:
            raise self._fault(error) from error

    def _once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with closing(sqlite3.connect(self._path, timeout=_WAIT_SECONDS)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY, sha256 BLOB NOT NULL) WITHOUT ROWID")
            return work(database)

    def _fault(self, error: sqlite3.DatabaseError) -> MachineError:
        numbers = {sqlite3.SQLITE_FULL: ENOSPC, sqlite3.SQLITE_READONLY: EACCES, sqlite3.SQLITE_CANTOPEN: EACCES}
        number = numbers.get(_code(error))
        return cannot_write(self._path, OSError(number, str(error)) if number else OSError(str(error)))


def _code(error: sqlite3.DatabaseError) -> int:
    """SQLite's primary result code; the upper bits only refine it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _text(key: Key) -> str:
    return f"{key.scheme}:{key.size}:{key.checksum}"
