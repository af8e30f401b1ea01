"""Foreign text of half a megabyte is read in time that grows with its size: some of these took hours."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from reprolock.environment.python.declared.inline_metadata import inline_packages
from reprolock.environment.python.declared.refusals import line_refusal, shown
from reprolock.environment.python.declared.requirement_line import Line
from reprolock.environment.python.declared.requirements_file import read_requirements_file
from reprolock.errors import UsageError
from reprolock.files.secrets import Scanner
from reprolock.files.spec_file import parse_spec
from reprolock.model.glob import matches
from reprolock.model.secrecy import redacted, without_userinfo

_SIZE = 500_000
_SECONDS = 10.0
"""Each takes less than one on an idle machine."""
_BEGINNING = '[project]\nname = "flights"\n\n[run]\ncommand = ["python", "train.py"]\n'


def _many(text: str) -> str:
    return text * (_SIZE // len(text))


def _requirements(text: str, folder: Path) -> None:
    (folder / "r.txt").write_text(text)
    list(read_requirements_file(folder / "r.txt", folder, {"HOME": "/root"}))


READ: dict[str, Callable[[Path], object]] = {
    "a token that is none": lambda folder: Scanner({}).check(_many("eyJ-"), "train.py"),
    "keys that are none": lambda folder: redacted(_many("-----BEGIN PRIVATE KEY-----\n ")),
    "an address": lambda folder: without_userinfo("https://host/?" + _many("token")),
    "addresses in a line": lambda folder: shown(_many("a://")),
    "a scheme": lambda folder: shown(_many("a")),
    "blanks": lambda folder: _requirements(f"six{_many(' ')}x", folder),
    "a line of addresses": lambda folder: _requirements(f"x @ {_many('a://')}${{HOME}}", folder),
    "a name": lambda folder: _requirements(_many("a"), folder),
    "a wheel": lambda folder: line_refusal(Line("r.txt:1", "./" + _many(" @ x.whl?"))),
    "a script": lambda folder: inline_packages(_many("# /// script\n")),
    "a name for a glob": lambda folder: matches("a" * 1000, "*a" * 30 + "b"),
    "unknown keys": lambda folder: parse_spec(_BEGINNING + "".join(f"k{number} = 1\n" for number in range(5000))),
    "outputs": lambda folder: parse_spec(
        _BEGINNING + "".join(f'[outputs.o{number}]\npath = "o{number}"\n' for number in range(2000))
    ),
}


@pytest.mark.parametrize("name", READ)
def test_time_grows_with_the_size(name: str, tmp_path: Path) -> None:
    started = time.process_time()
    with suppress(UsageError):  # whatever it is, it is said soon
        READ[name](tmp_path)
    assert time.process_time() - started < _SECONDS
