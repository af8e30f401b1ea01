"""Temporary folders to build in, beside the final location, so that the result can be renamed into place.

What a killed process left is removed by the next one that builds under the same name. Whether its owner still
lives, a lock on the folder says, which the operating system frees; where folders cannot be locked (Windows,
some network file systems), it has to be a day old.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EAGAIN, EWOULDBLOCK
from glob import escape
from pathlib import Path
from typing import Literal

from reprolock.files.atomic_write import TEMPORARY

_ABANDONED_SECONDS = 86_400.0
_NAME = 40  # characters of a name that are kept: a file's name may have 255 bytes


@contextmanager
def scratch(folder: Path, name: str) -> Iterator[Path]:
    """An empty folder in `folder`, which is made where it is not there; `name` says whose leftovers may be removed.

    OSError where none can be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f".{name[:_NAME]}."
    _clear_abandoned(folder, prefix)
    made, descriptor = _make_and_hold(folder, prefix)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _make_and_hold(folder: Path, prefix: str) -> tuple[Path, int | None]:
    """A new folder and what holds its lock."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=prefix, suffix=TEMPORARY, dir=folder))
        descriptor = _open(made)
        # Between its making and its locking another process may have taken it for abandoned.
        if (descriptor is None or _lock(descriptor) != "taken") and made.exists():
            return made, descriptor
        if descriptor is not None:
            os.close(descriptor)


def _clear_abandoned(folder: Path, prefix: str) -> None:
    for left in folder.glob(f"{escape(prefix)}*{TEMPORARY}"):
        with suppress(OSError):
            age = time.time() - left.stat().st_mtime
            descriptor = _open(left)
            try:
                lock = "impossible" if descriptor is None else _lock(descriptor)
                if lock == "held" or (lock == "impossible" and age > _ABANDONED_SECONDS):
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                if descriptor is not None:
                    os.close(descriptor)


def _open(folder: Path) -> int | None:
    """A descriptor of a folder; None where folders have none, or it is gone."""
    try:
        return os.open(folder, os.O_RDONLY)
    except OSError:
        return None


def _lock(descriptor: int) -> Literal["held", "taken", "impossible"]:
    try:
        import fcntl  # not on Windows
    except ImportError:
        return "impossible"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return "taken" if error.errno in (EAGAIN, EWOULDBLOCK) else "impossible"
    return "held"
