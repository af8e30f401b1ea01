"""The parts that reprolock is installed in, and the one sentence about a part that is missing.

`pip install reprolock` brings what init, lock, status, diff, data and audits need. Each extra of pyproject.toml is a part;
its packages are loaded where they are used, inside `needed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from reprolock.errors import MachineError

Part = Literal["mlflow", "spark", "connect", "tables", "export", "stack", "sigstore"]


def missing(part: Part, package: str, asked: str) -> MachineError:
    """The error (exit 8) that `asked` needs a package of a part, which is not installed here."""
    return MachineError(f"{asked} needs {package}, which is not installed beside reprolock", hint=install_hint(part))


def missing_other(requirement: str, asked: str) -> MachineError:
    """The error (exit 8) that `asked` needs a package which is in no part of ours, such as the driver of a database."""
    package = requirement.partition("[")[0]
    return MachineError(f"{asked} needs {package}, which is not installed beside reprolock", hint=_install(requirement))


def install_hint(part: Part) -> str:
    """The command that brings a part."""
    return _install(f"reprolock[{part}]")


def _install(requirement: str) -> str:
    return f'run `pip install "{requirement}"`, or with uv `uv pip install "{requirement}"`'


@contextmanager
def needed(part: Part, asked: str) -> Iterator[None]:
    """Import packages of a part in the body. MachineError (exit 8) names the one that `asked` needs and that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "reprolock":
            raise
        raise missing(part, error.name.partition(".")[0], asked) from None
