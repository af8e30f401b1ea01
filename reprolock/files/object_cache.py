"""`ObjectCache`: a folder of read-only files, each named by the checksum that a lake gives its bytes.

    objects/ab/cdef…-1024   the bytes, by checksum and size; mode 0444, modified at `STAMP`, last used at the time of access
    objects/ab/cdef…        a note, by the SHA-256 of what it is about
    partial/                what is being written

Where only the lake itself can compute an object's checksum (lakeFS: an upload in parts), the bytes are named by their
SHA-256, and a note says so.

A file whose size or time is not what this module left was changed from outside (a hard link of it
may stand in a user's folder): it is hashed again, and thrown away unless it still is its name. That
every file has the same time makes this check need no memory, and a reader of times
(Spark's `binaryFile`) sees the same ones in every run. Other bytes under the same size and time are not detected so:
a replay, which is evidence, opens the cache with `hashing` and takes neither's word. Two processes may fill one cache at
once: a file appears by a rename, and what a killed one leaves lies in `partial/` or is a whole object.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from reprolock.files.linking import Linker
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.model.content import Check, Content, Mismatch
from reprolock.model.digest import sha256

STAMP = 946_684_800_000_000_000
"""When every cached file was modified, in nanoseconds: 2000-01-01 UTC. Even seconds, for FAT; after 1980, for zip."""
_CHUNK = 2**18  # read and hashed while a processor's cache still holds it
_ABANDONED_SECONDS = 86_400.0
# Written once a day at most, so that a second use of an object costs no write.
_USED_SECONDS = 86_400.0
_LINK_TRIES = 20
_BINARY = getattr(os, "O_BINARY", 0)  # Windows alone has text files


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

    def __init__(self, folder: Path, *, hashing: bool = False) -> None:
        """`hashing`: an object that was here before is hashed before it is held or placed, though its size and time are as
        they were left."""
        self.folder = folder
        # With `hashing`: where nothing else can stand than what this cache wrote or hashed.
        self._trusted: set[str] | None = set() if hashing else None
        self._linker = Linker()
        self._prepared = False
        # One writer's files never meet another's, nor those of one that was killed.
        self._token, self._numbers = token_hex(8), count()

    def draft(self) -> Draft:
        """An object that is still being written, by one thread."""
        self._prepare()
        return Draft(self, f"{self.folder}/partial/{self._token}-{os.getpid()}-{next(self._numbers)}")

    def holds(self, content: Content) -> bool:
        """Whether the object is here and whole."""
        return self._intact(self.path(content), content) is not None

    def place(self, content: Content, destination: str) -> bool:
        """Make the file `destination`, read-only, sharing the object's bytes where that can be.

        False where the object is not here or was damaged (and is now gone): fetch it again. OSError
        where `destination` cannot be made; it is never half there.
        """
        path = self.path(content)
        for _ in range(_LINK_TRIES):
            status = self._intact(path, content)
            if status is None or path is None:
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

    def note(self, about: bytes) -> bytes | None:
        """What was noted about something; None where nothing was. Whether it holds, the reader has to see."""
        path = self._noted(about)
        try:
            with open(path, "rb") as file:
                note, status = file.read(), os.fstat(file.fileno())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise cannot_read(Path(path), error) from error
        self._use(path, status)
        return note

    def write_note(self, about: bytes, note: bytes) -> None:
        """Remember a few bytes about something; the last ones stay."""
        draft = self.draft()
        try:
            draft.write(note)
            draft.move(self._noted(about))
        except BaseException:
            draft.drop()
            raise

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
        gone: list[os.stat_result] = []
        for path, status in found:
            too_old = oldest is not None and status.st_atime < oldest
            if too_old or (max_bytes is not None and left > max_bytes):
                with _writing(self.folder):
                    Path(path).unlink(missing_ok=True)
                left -= status.st_size
                gone.append(status)
        self._clear_abandoned()
        sizes = [status.st_size for status in gone]
        return Usage(len(gone), sum(sizes), sum(status.st_size for status in gone if status.st_nlink > 1))

    def path(self, content: Content) -> str | None:
        """Where an object stands, or would; None for a checksum that cannot be computed, which may be any text."""
        return (
            content.algorithm and f"{self.folder}/objects/{content.checksum[:2]}/{content.checksum[2:]}-{content.size}"
        )

    def _noted(self, about: bytes) -> str:
        name = sha256(about)
        return f"{self.folder}/objects/{name[:2]}/{name[2:]}"

    def _intact(self, path: str | None, content: Content) -> os.stat_result | None:
        if path is None:
            return None
        try:
            status = os.lstat(path)
        except (
            FileNotFoundError,
            NotADirectoryError,
        ):  # what stands in the folder's place is reported by the code that writes
            return None
        except OSError as error:
            raise cannot_read(Path(path), error) from error
        if not stat.S_ISREG(status.st_mode):
            self._throw_away(path)
            return None
        touched = status.st_size != content.size or status.st_mtime_ns != STAMP
        doubted = self._trusted is not None and path not in self._trusted
        if (touched or doubted) and not self._hashed_again(path, content):
            return None
        if touched:
            return status if self._restore(path) else None
        self._use(path, status)
        return status

    def _use(self, path: str, status: os.stat_result) -> None:
        if time.time() - status.st_atime > _USED_SECONDS:
            with suppress(OSError):  # another user's cache: then its age is not kept
                _stamp(path)

    def _hashed_again(self, path: str, content: Content) -> bool:
        """The file stays when it still is its name, and goes when it is not."""
        check = Check(content)
        try:
            with open(path, "rb", buffering=0) as file:
                shutil.copyfileobj(file, check, _CHUNK)
            same = check.finish()
        except FileNotFoundError:
            return False
        except Mismatch:
            same = False
        except OSError as error:
            raise cannot_read(Path(path), error) from error
        if same:
            self.trust(path)
        else:
            self._throw_away(path)
        return same

    def trust(self, path: str) -> None:
        """The bytes that stand there were just written, or hashed."""
        if self._trusted is not None:
            self._trusted.add(path)

    def _restore(self, path: str) -> bool:
        """Restore the time of a file whose bytes are unchanged: it looks again as it was left. False where it is gone."""
        try:
            os.chmod(path, 0o444)
            _stamp(path)
        except FileNotFoundError:  # trimmed meanwhile
            return False
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        return True

    def _throw_away(self, path: str) -> None:
        with _writing(self.folder):
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
        with _writing(self.folder):
            for name in ("partial", *(f"objects/{number:02x}" for number in range(256))):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._prepared = True


class Draft:
    """The bytes of an object on their way into a cache: `write` them, then `keep` or `drop` it. Nothing of it counts before."""

    def __init__(self, cache: ObjectCache, path: str) -> None:
        self._cache = cache
        self._path = path
        with _writing(cache.folder):
            # The mode binds later openings only: this one writes.
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o444)
        self._open = True

    def write(self, data: bytes) -> int:
        """The next bytes; how many they are. Many at a time: each call is one write to the disk."""
        left = memoryview(data)
        with _writing(self._cache.folder):
            while left:  # a disk that is just filling up takes less than it is given
                left = left[os.write(self._descriptor, left) :]
        return len(data)

    def keep(self, content: Content) -> None:
        """The object is whole, checked against its checksum by the code that wrote it, and is in the cache."""
        # What stands there whole stays: a link to a file fails while another is renamed over it.
        if self._cache.holds(content):
            self.drop()
        else:
            path = self._cache.path(content)
            assert path  # the code that checked it could compute its checksum
            self.move(path)

    def move(self, path: str) -> None:
        """Stand there, whatever stood there."""
        with _writing(self._cache.folder):
            _stamp(self._descriptor if os.utime in os.supports_fd else self._path)
            self._close()
            os.replace(self._path, path)
        self._cache.trust(path)

    def drop(self) -> None:
        """Nothing of it is kept."""
        self._close()
        with suppress(OSError):
            os.unlink(self._path)

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._descriptor)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(folder, error) from error


def _stamp(path: str | int) -> None:
    os.utime(path, ns=(time.time_ns(), STAMP))
