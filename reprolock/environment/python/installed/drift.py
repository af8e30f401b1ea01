"""Compare the current interpreter with the lock, for `isolated = false` and `reprolock env`."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from packaging.markers import Marker
from packaging.version import InvalidVersion, Version

from reprolock.environment.python.interpreters.find_python import Python
from reprolock.environment.python.interpreters.interpreter import list_installed
from reprolock.errors import PinError
from reprolock.model.lock import EnvironmentPin
from reprolock.model.words import counted

TO_INSTALL = "install what is locked (`reprolock env --export requirements` writes it for pip), or leave out environment.isolated = false"
"""What to do where the interpreter drifts."""


class Difference(NamedTuple):
    """One package, or Python itself: the version that is locked and the one that was found, None for none."""

    name: str
    locked: str | None
    found: str | None

    @property
    def fails(self) -> bool:
        """What the lock does not ask for is recorded and no drift: an interpreter has tools of its own."""
        return self.locked is not None

    def __str__(self) -> str:
        return f"{self.name}  locked {self.locked or 'nowhere'}  found {self.found or 'nowhere'}"


def drift(pin: EnvironmentPin, path: Sequence[str] | None = None) -> list[Difference]:
    """Where this interpreter differs from the lock on this platform, Python first, then by name; empty for nowhere.

    `path` are the folders whose distributions count, sys.path unless given; the first one wins.
    """
    here = Python(Path(sys.executable), platform.python_version(), platform.python_implementation())
    meaning = here.markers()
    locked = {package.name: package.version for package in pin.package if _holds(package.marker, meaning)}
    found = list_installed([Path(folder) for folder in (sys.path if path is None else path)])
    differences = (
        [Difference("python", pin.python, here.version)] if pin.python not in (here.feature, here.version) else []
    )
    for name in sorted(locked.keys() | found.keys()):
        if not _equal(locked.get(name), found.get(name)):
            differences.append(Difference(name, locked.get(name), found.get(name)))
    return differences


def refuse_drift(pin: EnvironmentPin, path: Sequence[str] | None = None) -> tuple[Difference, ...]:
    """PinError (exit 4) with a table where the interpreter drifts; else what it has beyond the lock, to be recorded."""
    differences = drift(pin, path)
    failing = [difference for difference in differences if difference.fails]
    if failing:
        raise PinError(
            f"the current interpreter differs from repro.lock in {counted(len(failing), 'package')}",
            problems=table(failing),
            hint=TO_INSTALL,
        )
    return tuple(differences)


def table(differences: Sequence[Difference]) -> tuple[str, ...]:
    """The differences as aligned lines under a heading."""
    rows = [
        ("package", "locked", "found"),
        *((item.name, item.locked or "-", item.found or "-") for item in differences),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return tuple("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _holds(marker: str | None, meaning: dict[str, str]) -> bool:
    return marker is None or Marker(marker).evaluate(meaning)


def _equal(locked: str | None, found: str | None) -> bool:
    if locked is None or found is None:
        return locked == found
    try:
        return Version(locked) == Version(found)
    except InvalidVersion:
        return locked == found
