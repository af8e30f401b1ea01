"""`make bench`: reprolock against what its users would otherwise do, as ratios within one run.

Each case times whole processes in turn (ours, theirs, ours, …) and prints the medians and the median of the
ratios pair by pair, so that a noisy machine says little. A case whose real service is missing is left out, with the reason.

    python tests/bench/bench.py [--rounds N] [CASE …]
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[2] / ".cache" / "bench"
REPROLOCK = [sys.executable, "-m", "reprolock"]
LARGE = ("scale",)
"""Cases that are measured only when they are named: they take half an hour, and much disk."""


class Command(NamedTuple):
    """A process to time. `before` is run each time first and not timed; a process that fails ends the bench."""

    argv: list[str]
    cwd: Path = FOLDER
    environ: dict[str, str] = {}
    before: Callable[[], object] = lambda: None
    code: int = 0


class Case(NamedTuple):
    """Ours against theirs. `goal` is the ratio ours/theirs that is promised, or, with `more`, how many seconds ours
    may take more; `rounds` replaces the default."""

    name: str
    ours: Command
    theirs: Command
    against: str
    goal: float
    rounds: int | None = None
    more: bool = False


class Missing(Exception):
    """A real service or tool that a case needs is not on this machine."""


def seconds(command: Command) -> float:
    """How long one process takes."""
    command.before()
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    # Compiled once, as installed packages are.
    environ |= {"PYTHONPYCACHEPREFIX": str(FOLDER / "bytecode"), **command.environ}
    started = time.perf_counter()
    done = subprocess.run(command.argv, cwd=command.cwd, env=environ, capture_output=True, text=True)
    took = time.perf_counter() - started
    if done.returncode != command.code:
        raise SystemExit(f"{command.argv} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return took


def measure(case: Case, rounds: int) -> list[str]:
    """One row: name, our median, their median, the median ratio, the goal and whether it is met."""
    seconds(case.ours), seconds(case.theirs)  # caches warm up; the first of anything is slower
    pairs = [(seconds(case.ours), seconds(case.theirs)) for _ in range(case.rounds or rounds)]
    ours, theirs = (statistics.median(pair[index] for pair in pairs) for index in (0, 1))
    found = statistics.median(a - b if case.more else a / b for a, b in pairs)
    shown, goal = (
        (f"{found:+.2f} s", f"goal {case.goal:+g} s") if case.more else (f"{found:.2f}", f"goal {case.goal:g}")
    )
    return [
        case.name,
        f"{ours:.2f} s",
        f"{case.against} {theirs:.2f} s",
        shown,
        goal,
        "met" if found <= case.goal else "MISSED",
    ]


def fresh(name: str) -> Path:
    """An empty folder for a case."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def tool(name: str, *packages: str) -> Path:
    """The folder of programs of an environment of its own, made by uv once."""
    venv = FOLDER / "tools" / name
    if not (venv / ".done").exists():
        subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(venv)], check=True)
        subprocess.run(["uv", "pip", "install", "-q", "--python", str(venv / "bin" / "python"), *packages], check=True)
        (venv / ".done").touch()
    return venv / "bin"


def main() -> None:
    from cases import CASES  # beside this file

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], metavar="CASE", help=", ".join(CASES))
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    # As pip leaves packages; where PYTHONDONTWRITEBYTECODE is set, every start would compile them again.
    for package in ("reprolock", "click"):
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", *find_spec(package).submodule_search_locations], check=True
        )
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    missed = 0
    for name in arguments.cases or [name for name in CASES if name not in LARGE]:
        for row in rows(CASES[name], arguments.rounds):
            missed += "MISSED" in row
            print("  ".join([f"{row[0]:<58}", *(f"{cell:>12}" for cell in row[1:])]), flush=True)
    print(f"{missed} goals missed" if missed else "every goal met")


def rows(make: Callable[[], Iterator[Case | list[str]]], rounds: int) -> Iterator[list[str]]:
    """A group's rows; one that says why, where a service is missing."""
    try:
        for case in make():
            yield case if isinstance(case, list) else measure(case, rounds)
    except Missing as reason:
        yield [f"left out: {reason}"]


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
