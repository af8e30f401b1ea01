"""A process beside the command that outlives reprolock, so that `kill -9` leaves nothing running.

No process can clean up after its own SIGKILL, and the kernel's parent-death signal reaches no grandchild and is Linux's
alone. So a second process waits at the end of a pipe whose other end only reprolock holds: the pipe ends when
reprolock does, however that is. Then the watchdog ends the command and all that came of it, and itself. It has a session
of its own, for what kills a whole process group must not take it along.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import psutil

from reprolock.engine.process_tree import Tree

_GRACE_SECONDS = 2.0
"""How long what is orphaned may take to obey SIGTERM."""
_DONE = "done"


class Watchdog:
    """Told which process is the command, and when it has ended."""

    def __init__(self, process: subprocess.Popen[str] | None) -> None:
        self._process = process

    def watch(self, pid: int, *, group: bool) -> None:
        """From here on this process, which leads a group of its own where `group`, is ended with reprolock."""
        self._say(f"{pid} {int(group)}")

    def dismiss(self) -> None:
        """The command has ended, and all that came of it."""
        self._say(_DONE)
        if self._process is not None:
            with suppress(OSError):
                self._process.stdin.close()  # type: ignore[union-attr]
            threading.Thread(target=self._process.wait, daemon=True).start()  # it may still be starting up

    def _say(self, line: str) -> None:
        if self._process is not None:
            with suppress(OSError):
                print(line, file=self._process.stdin, flush=True)


@contextmanager
def watched(run_id: str) -> Iterator[Watchdog]:
    """A watchdog over the processes that carry the run's marker while the body runs."""
    watchdog = Watchdog(_start(run_id))
    try:
        yield watchdog
    finally:
        watchdog.dismiss()


def _start(run_id: str) -> subprocess.Popen[str] | None:
    """None where no further process may be started: then the next command ends what is left."""
    kept: Mapping[str, str] = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-m", "reprolock.engine.watchdog", run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=kept,
            text=True,
            start_new_session=True,
        )
    except OSError:
        return None


def main() -> None:
    """The watchdog's own life: `python -m reprolock.engine.watchdog RUN_ID`."""
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, signal.SIG_IGN)
    run_id, command, tree = sys.argv[1], None, Tree(sys.argv[1])
    for line in sys.stdin:
        if line.strip() == _DONE:
            return
        pid, group = map(int, line.split())
        tree = Tree(run_id, root=pid, group=pid if group else None)
        with suppress(psutil.Error):
            command = psutil.Process(pid)
    for order in ("terminate", "kill"):
        if command is not None:
            with suppress(psutil.Error):
                getattr(command, order)()
                command.wait(_GRACE_SECONDS)
        tree.end(_GRACE_SECONDS)


if __name__ == "__main__":
    main()
