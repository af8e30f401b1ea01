"""`ObjectCache`: a folder of bytes, each file named by the SHA-256 of its content. Bytes in, read-only files out.

    objects/ab/cdef…   the bytes; mode 0444, modified at `STAMP`, last used at the time of access
    index.sqlite       what a lake calls them (scheme, checksum, size) → SHA-256
    partial/           what is being written

A file whose size or time is not what this module left was touched by somebody (a hard link of it
may stand in a user's folder): it is hashed again, and thrown away unless it still is its name. That
every file has the same time makes this check need no memory, and a reader of times
(Spark's `binaryFile`) sees the same ones in every run. Two processes may fill one cache at once: a
file appears by a rename, and what a killed one leaves lies in `partial/` or is a whole object.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple, Protocol

from reprolock.files.failures import cannot_read, cannot_write
from reprolock.files.linking import Linker
from reprolock.files.object_index import Key, ObjectIndex

STAMP = 946_684_800_000_000_000
"""When every cached file was modified, in nanoseconds: 2000-01-01 UTC. Even seconds, for FAT; after 1980, for zip."""
# Read, hashed and written while a processor's cache still holds it.
_CHUNK = 2**18
_ABANDONED_SECONDS = 86_400.0
# Written once a day at most, so that a second use of an object costs no write.
_USED_SECONDS = 86_400.0
_LINK_TRIES = 20


class Stream(Protocol):
    """What bytes are read from."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer as far as may be; how many bytes that were, 0 at the end."""
        ...


class Entry(NamedTuple):
    """One object of the cache: the SHA-256 of its bytes, 64 hex characters, and how many they are."""

    sha256: str
    size: int


class Usage(NamedTuple):
    """How many objects and their bytes; `linked` bytes also stand in some folder, and outlive a trim there."""

    objects: int
    bytes: int
    linked: int


class ObjectCache:
    """Every method may be called from several threads and processes at once.

    MachineError (exit 8) where the folder cannot be written or the disk is full; nothing is made
    before something is added.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index = ObjectIndex(folder / "index.sqlite")
        self._linker = Linker()
        self._prepared = False
        # One writer's files never meet another's, nor those of one that was killed.
        self._token, self._numbers = token_hex(8), count()
        self._local = threading.local()

    def known(self, keys: Iterable[Key]) -> dict[Key, Entry]:
        """Those of the keys that were learnt. Whether the bytes are still there, `place` and `holds` say."""
        return {key: Entry(sha256, key.size) for key, sha256 in self._index.known(keys).items()}

    def learn(self, pairs: Iterable[tuple[Key, Entry]]) -> None:
        """Remember what a lake calls these objects. Many at once: each call is one write to the disk."""
        self._prepare()
        self._index.learn((key, entry.sha256) for key, entry in pairs)

    def add(self, stream: Stream) -> Entry:
        """Read a stream to its end and keep its bytes. Errors of the stream pass through; then nothing is kept."""
        self._prepare()
        digest, size, buffer = hashlib.sha256(), 0, self._buffer()
        partial = f"{self.folder}/partial/{self._token}-{os.getpid()}-{next(self._numbers)}"
        with self._writing():
            # The mode binds later openings only: this one writes.
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o444)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                while count := stream.readinto(buffer):
                    digest.update(buffer[:count])
                    size += count
                    with self._writing():
                        _write_all(file, buffer[:count])
            entry = Entry(digest.hexdigest(), size)
            with self._writing():
                # What stands there whole stays: a link to a file fails while another is renamed over it.
                if self.holds(entry):
                    os.unlink(partial)
                else:
                    _stamp(partial)
                    os.replace(partial, self._path(entry.sha256))
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise
        return entry

    def holds(self, entry: Entry) -> bool:
        """Whether the object is here and whole."""
        return self._intact(self._path(entry.sha256), entry) is not None

    def read(self, sha256: str) -> bytes | None:
        """A small object's bytes, hashed as they are read; None where it is not here, or no longer its name."""
        path = self._path(sha256)
        try:
            data = Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise cannot_read(Path(path), error) from error
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
        self._throw_away(path)
        return None

    def place(self, entry: Entry, destination: str) -> bool:
        """Make the file `destination`, read-only, sharing the object's bytes where that can be.

        False where the object is not here or was damaged (and is now gone): fetch it again. OSError
        where `destination` cannot be made; it is never half there.
        """
        path = self._path(entry.sha256)
        for _ in range(_LINK_TRIES):
            status = self._intact(path, entry)
            if status is None:
                return False
            try:
                self._linker.link(path, status.st_dev, destination)
                return True
            except FileNotFoundError:
                if not os.path.isdir(os.path.dirname(destination) or "."):
                    raise
                # Trimmed just now; or another process put the same object in its place between a link's
                # two steps, finding the file and counting the link, and then it is there again.
        return False

    def usage(self) -> Usage:
        """What is here now."""
        found = list(self._files())
        sizes = [status.st_size for _, status in found]
        return Usage(len(found), sum(sizes), sum(status.st_size for _, status in found if status.st_nlink > 1))

    def trim(self, *, max_bytes: int | None = None, older_than: timedelta | None = None) -> Usage:
        """Remove what was not used for so long, then the least recently used until `max_bytes` are left; what went.

        Trees that were made before keep their bytes.
        """
        found = sorted(self._files(), key=lambda item: item[1].st_atime_ns)
        left, oldest = sum(status.st_size for _, status in found), None
        if older_than is not None:
            oldest = time.time() - older_than.total_seconds()
        gone: list[tuple[str, os.stat_result]] = []
        for path, status in found:
            too_old = oldest is not None and status.st_atime < oldest
            if too_old or (max_bytes is not None and left > max_bytes):
                with self._writing():
                    Path(path).unlink(missing_ok=True)
                left -= status.st_size
                gone.append((path, status))
        self._clear_abandoned()
        self._index.forget(_name(path) for path, _ in gone)
        sizes = [status.st_size for _, status in gone]
        return Usage(len(gone), sum(sizes), sum(status.st_size for _, status in gone if status.st_nlink > 1))

    def _buffer(self) -> memoryview:
        """One a thread: making it costs more than filling it."""
        buffer: memoryview | None = getattr(self._local, "buffer", None)
        if buffer is None:
            buffer = self._local.buffer = memoryview(bytearray(_CHUNK))
        return buffer

    def _path(self, sha256: str) -> str:
        return f"{self.folder}/objects/{sha256[:2]}/{sha256[2:]}"

    def _intact(self, path: str, entry: Entry) -> os.stat_result | None:
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):  # what stands in the folder's place is named by whoever writes
            return None
        except OSError as error:
            raise cannot_read(Path(path), error) from error
        if status.st_size != entry.size or status.st_mtime_ns != STAMP:
            return status if self._hashed_again(path, entry) else None
        if time.time() - status.st_atime > _USED_SECONDS:
            with suppress(OSError):  # another user's cache: then its age is not kept
                _stamp(path)
        return status

    def _hashed_again(self, path: str, entry: Entry) -> bool:
        """Somebody touched the file: it stays when it still is its name, and goes when it is not."""
        try:
            with open(path, "rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
        except FileNotFoundError:
            return False
        except OSError as error:
            raise cannot_read(Path(path), error) from error
        if not same:
            self._throw_away(path)
            return False
        try:
            os.chmod(path, 0o444)
            _stamp(path)
        except FileNotFoundError:  # trimmed meanwhile
            return False
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        return True

    def _throw_away(self, path: str) -> None:
        with self._writing():
            Path(path).unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        try:
            for folder in os.scandir(self.folder / "objects"):
                for item in os.scandir(folder):
                    with suppress(FileNotFoundError):
                        yield item.path, item.stat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise cannot_read(self.folder, error) from error

    def _clear_abandoned(self) -> None:
        """Remove what killed processes left in `partial/` a day ago or more."""
        with suppress(FileNotFoundError):
            for item in os.scandir(self.folder / "partial"):
                with suppress(OSError):
                    if time.time() - item.stat().st_ctime > _ABANDONED_SECONDS:
                        os.unlink(item.path)

    def _prepare(self) -> None:
        if self._prepared:
            return
        with self._writing():
            for name in ("partial", *(f"objects/{number:02x}" for number in range(256))):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._prepared = True

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self.folder, error) from error


def _name(path: str) -> str:
    folder, rest = Path(path).parts[-2:]
    return folder + rest


def _stamp(path: str) -> None:
    os.utime(path, ns=(time.time_ns(), STAMP))


def _write_all(file: io.FileIO, data: memoryview) -> None:
    """An unbuffered file may take less than it is given (a disk that is just filling up)."""
    while data:
        data = data[file.write(data) :]
