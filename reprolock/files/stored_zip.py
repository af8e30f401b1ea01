"""A ZIP file of which every byte is decided by its members: stored, ZIP64, no dates, no gaps, no comments.

Written in one pass, whatever the sizes. Because names, sizes and contents leave nothing open, a reader can say of each
byte whether it is as written: headers are made again and compared, so no archive can say one thing in its directory and
another beside its data. What other programs wrote is refused, with the reason that a person can act on.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, NamedTuple

MOST_MEMBERS = 200_000
_CHUNK = 1 << 20
_LONGEST_NAME = 512
_LARGE = 0xFFFFFFFF
_DATE = 0x21  # 1980-01-01, the earliest that there is
_ATTRIBUTES = 0o100644 << 16  # a regular file
_LOCAL = struct.Struct("<4s5H3L2HHHQQ")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_CENTRAL_EXTRA = struct.Struct("<HHQQQ")
_LONGEST_ENTRY = _CENTRAL.size + _LONGEST_NAME + _CENTRAL_EXTRA.size
_END = struct.Struct("<4sQ2H2L4Q4sLQL4s4H2LH")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.I)


class BadArchive(ValueError):
    """Why a file is not taken; the text ends a sentence."""


class Member(NamedTuple):
    """A file in the archive. `offset` is where its header begins."""

    name: str
    size: int
    crc: int
    offset: int

    @property
    def data_offset(self) -> int:
        return self.offset + _LOCAL.size - 20 + len(self.name) + 20

    @property
    def end(self) -> int:
        return self.data_offset + self.size

    @property
    def header(self) -> bytes:
        """The bytes before its data."""
        packed = _LOCAL.pack(
            b"PK\3\4", 45, 0, 0, 0, _DATE, self.crc, _LARGE, _LARGE, len(self.name), 20, 1, 16, self.size, self.size
        )
        return packed[:-20] + self.name.encode("ascii") + packed[-20:]

    @property
    def entry(self) -> bytes:
        """Its line in the directory."""
        fixed = (b"PK\1\2", 3 << 8 | 45, 45, 0, 0, 0, _DATE, self.crc, _LARGE, _LARGE)
        packed = _CENTRAL.pack(*fixed, len(self.name), 28, 0, 0, 0, _ATTRIBUTES, _LARGE)
        return packed + self.name.encode("ascii") + _CENTRAL_EXTRA.pack(1, 24, self.size, self.size, self.offset)


def _end(count: int, start: int, size: int) -> bytes:
    """What stands behind the directory."""
    whole = (b"PK\6\6", 44, 3 << 8 | 45, 45, 0, 0, count, count, size, start)
    return _END.pack(*whole, b"PK\6\7", 0, start + size, 1, b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, _LARGE, _LARGE, 0)


class StoredZip:
    """Writes into an empty file that can be sought in. `digests` are the SHA-256 of what is in it by name."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._members: list[Member] = []
        self._at = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hashing")
        self.digests: dict[str, str] = {}

    def add(
        self,
        name: str | None,
        chunks: Iterable[bytes],
        *,
        named: Callable[[str], str] = str,
        also: Callable[[bytes], object] | None = None,
    ) -> str:
        """Add a file, and give its SHA-256. Without a name `named` makes it of the SHA-256 (always of one length); bytes that
        are there under that name already are not kept twice. `also` sees each chunk, in another thread."""
        start, crc, size, state = self._at, 0, 0, hashlib.sha256()
        draft = Member(name if name is not None else named("0" * 64), 0, 0, start)
        self._file.write(draft.header)
        pending: Future[None] | None = None

        def digest(chunk: bytes) -> None:
            state.update(chunk)
            if also is not None:
                also(chunk)

        for chunk in chunks:
            if pending is not None:
                pending.result()
            pending = self._pool.submit(digest, chunk)
            crc = zlib.crc32(chunk, crc)
            self._file.write(chunk)
            size += len(chunk)
        if pending is not None:
            pending.result()
        found = state.hexdigest()
        member = Member(name if name is not None else named(found), size, crc, start)
        if name is None and member.name in self.digests:
            self._file.seek(start)
            self._file.truncate()
            return found
        self._file.seek(start)
        self._file.write(member.header)
        self._file.seek(member.end)
        self._at = member.end
        self._members.append(member)
        self.digests[member.name] = found
        return found

    def finish(self) -> None:
        """Write the directory. Nothing can be added afterwards."""
        self._pool.shutdown()
        entries = [member.entry for member in self._members]
        for entry in entries:
            self._file.write(entry)
        self._file.write(_end(len(entries), self._at, sum(map(len, entries))))

    def close(self) -> None:
        """Give back the thread, whatever became of the file."""
        self._pool.shutdown(cancel_futures=True)


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """A file's bytes, a piece at a time."""
    while chunk := file.read(_CHUNK):
        yield chunk


def read_directory(file: BinaryIO) -> list[Member]:
    """Every member, in the order in which they stand. BadArchive for what `StoredZip` did not write, or that was changed."""
    size = file.seek(0, os.SEEK_END)
    tail = min(size, _END.size)
    file.seek(size - tail)
    end = file.read(tail)
    if tail < _END.size or end[:4] != b"PK\6\6":
        raise BadArchive(_foreign(file))
    count, directory, start = (_END.unpack(end)[index] for index in (6, 8, 9))
    if count > MOST_MEMBERS:
        raise BadArchive(f"it holds {count} files, more than {MOST_MEMBERS}")
    if directory > count * _LONGEST_ENTRY:
        raise BadArchive("its directory holds more than its files")
    if start + directory + _END.size != size or end != _end(count, start, directory):
        raise BadArchive("its end is not as reprolock writes it")
    file.seek(start)
    members = list(_entries(file.read(directory), count))
    at = 0
    for member in members:
        if member.offset != at or member.end > start:
            raise BadArchive(f"{member.name} is not where its directory says, or not as long")
        at = member.end
    if at != start:
        raise BadArchive("it holds bytes that belong to no file")
    _refuse_twins(member.name for member in members)
    return members


def read_member(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """A member's bytes, a piece at a time. BadArchive where its header, or at the end its checksum, is another."""
    file.seek(member.offset)
    if file.read(member.data_offset - member.offset) != member.header:
        raise BadArchive(f"what stands before {member.name} is not as reprolock writes it")
    left, crc = member.size, 0
    while left:
        chunk = file.read(min(_CHUNK, left))
        if not chunk:
            raise BadArchive(f"{member.name} is cut short")
        crc = zlib.crc32(chunk, crc)
        left -= len(chunk)
        yield chunk
    if crc != member.crc:
        raise BadArchive(f"{member.name} was changed")


def check_name(name: str) -> None:
    """BadArchive for a name that leads out of a folder, or that some system cannot hold."""
    shown = ascii(name[:80])[1:-1]
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or re.match(r"[A-Za-z]:", name):
        raise BadArchive(f'it names "{shown}", which is an absolute path')
    if ".." in parts:
        raise BadArchive(f'it names "{shown}", which leads out of its folder')
    if any(_DEVICE.match(part) for part in parts):
        raise BadArchive(f'it names "{shown}", which is a device on Windows')
    if (
        not re.fullmatch(r"[!-~]+", name)
        or len(name) > _LONGEST_NAME
        or any(part.endswith(".") or not part for part in parts)
    ):
        raise BadArchive(f'it names "{shown}", which cannot be the name of a file in a bundle')


def _entries(data: bytes, count: int) -> Iterator[Member]:
    at, last = 0, "its beginning"
    for _ in range(count):
        broken = BadArchive(f"its directory is not as reprolock writes it, after {last}")
        fixed = data[at : at + _CENTRAL.size]
        if len(fixed) < _CENTRAL.size:
            raise broken
        *_, crc, _, _, length, _, _, _, _, _, _ = _CENTRAL.unpack(fixed)
        name = data[at + _CENTRAL.size : at + _CENTRAL.size + length].decode("latin-1")
        extra = data[at + _CENTRAL.size + length : at + _CENTRAL.size + length + _CENTRAL_EXTRA.size]
        if len(extra) < _CENTRAL_EXTRA.size:
            raise broken
        check_name(name)
        member = Member(name, _CENTRAL_EXTRA.unpack(extra)[2], crc, _CENTRAL_EXTRA.unpack(extra)[4])
        entry = member.entry
        if data[at : at + len(entry)] != entry:
            raise broken
        at, last = at + len(entry), name
        yield member
    if at != len(data):
        raise BadArchive("its directory holds more than its files")


def _refuse_twins(names: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other is not name:
            what = "twice" if other == name else f'beside "{other}", which is the same file on other systems'
            raise BadArchive(f'it names "{name}" {what}')


def _foreign(file: BinaryIO) -> str:
    """Why a file that reprolock did not write is not taken: the first thing that is dangerous in it, or that it is none."""
    try:
        count = _count(file)
        if count > MOST_MEMBERS:
            return f"it holds {count} files, more than {MOST_MEMBERS}"
        with zipfile.ZipFile(file) as archive:
            for item in archive.infolist():
                check_name(item.filename.removesuffix("/"))
                kind = item.external_attr >> 28
                if kind not in (0, 8, 4):
                    return f'"{item.filename}" is neither a file nor a folder'
                if item.compress_size != item.file_size:
                    return f'"{item.filename}" is compressed, which no file of a bundle is'
            _refuse_twins(item.filename for item in archive.infolist())
    except BadArchive as error:
        return str(error)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error, MemoryError):
        return "it is not a complete ZIP file"
    return "it is a ZIP file that reprolock did not write"


def _count(file: BinaryIO) -> int:
    """How many members an ordinary ZIP file says that it has: to list too many would take long."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 66_000))
    tail = file.read()
    large, end = tail.rfind(b"PK\6\6"), tail.rfind(b"PK\5\6")
    if large >= 0 and len(tail) >= large + 40:
        return int(struct.unpack_from("<Q", tail, large + 32)[0])
    return int(struct.unpack_from("<H", tail, end + 10)[0]) if 0 <= end <= len(tail) - 22 else 0
