"""Run the user's command as a process, and end it together with all of its descendants.

In: arguments, a folder, an environment. Out: an `Ending`, in which a failure of the command is data
and not an error. Its output streams through untouched.

Ctrl-C, SIGTERM, SIGHUP and the time-out end the command: a polite signal first, then a grace period
in which it may clean up, then SIGKILL for what is left of its tree. A second signal cuts the grace
period short. In a terminal the command shares our process group, as under make, so that it can
read the keyboard, and the terminal itself sends it the Ctrl-C; elsewhere it has a group of its own.
"""

from __future__ import annotations

import codecs
import errno
import json
import os
import select
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from reprolock.engine.process_tree import MARKER, Tree
from reprolock.engine.watchdog import watched
from reprolock.errors import MachineError, UsageError
from reprolock.model.outcome import Ending

GRACE_SECONDS = 10.0
"""How long a command may take to end when it is asked to, and what it leaves behind to end by itself."""

_LAST_SECONDS = 2.0
_TICK = 0.25
# SIGHUP is not there on Windows.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class _Stop(NamedTuple):
    """Why the command was ended before it ended by itself. `signal` is None for the time-out."""

    reason: str
    signal: int | None


def execute(
    argv: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    timeout_seconds: float | None,
    clock: Callable[[], datetime],
    stdout: int | None = None,
    stderr: int | None = None,
    signals: list[int] | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> Ending:
    """Run a command to its end; nothing that it started is alive afterwards.

    `environ` is the whole environment; its REPROLOCK_RUN_ID marks the processes. Standard output and
    error go where ours go unless `stdout` and `stderr` are descriptors. `signals` is a list to which the caller adds
    those that it receives, where another thread than the main one executes. An ending that a signal to us caused is KILLED
    with that signal's number, a time-out is KILLED without one. UsageError when the program is not
    there or cannot be executed.
    """
    check_texts(argv, environ)
    find_program(argv[0], environ.get("PATH", ""), cwd)
    environ = {MARKER: uuid.uuid4().hex, **environ}
    shared = _in_foreground()
    with collected_signals(signals) as received, watched(environ[MARKER]) as watchdog:
        started = clock()
        child = _start(argv, cwd, environ, (stdout, stderr), shared)
        watchdog.watch(child.pid, group=not shared)
        tree = Tree(environ[MARKER], root=child.pid, group=None if shared else child.pid)
        remaining = _LAST_SECONDS
        try:
            stop = _watch(child, received, timeout_seconds)
            if stop:
                tree.alive()  # a look while parents still lead to their children
                remaining = _ask_to_end(child, stop, received, grace_seconds, shared)
            # What the command left, such as a JVM that removes its temporary files, may finish.
            elif tree.settle(grace_seconds, lambda: bool(received)) and received:
                stop = _stop_of(received)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
            left = tree.end(remaining, lambda: len(received) > 2)
        ended = clock()
    if stop:
        code = child.returncode if child.returncode >= 0 else None
        return Ending("KILLED", code, stop.signal, stop.reason, started, ended)
    return _ending(child.returncode, left, started, ended)


def check_texts(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """UsageError for an argument or a variable that no system hands to a program."""
    if odd := next((text for text in (*argv, *environ.values()) if "\0" in text), None):
        raise UsageError(
            f'"{odd}" has a character U+0000, which no program can be given',
            hint="take it out of run.command, run.env or [params]",
        )


def find_program(name: str, path: str, cwd: Path) -> Path:
    """The file that a command's first argument names, on the run's PATH or relative to its folder. UsageError."""
    if os.path.dirname(name):
        program = cwd / name
        if not program.exists():
            hint = "a script must be part of the code: have git track it, or name it in run.code"
            raise UsageError(f'run.command names "{name}", which is not there', hint=hint)
        if program.is_dir() or not os.access(program, os.X_OK):
            hint = f"make it executable (`chmod +x {name}`), or name its interpreter first"
            raise UsageError(f'run.command names "{name}", which is not executable', hint=hint)
        return _fit_script(name, program)
    if found := shutil.which(name, path=path):
        return _fit_script(name, Path(found))
    if (cwd / name).is_file():
        hint = f'write "./{name}", or name its interpreter first'
    elif shutil.which(name.partition(" ")[0], path=path):
        hint = f"write each argument as a text of its own: command = {json.dumps(name.split())}"
    else:
        hint = "add the package that brings it to environment.packages, or write its whole path"
    raise UsageError(f'run.command names "{name}", which is not on the PATH of the run', hint=hint)


def _fit_script(name: str, program: Path) -> Path:
    """The program; UsageError for a script whose first line the system takes for another one than people see."""
    try:
        with open(program, "rb") as file:
            first = file.readline(1024)
    except OSError:
        return program  # one that may be executed, and not read
    plain = first.removeprefix(codecs.BOM_UTF8)
    if os.name == "nt" or not plain.startswith(b"#!") or b"/env -S" in plain:  # -S passes over what is blank
        return program
    hint = "save it with LF line ends; for git write `{name} text eol=lf` into .gitattributes".format(
        name=name.removeprefix("./")
    )
    if plain.endswith(b"\r\n"):
        raise UsageError(
            f'run.command names "{name}", whose first line ends in CRLF: the system looks for an interpreter whose name ends in a carriage return',
            hint=hint,
        )
    if plain != first:
        raise UsageError(
            f'run.command names "{name}", which begins with a byte order mark before its "#!"',
            hint="save it as UTF-8 without one",
        )
    return program


def _start(
    argv: Sequence[str],
    cwd: Path,
    environ: Mapping[str, str],
    streams: tuple[int | None, int | None],
    shared: bool,
) -> subprocess.Popen[bytes]:
    group = None if shared or os.name == "nt" else 0
    stdout, stderr = streams
    try:
        return subprocess.Popen(argv, cwd=cwd, env=environ, stdout=stdout, stderr=stderr, process_group=group)
    except OSError as error:
        name_interpreter = 'name the interpreter first, such as command = ["bash", "train.sh"]'
        known = {
            errno.ENOENT: ("names an interpreter in its first line that does not exist", name_interpreter),
            errno.ENOEXEC: ("is not a program: its first line names no interpreter", name_interpreter),
            errno.EACCES: ("may not be executed on this machine", name_interpreter),
            errno.E2BIG: ("is given more arguments than a command line can hold", "pass long lists in a file"),
        }
        if error.errno in known:
            reason, hint = known[error.errno]
            raise UsageError(f'run.command: "{argv[0]}" {reason}', hint=hint) from error
        reason = (error.strerror or str(error)).lower()
        raise MachineError(
            f'"{argv[0]}" cannot be started: {reason}', hint="end other processes and try again"
        ) from error


def _watch(child: subprocess.Popen[bytes], received: list[int], timeout_seconds: float | None) -> _Stop | None:
    """Wait for the command's end, a signal to us, or the time-out."""
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    while True:
        remaining = _TICK if deadline is None else min(_TICK, deadline - time.monotonic())
        _wait(child, max(remaining, 0))
        if received:
            return _stop_of(received)
        if child.returncode is not None:
            return None
        if deadline is not None and time.monotonic() >= deadline:
            return _Stop(f"time-out after {_duration(timeout_seconds or 0)}", None)


def _wait(child: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the command's end, so long at most. Where the system wakes us at it we do not look every 50 ms, as Popen does."""
    if hasattr(os, "pidfd_open"):  # Linux
        with suppress(OSError), open(os.pidfd_open(child.pid), "rb", buffering=0) as ended:
            select.select([ended], [], [], seconds)
            seconds = 0
    with suppress(subprocess.TimeoutExpired):
        child.wait(seconds)


def _ask_to_end(
    child: subprocess.Popen[bytes], stop: _Stop, received: list[int], grace_seconds: float, shared: bool
) -> float:
    """The polite signal and the grace period. How much of it is left for what the command leaves, in seconds.

    Ctrl-C goes to the whole group, as a terminal sends it; where the group is ours the terminal has
    done so already, and a second one would break into the command's cleaning up. All else goes to
    the command alone, which may need its children to clean up.
    """
    if child.poll() is None:
        if stop.signal != signal.SIGINT:
            child.terminate()
        elif not shared:
            os.killpg(child.pid, signal.SIGINT)
    deadline, seen = time.monotonic() + grace_seconds, len(received)
    while child.poll() is None and time.monotonic() < deadline:
        if len(received) > seen:
            # The second signal leaves little time, the third none.
            seen = len(received)
            deadline = min(deadline, time.monotonic() + (_LAST_SECONDS if seen < 3 else 0))
        time.sleep(_TICK / 5)
    return max(deadline - time.monotonic(), _LAST_SECONDS)


def _ending(code: int, left: int, started: datetime, ended: datetime) -> Ending:
    """Outcome of a command that ended by itself."""
    if code < 0:
        out_of_memory = " (out of memory?)" if -code == getattr(signal, "SIGKILL", 9) else ""
        return Ending("FAILED", None, -code, f"killed by {_name(-code)}{out_of_memory}", started, ended)
    reason = f"exit code {code}"
    if left:
        reason += f"; {left} process{'es' if left > 1 else ''} that it left running ended by reprolock"
    return Ending("FAILED" if code else "FINISHED", code, None, reason, started, ended)


@contextmanager
def collected_signals(given: list[int] | None = None) -> Iterator[list[int]]:
    """Collect the signals that ask us to end, in order, while the body runs.

    Those that are ignored stay so (`nohup`). In another thread than the main one Python lets no code
    handle signals, and the list is the one that is given, or stays empty.
    """
    received: list[int] = [] if given is None else given
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, lambda number, _: received.append(number))
    try:
        yield received
    finally:
        for number in taken:
            signal.signal(number, before[number] or signal.SIG_DFL)


def _in_foreground() -> bool:
    """Whether a terminal's Ctrl-C reaches our process group, and its keyboard is ours to read."""
    if not hasattr(os, "tcgetpgrp"):
        return True  # Windows: a console is shared by all that run in it
    for stream in (0, 1, 2):
        try:
            if os.isatty(stream) and os.tcgetpgrp(stream) == os.getpgrp():
                return True
        except OSError:
            continue  # closed, or another session's terminal
    return False


def _stop_of(received: list[int]) -> _Stop:
    number = received[0]
    return _Stop("Ctrl-C" if number == signal.SIGINT else _name(number), number)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # a real-time signal


def _duration(seconds: float) -> str:
    """7200 → "2h", 90 → "1m30s", as repro.toml writes it."""
    if seconds != int(seconds):
        return f"{seconds:g}s"
    parts, rest = "", int(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"
