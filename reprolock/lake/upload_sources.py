"""Read files and streams for an upload, with one set of messages for what goes wrong meanwhile.

In goes a path that a user named, or a stream, out comes a stream for an upload. Its errors are ours: an
OSError would be taken for a failure of the connection that the bytes are on their way to.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from reprolock.errors import MachineError, UsageError


@contextmanager
def open_source(source: Path) -> Iterator[SizedFile]:
    """The file's bytes as they stand now. UsageError for what is not a readable file."""
    try:
        # Without O_NONBLOCK, opening a pipe without a writer would wait for ever.
        descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise UsageError(f"{source} does not exist", hint="name a file or folder that exists") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{source} cannot be read: {reason}", hint="name a file that you may read") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"{source} is not a regular file", hint="put a file or a folder of files")
    with SizedFile(descriptor, source) as file:
        yield file


class SizedFile(io.RawIOBase):
    """A file's first `size` bytes, that being its size when it was opened: what an upload announces.

    A file that another program appends to meanwhile ends where it did; one that became shorter is an error,
    for the rest of the announced bytes would never come.
    """

    def __init__(self, descriptor: int, source: Path) -> None:
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self._source = source
        self.size = os.fstat(descriptor).st_size

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True: an upload that is sent again starts from the beginning."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As for any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As for any file."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer up to the announced end. UsageError where the file ends before it."""
        left = self.size - self._file.tell()
        try:
            count = self._file.readinto(memoryview(buffer)[:left]) or 0
        except OSError as error:
            raise _unreadable(str(self._source), error) from error
        if left and buffer and not count:
            raise UsageError(
                f"{self._source} became shorter while it was read", hint="put it again when no program writes to it"
            )
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


class Guarded:
    """A stream of anybody's, read once from where it stands. MachineError where it cannot be read on."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream, self._name = stream, name

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, b"" at the end."""
        try:
            return self._stream.read(size)
        except OSError as error:
            raise _unreadable(self._name, error) from error


def _unreadable(name: str, error: OSError) -> MachineError:
    return MachineError(
        f"{name} cannot be read to its end: {error.strerror or error}", hint="try again; nothing was put"
    )
