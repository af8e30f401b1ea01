"""Real processes: output, endings, signals to us, time-outs, and nothing left alive."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

import reprolock.errors
from reprolock.engine.process import execute, find_program
from reprolock.engine.process_tree import MARKER, Tree, end_leftovers
from reprolock.errors import UsageError
from reprolock.model.outcome import Ending

ROOT = Path(reprolock.errors.__file__).parents[1]
PATH = os.pathsep.join([os.path.dirname(sys.executable), "/usr/bin", "/bin"])

PARENT = """
import json, os, sys
from datetime import UTC, datetime
from pathlib import Path
try:
    os.open(os.ttyname(0), os.O_RDWR)  # a session's first terminal becomes its own
except OSError:
    pass
from reprolock.engine.process import execute
argv, seconds, grace = json.loads(sys.argv[1])
environ = {"PATH": os.environ["PATH"], "REPROLOCK_RUN_ID": os.environ["REPROLOCK_RUN_ID"]}
ending = execute(argv, cwd=Path.cwd(), environ=environ, timeout_seconds=seconds,
                 clock=lambda: datetime.now(UTC), grace_seconds=grace)
print("ENDING", *ending[:4], sep="|", flush=True)
"""
"""A program that does to a command what reprolock does, and prints how it ended."""

FAMILY = """
import os, subprocess, sys, time
deep = "import time; time.sleep(300)"
subprocess.Popen([sys.executable, "-c", deep])
subprocess.Popen([sys.executable, "-c", deep], start_new_session=True)
subprocess.Popen(["env", "-i", sys.executable, "-c", deep])  # known by its parent or group alone
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon", os.getpid(), flush=True)
        os.close(writer)
        time.sleep(300)
    os._exit(0)
os.close(writer)
os.wait(), os.read(reader, 1)
print("ready", flush=True)
"""
"""A child, a grandchild with a session of its own, one without variables, and a daemon without a parent."""

STUBBORN = (
    FAMILY
    + """
import signal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("stubborn", flush=True)
time.sleep(300)
"""
)

POLITE = """
import os, signal, sys, time
def clean_up(number, frame):
    os.write(1, b"cleaning %s\\n" % signal.Signals(number).name.encode())
    time.sleep(0.3)
    os.write(1, b"clean\\n")
    sys.exit(5)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, clean_up)
os.write(1, b"ready\\n")
time.sleep(300)
"""
"""A second signal would run `clean_up` a second time, and print a second line."""


def run(code: str, folder: Path, **options: object) -> Ending:
    """Execute Python code as the user's command, in this process."""
    seconds = options.pop("timeout_seconds", None)
    environ = {"PATH": PATH} | options.pop("environ", {})  # type: ignore[operator]
    return execute(
        [sys.executable, "-c", code],
        cwd=folder,
        environ=environ,
        timeout_seconds=seconds,  # type: ignore[arg-type]
        clock=lambda: datetime.now(UTC),
        **options,  # type: ignore[arg-type]
    )


def marked(run_id: str) -> list[psutil.Process]:
    """Every living process of a run, found without reprolock's help."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == run_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def run_id() -> Iterator[str]:
    """An ID for the processes of one test; what is alive of them at its end is a failure, and ended."""
    name = os.urandom(8).hex()
    yield name
    left = marked(name)
    for process in left:
        process.kill()
    assert left == []


class Parent:
    """A `PARENT` process with a command, whose output can be waited for."""

    def __init__(
        self, code: str, run_id: str, seconds: float | None = None, grace: float = 8, stdin: int | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT, json.dumps([[sys.executable, "-c", code], seconds, grace])],
            cwd=ROOT,
            env={"PATH": PATH, MARKER: run_id},
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            bufsize=0,  # so that what is read is what `select` saw
            start_new_session=True,
        )

    def until(self, word: str) -> list[str]:
        """The lines up to the first that contains a word."""
        assert self.process.stdout
        lines = []
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], 30)
            line = self.process.stdout.readline().decode() if ready else ""
            assert line, f"no {word!r} came, only {lines}"
            lines.append(line.strip())
            if word in line:
                return lines

    def ending(self) -> str:
        """How the command ended."""
        lines = self.until("ENDING")
        self.process.wait(30)
        self.process.stdout.close()  # type: ignore[union-attr]
        return lines[-1].removeprefix("ENDING|")


def test_output_streams_through_and_the_ending_is_data(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ending = run("import os, sys; print(os.getcwd()); print('remark', file=sys.stderr)", tmp_path)
    assert capfd.readouterr() == (f"{tmp_path}\n", "remark\n")
    assert ending[:4] == ("FINISHED", 0, None, "exit code 0")
    assert ending.started < ending.ended and ending.started.tzinfo is UTC


def test_output_goes_where_it_is_told_to(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run("print('for a person')", tmp_path, stdout=2)
    assert capfd.readouterr() == ("", "for a person\n")


def test_the_command_sees_its_variables_and_no_others(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))"
    run(code, tmp_path, environ={MARKER: "r1", "X": "1"})
    assert capfd.readouterr().out == f"['PATH', '{MARKER}', 'X']\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(3)", ("FAILED", 3, None, "exit code 3")),
        ("import os; os.kill(os.getpid(), 9)", ("FAILED", None, 9, "killed by SIGKILL (out of memory?)")),
        ("import os; os.kill(os.getpid(), 11)", ("FAILED", None, 11, "killed by SIGSEGV")),
        ("import os; os.kill(os.getpid(), 40)", ("FAILED", None, 40, "killed by signal 40")),
    ],
)
def test_a_failure_is_recorded_as_what_it_was(code: str, expected: tuple[object, ...], tmp_path: Path) -> None:
    assert run(code, tmp_path)[:4] == expected


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (
            ["no-such-program"],
            'run.command names "no-such-program", which is not on the PATH of the run',
            "add the package that brings it to environment.packages, or write its whole path",
        ),
        (
            ["plain.sh"],
            'run.command names "plain.sh", which is not on the PATH of the run',
            'write "./plain.sh", or name its interpreter first',
        ),
        (
            ["sh train.sh --fast"],
            'run.command names "sh train.sh --fast", which is not on the PATH of the run',
            'write each argument as a text of its own: command = ["sh", "train.sh", "--fast"]',
        ),
        (
            ["./gone.sh"],
            'run.command names "./gone.sh", which is not there',
            "a script must be part of the code: have git track it, or name it in run.code",
        ),
        (
            ["./plain.sh"],
            'run.command names "./plain.sh", which is not executable',
            "make it executable (`chmod +x ./plain.sh`), or name its interpreter first",
        ),
        (
            ["./odd.sh"],
            'run.command: "./odd.sh" names an interpreter in its first line that does not exist',
            'name the interpreter first, such as command = ["bash", "train.sh"]',
        ),
        (
            ["./bare"],
            'run.command: "./bare" is not a program: its first line names no interpreter',
            'name the interpreter first, such as command = ["bash", "train.sh"]',
        ),
        (
            ["./windows.sh"],
            'run.command names "./windows.sh", whose first line ends in CRLF: the system looks for an interpreter whose name ends in a carriage return',
            "save it with LF line ends; for git write `windows.sh text eol=lf` into .gitattributes",
        ),
        (
            ["./marked.sh"],
            'run.command names "./marked.sh", which begins with a byte order mark before its "#!"',
            "save it as UTF-8 without one",
        ),
    ],
)
def test_a_program_that_cannot_be_executed(argv: list[str], message: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "plain.sh").write_text("#!/bin/sh\n")
    scripts = {"odd.sh": "#!/no/such/interpreter\n", "bare": "echo\n", "marked.sh": "\ufeff#!/bin/sh\n"}
    for name, text in (scripts | {"windows.sh": "#!/usr/bin/env python3\r\nprint(1)\r\n"}).items():
        (tmp_path / name).write_bytes(text.encode())
        (tmp_path / name).chmod(0o755)
    with pytest.raises(UsageError) as error:
        execute(argv, cwd=tmp_path, environ={"PATH": PATH}, timeout_seconds=None, clock=lambda: datetime.now(UTC))
    assert (error.value.message, error.value.hint, error.value.exit_code) == (message, hint, 2)


def test_a_program_is_found_on_the_path_of_the_run(tmp_path: Path) -> None:
    assert find_program("sh", "/usr/bin:/bin", tmp_path) in (Path("/usr/bin/sh"), Path("/bin/sh"))


def test_a_time_out_ends_the_whole_tree(run_id: str) -> None:
    parent = Parent(FAMILY + "\ntime.sleep(300)", run_id, seconds=1.5)
    assert parent.ending() == "KILLED|None|None|time-out after 1.5s"
    assert marked(run_id) == []


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (signal.SIGINT, "KILLED|5|2|Ctrl-C"),
        (signal.SIGTERM, "KILLED|5|15|SIGTERM"),
        (signal.SIGHUP, "KILLED|5|1|SIGHUP"),
    ],
)
def test_a_signal_to_us_lets_the_command_clean_up(number: int, expected: str, run_id: str) -> None:
    parent = Parent(POLITE, run_id)
    parent.until("ready")
    parent.process.send_signal(number)
    asked = "SIGINT" if number == signal.SIGINT else "SIGTERM"
    assert parent.until("clean\n")[:1] == [f"cleaning {asked}"]
    assert parent.ending() == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_will_not_end_is_killed_with_all_its_descendants(number: int, run_id: str) -> None:
    parent = Parent(STUBBORN, run_id, grace=0.5)
    lines = parent.until("stubborn")
    daemon = psutil.Process(int(lines[0].split()[1]))
    below = set(psutil.Process(parent.process.pid).children(recursive=True)) - {guard_of(parent)}
    assert len(below) == 4 and daemon not in below
    parent.process.send_signal(number)
    assert parent.ending().startswith(f"KILLED|None|{int(number)}|")
    assert [process for process in (*below, daemon) if process.is_running() and process.status() != "zombie"] == []


def test_a_second_signal_cuts_the_grace_period_short(run_id: str) -> None:
    parent = Parent(STUBBORN, run_id, grace=60)
    parent.until("stubborn")
    begin = time.monotonic()
    for _ in range(3):
        parent.process.send_signal(signal.SIGINT)
        time.sleep(0.6)
    assert parent.ending() == "KILLED|None|2|Ctrl-C"
    assert time.monotonic() - begin < 20


def test_what_a_command_leaves_running_is_ended(run_id: str) -> None:
    parent = Parent(FAMILY, run_id, grace=0.3)
    assert parent.ending() == "FINISHED|0|None|exit code 0; 4 processes that it left running ended by reprolock"


def test_what_ends_by_itself_soon_is_left_to_do_so(tmp_path: Path) -> None:
    code = "import subprocess; subprocess.Popen(['sh', '-c', 'sleep 0.5; touch late'], start_new_session=True)"
    assert run(code, tmp_path).reason == "exit code 0"
    assert (tmp_path / "late").exists()


def test_signals_are_handled_as_before_afterwards(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    run("pass", tmp_path)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_leftovers_of_a_killed_reprolock_are_ended_by_its_run_id(run_id: str) -> None:
    without_variables = next(line for line in FAMILY.splitlines() if '"env"' in line)
    parent = Parent(STUBBORN.replace(without_variables, ""), run_id)
    parent.until("stubborn")
    guard_of(parent).kill()
    parent.process.kill()
    parent.process.wait()
    assert len(marked(run_id)) == 4
    assert end_leftovers(run_id, seconds=0.5) == 4
    assert marked(run_id) == []
    assert end_leftovers(run_id) == 0


def guard_of(parent: Parent) -> psutil.Process:
    """The process that watches over the command."""
    [found] = [
        child
        for child in psutil.Process(parent.process.pid).children()
        if "reprolock.engine.watchdog" in child.cmdline()
    ]
    return found


def test_kill_9_leaves_nothing_running(run_id: str) -> None:
    parent = Parent(STUBBORN, run_id)
    parent.until("stubborn")
    guard = guard_of(parent)
    family = psutil.Process(parent.process.pid).children(recursive=True)
    os.killpg(parent.process.pid, signal.SIGKILL)  # with all of its group, as a shell's job control would
    parent.process.wait()
    _, alive = psutil.wait_procs([*family, guard], timeout=30)
    assert alive == []
    assert marked(run_id) == []


def test_the_guard_leaves_when_the_command_has_ended(run_id: str) -> None:
    parent = Parent("print('ready', flush=True); import time; time.sleep(1)", run_id)
    parent.until("ready")
    guard = guard_of(parent)
    assert parent.ending() == "FINISHED|0|None|exit code 0"
    guard.wait(30)


def test_in_a_terminal_the_command_reads_the_keyboard_and_gets_one_ctrl_c(run_id: str) -> None:
    keyboard, terminal = os.openpty()
    code = "print('asked', flush=True)\nprint('heard', input(), flush=True)\n" + POLITE
    parent = Parent(code, run_id, stdin=terminal)
    try:
        parent.until("asked")
        os.write(keyboard, b"a word\n")
        assert parent.until("heard") == ["heard a word"]
        parent.until("ready")
        os.write(keyboard, b"\x03")
        assert parent.until("clean\n") == ["cleaning SIGINT", "clean"]  # once
        assert parent.ending() == "KILLED|5|2|Ctrl-C"
    finally:
        os.close(keyboard)
        os.close(terminal)


class _SlowToDie(Tree):
    """Seen three times more when it is dead, as one that holds much memory is."""

    looks = 3

    def alive(self) -> list[psutil.Process]:
        alive = super().alive()
        if alive or self.looks == 0:
            return alive
        self.looks -= 1
        return [psutil.Process()]  # a signal to this one would end the tests


def test_what_is_killed_is_waited_for_however_long_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprolock.engine.process_tree._KILL_SECONDS", 0.4)
    monkeypatch.setattr(
        "reprolock.engine.process_tree._tell", lambda order: None if order.__self__.pid == os.getpid() else order()
    )
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(300)"
    with subprocess.Popen([sys.executable, "-c", deaf], env={MARKER: "slow"}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        tree = _SlowToDie("slow")
        tree.end(0.6)
        assert (process.wait(), tree.looks) == (-signal.SIGKILL, 0)
