"""PYTHONPATH of a command: what it names is searched before the locked packages, so that it must be the run's own."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from reprolock.errors import UsageError


def refuse_unrecorded_modules(python_path: str, work: Path, known: Collection[Path]) -> None:
    """UsageError for a folder of PYTHONPATH that is neither below `work`, where the command runs, nor one of `known`.

    What is imported from there would be neither locked nor recorded.
    """
    own = [folder.resolve() for folder in (work, *known)]
    for entry in filter(None, python_path.split(os.pathsep)):
        folder = (work / entry).resolve()
        if not any(folder.is_relative_to(each) for each in own):
            raise UsageError(
                f"PYTHONPATH names {entry}, which is outside of the run's code: what is imported from there is neither locked nor recorded",
                hint="declare it among environment.packages, or copy it below the project and name it relative to repro.toml",
            )
