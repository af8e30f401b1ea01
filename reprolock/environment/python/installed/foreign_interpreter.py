"""Refuse a command that would start a Python from outside the locked environment.

What a command starts is followed as the kernel does it: by a script's first line, `#!`, which may name `env`,
which looks for a program on PATH. What a program or a shell starts after that is not seen.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from reprolock.environment.python.installed.env_store import Environment
from reprolock.errors import UsageError

_PYTHON_PROGRAM = re.compile(r"(?:python|pypy|graalpy)w?[\d.]*(?:t|d)?(?:\.exe)?", re.IGNORECASE)
_LAUNCHERS = {
    "uv": ("run", "tool", "x"),
    "uvx": (),
    "pipx": ("run",),
    "poetry": ("run",),
    "pipenv": ("run",),
    "pdm": ("run",),
    "hatch": ("run",),
    "rye": ("run",),
    "pixi": ("run",),
    **dict.fromkeys(("conda", "mamba", "micromamba"), ("run",)),
}
"""Programs that start a command in an environment of their own, with the words that ask for it; no word: always."""
_SHELLS = ("sh", "bash", "dash", "ksh", "zsh", "fish")
_DEEPEST = 12
"""How far `#!` lines that name one another are followed, `env` included; no kernel goes further."""
_LONGEST = 4096
_SPLIT = re.compile(r"(?:-([iv0]*)S|--split-string(?:=|$))(.*)", re.DOTALL)
_WITH_VALUE = ("-u", "--unset", "-C", "--chdir", "-P")


def is_inside(program: Path, environment: Environment) -> bool:
    """Whether a program, as a path that was looked up on PATH, stands in the environment. Links are not followed."""
    return Path(os.path.realpath(program.parent)) == Path(os.path.realpath(environment.programs))


def launcher_of(argv: Sequence[str | Path]) -> str | None:
    """The launcher that a command begins with, as in `uv run train.py`: it takes another environment than the run's."""
    name = Path(argv[0]).name.removesuffix(".exe")
    words = _LAUNCHERS.get(name)
    if words is None:
        return None
    asked = next((str(word) for word in argv[1:] if not str(word).startswith("-")), "")
    return f"{name} {asked}" if asked in words else None if words else name


def refuse_foreign_python(argv: Sequence[str | Path], environment: Environment, path: str, cwd: Path) -> None:
    """UsageError when a command comes to be run by a Python from elsewhere. What is not a Python passes.

    `argv` begins with the program as it was found; `path` is the run's PATH, `cwd` its folder.
    """
    if (launcher := launcher_of(argv)) is not None:
        raise UsageError(
            f"run.command starts `{launcher}`, which uses its own environment and not the locked one",
            hint="remove it from the command, and declare its packages in [environment]",
        )
    if (option := start_up_option(argv)) is not None:
        raise UsageError(
            f"run.command starts {Path(argv[0]).name} with {option}: its user's start-up files set PATH, and so the Python that runs",
            hint='leave the option out, as in ["bash", "-c", "…"]; what the files set belongs in run.env',
        )
    script = None
    for program in _find_started(argv, path, cwd):
        if is_inside(program, environment):
            return
        if any(_PYTHON_PROGRAM.fullmatch(name) for name in (program.name, Path(os.path.realpath(program)).name)):
            named = f"{script}, whose first line names {program}" if script else str(program)
            better = '"#!/usr/bin/env python"' if script else '"python"'
            raise UsageError(
                f"run.command starts {named}, which is not the locked environment's Python",
                hint=f"write {better}, which is the locked one; environment.isolated = false runs in the current interpreter",
            )
        if script is None and _first_line(program):
            script = Path(os.path.relpath(program, cwd)) if program.is_relative_to(cwd) else program


def start_up_option(argv: Sequence[str | Path]) -> str | None:
    """The option by which a shell is a login shell, or an interactive one; None for another program, and for a shell without."""
    if Path(argv[0]).name not in _SHELLS:
        return None
    for word in map(str, argv[1:]):
        if word in ("--login", "--interactive") or re.fullmatch(r"-[a-zA-Z]*[li][a-zA-Z]*", word):
            return word
        if not word.startswith("-") or re.fullmatch(r"-[a-zA-Z]*c[a-zA-Z]*", word):
            return None
    return None


def _find_started(argv: Sequence[str | Path], path: str, cwd: Path) -> Iterator[Path]:
    """The program, what it names in its first line, what that names."""
    program, arguments = Path(argv[0]), [str(argument) for argument in argv[1:]]
    for _ in range(_DEEPEST):
        yield program
        if line := _first_line(program):
            # The kernel hands over what follows the interpreter as one argument.
            name, *rest = line.split(None, 1)
            program, arguments = cwd / name, [*rest, str(program), *arguments]
            continue
        found, arguments = _named_by_env(arguments, path) if program.name == "env" else (None, [])
        if found is None:
            return
        program = found


def _first_line(program: Path) -> str:
    """What follows `#!`, "" where a file does not begin so."""
    try:
        with program.open("rb") as file:
            line = file.readline(_LONGEST)
    except OSError:
        return ""
    return os.fsdecode(line[2:]).strip() if line.startswith(b"#!") else ""


def _named_by_env(arguments: list[str], path: str) -> tuple[Path | None, list[str]]:
    """The program that `env` starts, with its arguments; None where there is none, which env itself will say."""
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if split := _SPLIT.fullmatch(word):
            path = os.defpath if "i" in (split[1] or "") else path
            text = split[2] or (rest.pop(0) if rest else "")
            try:
                rest = [*shlex.split(text, comments=True), *rest]
            except ValueError:
                return None, rest
        elif word in _WITH_VALUE:
            del rest[:1]
        elif word in ("-", "-i", "--ignore-environment"):
            path = os.defpath
        elif word.startswith("PATH="):
            path = word.removeprefix("PATH=")
        elif not word.startswith("-") and "=" not in word:
            found = shutil.which(word, path=path)
            return Path(found) if found else None, rest
    return None, rest
