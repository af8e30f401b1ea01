"""Refuse variables by which a command's Python would import modules that are neither locked nor recorded."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from reprolock.errors import MachineError, UsageError

_OTHER_PYTHON = ("PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX")


def refuse_other_python(given: Mapping[str, str]) -> None:
    """UsageError for a variable, of those that the spec gives or lets pass, that names another standard library, other
    packages or other compiled modules."""
    for name in _OTHER_PYTHON:
        if given.get(name):
            raise UsageError(
                f"{name} is given to the command: what Python imports from there is neither locked nor recorded",
                hint="remove it from run.env and run.pass_env",
            )


def refuse_unrecorded_modules(python_path: str, work: Path, known: Collection[Path]) -> None:
    """UsageError for a folder of PYTHONPATH that is neither below `work`, where the command runs, nor one of `known`.

    What is imported from there would be neither locked nor recorded. MachineError for a `work` that PYTHONPATH cannot name.
    """
    if python_path and os.pathsep in str(work):
        raise MachineError(
            f'the folder {work} has "{os.pathsep}" in its path, at which Python takes PYTHONPATH apart: it would find no module there',
            hint=f'move the project to a path without "{os.pathsep}"',
        )
    own = [folder.resolve() for folder in (work, *known)]
    for entry in filter(None, python_path.split(os.pathsep)):
        folder = (work / entry).resolve()
        if not any(folder.is_relative_to(each) for each in own):
            raise UsageError(
                f"PYTHONPATH names {entry}, which is outside of the run's code: what is imported from there is neither locked nor recorded",
                hint="declare it among environment.packages, or copy it below the project and name it relative to repro.toml",
            )
