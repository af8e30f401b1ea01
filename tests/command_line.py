"""The command line, run in this process: what a person sees, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from reprolock.cli.main import run_command_line


class Said(NamedTuple):
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Said]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """`cli("lock", "--check")` in the test's folder."""

    def run(*arguments: str, root: Path = tmp_path) -> Said:
        capfd.readouterr()
        code = run_command_line(["-C", str(root), *arguments])
        said = Said(code, *capfd.readouterr())
        if "--json" in arguments:
            from json_answers import check_answer  # the schemas take a moment

            check_answer(arguments, said.out)
        return said

    return run
