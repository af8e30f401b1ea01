"""The journal of runs under way in a project, by which the next command closes a run whose reprolock was killed.

In: a project's folder and a run. Out: a `Journal`, which is a file in `.reprolock/open/` while the run is
under way, and a guard that the operating system frees when its holder dies. A process that gets the guard of
a journal that is still there has found an abandoned run, and no second one can. A finished run
leaves nothing, so looking costs as much as there are open runs.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from reprolock.files.atomic_write import OWN_FOLDER, own_folder, write_whole
from reprolock.files.containment import check_folder, read_linked
from reprolock.files.os_errors import cannot_write

OPEN = "open"
RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a run's ID is, as MLflow gives it: the name of a folder, which leads nowhere else."""


class Journal:
    """One run under way, held by this process until `close`.

    `run_id` is MLflow's, and before MLflow has given one a name that the run is found by. `tracking` is MLflow's address
    without user or password; `pid` is the process that started the run.
    """

    def __init__(self, path: Path, held: FileLock, run_id: str, tracking: str, started: datetime, pid: int) -> None:
        self.run_id = run_id
        self.tracking = tracking
        self.started = started
        self.pid = pid
        self._path = path
        self._held = held

    @classmethod
    def open(cls, root: Path, run_id: str, tracking: str, started: datetime) -> Journal:
        """Note that a run is under way. MachineError where that cannot be written."""
        path = own_folder(root) / OPEN / f"{run_id}.json"
        held = _guard_of(path)
        try:
            path.parent.mkdir(exist_ok=True)
            held.acquire(timeout=0)
        except OSError as error:
            raise cannot_write(path, error) from error
        journal = cls(path, held, run_id, tracking, started, os.getpid())
        try:
            journal.name(run_id)
        except BaseException:
            _free(held, path)
            raise
        return journal

    def name(self, run_id: str) -> None:
        """Note the ID that MLflow has given the run. MachineError where that cannot be written."""
        entry = {"run_id": run_id, "tracking": self.tracking, "started": self.started.isoformat(), "pid": self.pid}
        write_whole(self._path, json.dumps(entry, indent=2).encode() + b"\n")
        self.run_id = run_id

    def close(self) -> None:
        """The run has been closed, here or in MLflow; a second call does nothing."""
        with suppress(OSError):
            self._path.unlink()
        self.release()

    def release(self) -> None:
        """Leave the run open, for a later command to close."""
        _free(self._held, self._path)


def find_abandoned(root: Path) -> list[Journal]:
    """The runs whose reprolock is gone, each held by the caller, which closes or releases it. Oldest first."""
    found = []
    check_folder(root, OWN_FOLDER)
    for path in (root / OWN_FOLDER / OPEN).glob("*.json"):
        held = _guard_of(path)
        try:
            held.acquire(timeout=0)
        except (Timeout, OSError):
            continue  # it is under way, or another process is closing it
        journal = _read(path, held)
        if journal is None:
            _free(held, path)
        else:
            found.append(journal)
    return sorted(found, key=lambda journal: (journal.started, journal.run_id))


def _read(path: Path, held: FileLock) -> Journal | None:
    """None for one that was closed between the look and the guard, or that is damaged, which is removed."""
    try:
        entry = json.loads(read_linked(path))
        started = datetime.fromisoformat(entry["started"])
        if started.tzinfo is None or not RUN_ID.fullmatch(entry["run_id"]):
            raise ValueError("not as this module writes it")
        return Journal(path, held, entry["run_id"], str(entry["tracking"]), started, int(entry["pid"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        with suppress(OSError):
            path.unlink()
        return None


def _guard_of(path: Path) -> FileLock:
    # Not bound to a thread: a run may be closed in another one than it was opened in.
    return FileLock(path.with_suffix(".guard"), thread_local=False)


def _free(held: FileLock, path: Path) -> None:
    """Let go of a guard, and clear it away where its journal is gone. A process that waits for it looks for the journal again."""
    held.release()
    if not path.exists():
        with suppress(OSError):
            os.unlink(held.lock_file)
