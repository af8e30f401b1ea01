"""Find files of the code that git-lfs has left as pointers: the command would read a few lines of text in their place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reprolock.environment.code.snapshot import Snapshot, contents

_BEGINNING = b"version https://git-lfs.github.com/spec/"
_SIZES = range(100, 1025)
"""Bytes; its specification says fewer than 1024."""
_MOST = 1000
"""How many files of such a size are looked at: where there are more, they are text."""


def lfs_pointers(code: Snapshot, root: Path) -> Iterator[str]:
    """Their paths. `root` is where the code is."""
    small = tuple(file for file in code.files if file.size in _SIZES and file.mode != "120000")
    if len(small) <= _MOST:
        yield from (
            file.path for file, data in contents(code._replace(files=small), root) if data.startswith(_BEGINNING)
        )
