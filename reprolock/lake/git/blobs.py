"""Store and read the contents of the embedded lake: each is a Git blob, or a file beside the repository.

Content up to `LARGE` bytes is a Git blob, mode 100644. Larger content is a file of its own under
`large/`, named by its SHA-256, and Git holds a pointer blob with that name and the size: Git itself
would compress it for half a minute per GiB and read it into memory whole. A pointer is told from
data by its mode, 100755, which no object of a user ever gets; its text decides nothing.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pygit2
from pygit2.enums import FileMode

from reprolock.errors import MachineError
from reprolock.lake.git.loose_objects import CutShort, read_loose
from reprolock.lake.protocol import Object
from reprolock.lake.upload_sources import SizedFile, open_source

LARGE = 64 * 2**20
"""Content of more bytes than this is kept outside the repository. Part of the format: it decides checksums."""
_CHUNK = 2**20
_POINTER = re.compile(rb"reprolock large object\nsha256 ([0-9a-f]{64})\nsize ([0-9]+)\n")


class Entry(NamedTuple):
    """What a Git tree says under a name: the ID of a blob or a tree, and its mode."""

    id: pygit2.Oid
    mode: int

    @property
    def is_folder(self) -> bool:
        return self.mode == FileMode.TREE


class Broken(Exception):
    """Something that a tree names is not there (`missing`), or is there with other bytes. Never leaves the lake."""

    def __init__(self, path: str, *, missing: bool) -> None:
        super().__init__(path)
        self.path = path
        self.missing = missing


class _Pointer(NamedTuple):
    sha256: str
    size: int

    def __bytes__(self) -> bytes:
        return f"reprolock large object\nsha256 {self.sha256}\nsize {self.size}\n".encode()


class Contents:
    """The contents of one repository."""

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._odb = repository.odb
        self._large = Path(repository.path) / "large"

    def store(self, source: Path | BinaryIO) -> tuple[Entry, int, str]:
        """Keep the bytes of a file or stream; its entry, size and checksum. UsageError for what is not a file."""
        if not isinstance(source, Path):
            return self._store_stream(source, _CHUNK)
        with open_source(source) as file:
            return self._store_stream(file, min(file.size + 1, _CHUNK))

    def _store_stream(self, stream: BinaryIO | SizedFile, at_a_time: int) -> tuple[Entry, int, str]:
        head = _read_up_to(stream, LARGE + 1, at_a_time)
        if len(head) <= LARGE:
            blob = self._create_blob(head)
            return Entry(blob, FileMode.BLOB), len(head), str(blob)
        pointer = self._store_large(head, stream)
        blob = self._create_blob(bytes(pointer))
        return Entry(blob, FileMode.BLOB_EXECUTABLE), pointer.size, pointer.sha256

    def _create_blob(self, data: bytes) -> pygit2.Oid:
        try:
            return self._repository.create_blob(data)
        except pygit2.GitError:
            fail_as_written(self._repository, data)
            raise

    def _store_large(self, head: bytes, rest: BinaryIO | SizedFile) -> _Pointer:
        self._large.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._large, prefix=".new-", delete=False) as file:
            try:
                digest, size = hashlib.sha256(), 0
                while head:
                    file.write(head)
                    digest.update(head)
                    size += len(head)
                    head = rest.read(_CHUNK)
                file.flush()
                os.fsync(file.fileno())
                file.close()
                os.chmod(file.name, 0o444)
                place = self._place(digest.hexdigest())
                place.parent.mkdir(exist_ok=True)
                # Also over a file that is there already: it may be damaged, and these bytes are right.
                os.replace(file.name, place)
            except BaseException:
                file.close()
                os.unlink(file.name)
                raise
        return _Pointer(digest.hexdigest(), size)

    def object(self, path: str, entry: Entry) -> Object:
        """Size and checksum of an entry, without its bytes. Broken where they are not there."""
        if pointer := self._pointer(path, entry):
            self._large_size(path, pointer)
            return Object(path, pointer.size, pointer.sha256)
        try:
            _, size = self._odb.read_header(entry.id)
        except KeyError:
            raise Broken(path, missing=True) from None
        except pygit2.GitError:
            raise Broken(path, missing=False) from None
        return Object(path, size, str(entry.id))

    def open(self, path: str, entry: Entry, explain: Callable[[Broken], Exception]) -> BinaryIO:
        """The bytes, verified: a small object's before they are handed out, a large one's as they are read.

        `explain` gives the error that a large object's stream raises at its end, far from its caller.
        """
        if pointer := self._pointer(path, entry):
            self._large_size(path, pointer)
            return io.BufferedReader(_Verified(path, self._place(pointer.sha256), pointer, explain), _CHUNK)
        return io.BytesIO(self._blob(path, entry))

    def _blob(self, path: str, entry: Entry) -> bytes:
        try:
            loose = read_loose(self._repository.path, entry.id)
            return self._odb.read(entry.id)[1] if loose is None else loose  # libgit2 hashes what it reads and compares
        except KeyError:
            raise Broken(path, missing=True) from None
        except (CutShort, pygit2.GitError):
            raise Broken(path, missing=False) from None

    def _pointer(self, path: str, entry: Entry) -> _Pointer | None:
        if entry.mode != FileMode.BLOB_EXECUTABLE:
            return None
        # A mode of 100755 that another Git client pushed may well be plain data.
        if found := _POINTER.fullmatch(self._blob(path, entry)):
            return _Pointer(found[1].decode(), int(found[2]))
        return None

    def _large_size(self, path: str, pointer: _Pointer) -> None:
        try:
            size = self._place(pointer.sha256).stat().st_size
        except FileNotFoundError:
            raise Broken(path, missing=True) from None
        if size != pointer.size:
            raise Broken(path, missing=False)

    def _place(self, sha256: str) -> Path:
        return self._large / sha256[:2] / sha256


class _Verified(io.RawIOBase):
    """A large object's file, hashed while it is read; the end is an error unless the bytes are the pointer's.

    Not seekable: a reader that skips could not be told that the bytes are right.
    """

    def __init__(self, path: str, file: Path, pointer: _Pointer, explain: Callable[[Broken], Exception]) -> None:
        self._path = path
        self._file = open(file, "rb", buffering=0)  # noqa: SIM115 - closed by `close`, with the stream
        self._pointer = pointer
        self._explain = explain
        self._digest = hashlib.sha256()
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer)
        self._digest.update(memoryview(buffer)[:count])
        self._read += count
        ended = count == 0 or self._read >= self._pointer.size
        if ended and (self._read != self._pointer.size or self._digest.hexdigest() != self._pointer.sha256):
            raise self._explain(Broken(self._path, missing=False))
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _read_up_to(stream: BinaryIO | SizedFile, limit: int, at_a_time: int = _CHUNK) -> bytes:
    """A stream may answer with less than was asked for long before its end."""
    parts, size = [], 0
    while size < limit and (part := stream.read(min(limit - size, at_a_time))):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def fail_as_written(repository: pygit2.Repository, data: bytes) -> None:
    """OSError with the reason why bytes could not be written: libgit2 forgets it, and they are written once more."""
    with tempfile.TemporaryFile(dir=repository.path) as probe:
        probe.write(data)


def cannot_write(place: Path, error: Exception) -> MachineError:
    """The sentence for a lake's folder that could not be written."""
    if isinstance(error, OSError) and error.errno:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        reason = "the disk is full" if full else (error.strerror or str(error)).lower()
    else:
        reason = "Git does not say why" if str(error) == "no error" else str(error)
    return MachineError(
        f"the lake in {place} cannot be written: {reason}", hint=f"check the disk that holds {place} and try again"
    )
