"""Find a process and all of its descendants, also those that left its session or lost their parent.

A process belongs to a run when it descends from the command, is in the command's process group, or
carries the run's marker in its environment: PySpark's JVM and the worker daemons that the JVM starts
are in groups of their own, and a daemon has no parent left. Only a daemon that also emptied its
environment and left the group between two looks escapes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

MARKER = "REPROLOCK_RUN_ID"
"""The variable that marks every process of a run."""

_TICK = 0.05
_KILL_SECONDS = 10.0


class Tree:
    """The processes of one run. `group` is the command's process group where that is its own."""

    def __init__(self, run_id: str, *, root: int | None = None, group: int | None = None) -> None:
        self._run_id = run_id
        self._root = root
        self._group = group
        self._since = _start_time(root)
        self._known: set[psutil.Process] = set()

    def alive(self) -> list[psutil.Process]:
        """Those that still run, the command itself not counted."""
        if self._root is not None:
            with suppress(psutil.Error):  # it has ended; what it left is found by group and marker
                self._known.update(psutil.Process(self._root).children(recursive=True))
        for process in psutil.process_iter():
            if process not in self._known and self._is_ours(process):
                self._known.add(process)
        self._known = {process for process in self._known if _runs(process)}
        return sorted(self._known, key=lambda process: process.pid)

    def settle(self, seconds: float, hurry: Callable[[], bool] = lambda: False) -> list[psutil.Process]:
        """Give the tree some time to end by itself, less once `hurry()`; what is still alive then."""
        deadline = time.monotonic() + seconds
        while (alive := self.alive()) and time.monotonic() < deadline and not hurry():
            time.sleep(_TICK)
        return alive

    def end(self, seconds: float, hurry: Callable[[], bool] = lambda: False) -> int:
        """SIGTERM to each, `seconds` to obey, then SIGKILL until none is left. How many had to be ended."""
        ended = {process.pid for process in self.alive()}
        for process in self.alive():
            _tell(process.terminate)
        for process in self.settle(seconds, hurry):
            _tell(process.kill)
        deadline = time.monotonic() + _KILL_SECONDS
        # A process may have been born between the look and the signal.
        while (alive := self.alive()) and time.monotonic() < deadline:
            ended |= {process.pid for process in alive}
            for process in alive:
                _tell(process.kill)
            time.sleep(_TICK)
        return len(ended)

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.pid in (os.getpid(), self._root):
            return False
        try:
            if process.create_time() < self._since:
                return False
            if self._group is not None and os.getpgid(process.pid) == self._group:
                return True
            return process.environ().get(MARKER) == self._run_id
        except (psutil.Error, OSError):
            return False  # gone, or another process


def end_leftovers(run_id: str, seconds: float = 5.0) -> int:
    """End what still runs of a run whose reprolock was killed. How many processes there were."""
    return Tree(run_id).end(seconds)


def _start_time(pid: int | None) -> float:
    """When a process started, in psutil's own time: what is older cannot have come of it."""
    try:
        return psutil.Process(pid).create_time() if pid is not None else 0.0
    except psutil.Error:
        return 0.0


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _tell(order: Callable[[], None]) -> None:
    """Signal a process that may have ended meanwhile, or whose ID another process may have."""
    with suppress(psutil.Error, OSError):
        order()
