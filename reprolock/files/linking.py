"""Link or copy one file to another path, without copying its bytes where the file system allows it.

In: a file and a name that is free. Out: at that name a file with the same bytes, the same time and
no permission to write: a reflink (shares blocks, but is a file of its own), else a hard link (the same
file), else a copy. A write to a hard link is a write to its source.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from errno import EDQUOT, EEXIST, ENAMETOOLONG, ENOENT, ENOSPC
from typing import BinaryIO, Literal

_FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
# The name or the disk is at fault, so that another way of making the file would fail as well.
_FINAL = (ENOENT, EEXIST, ENOSPC, EDQUOT, ENAMETOOLONG)


class Linker:
    """Makes files that share their bytes; remembers which pairs of file systems cannot reflink."""

    def __init__(self) -> None:
        self._without_reflink: set[tuple[int, int]] = set()
        self._devices: dict[str, int] = {}

    def link(self, source: str, device: int, destination: str) -> Literal["reflink", "link", "copy"]:
        """Make `destination` out of `source`, which is on that device, and say how.

        OSError where neither way works; then nothing is left at `destination` that was not there before.
        """
        if self._reflink(source, device, destination):
            return "reflink"
        try:
            os.link(source, destination)
            return "link"
        except OSError as error:
            # Other reasons are many: another disk, too many links to one file, a kernel that forbids
            # links to other people's files, a file system that has no links.
            if error.errno in _FINAL:
                raise
        _new_file(source, destination, shutil.copyfileobj)
        return "copy"

    def _reflink(self, source: str, device: int, destination: str) -> bool:
        folder = destination[: destination.rfind("/") + 1] or "."
        if folder not in self._devices:  # one call a folder, not one a file
            self._devices[folder] = os.stat(folder).st_dev
        pair = (device, self._devices[folder])
        if pair in self._without_reflink:
            return False
        clone = {"linux": _ficlone, "darwin": _clonefile}.get(sys.platform)
        try:
            if clone is not None:
                clone(source, destination)
                return True
        except OSError as error:
            if error.errno in _FINAL:
                raise
        self._without_reflink.add(pair)
        return False


def _ficlone(source: str, destination: str) -> None:
    import fcntl  # Linux only: Windows has no such module

    _new_file(source, destination, lambda old, new: fcntl.ioctl(new.fileno(), _FICLONE, old.fileno()))


def _clonefile(source: str, destination: str) -> None:
    """macOS (APFS): permissions and times come along."""
    system = ctypes.CDLL(None, use_errno=True)
    if system.clonefile(os.fsencode(source), os.fsencode(destination), 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fspath(destination))


def _new_file(source: str, destination: str, fill: Callable[[BinaryIO, BinaryIO], object]) -> None:
    """Make a file that may not be written, have `fill(old, new)` give it its bytes, and give it the old one's time."""
    with open(source, "rb") as old:
        descriptor = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o444)
        try:
            with open(descriptor, "wb") as new:
                fill(old, new)
                new.flush()
                times = os.fstat(old.fileno())
                os.utime(
                    new.fileno() if os.utime in os.supports_fd else destination,
                    ns=(times.st_atime_ns, times.st_mtime_ns),
                )
        except BaseException:
            with suppress(OSError):
                os.unlink(destination)
            raise
