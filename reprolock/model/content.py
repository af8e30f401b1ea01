"""Check an object's bytes against the checksum and size that a lake gives.

A Git lake's checksums can always be computed again: a Git blob ID, or a SHA-256 for large content.
lakeFS keeps ETags, of which 32 hex digits may be three things: the MD5 of the bytes; the MD5 over the
MD5s of an upload's parts, less the "-N" that S3 would add; or nothing that can be computed, where S3
encrypts with keys of its own. What the store says beside the bytes tells which. Of an upload in parts the sizes that
programs use are tried; where none fits, or nothing tells, parts cannot be told from damage, and the object counts as
not verified.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal, NamedTuple

SMALLEST_PART = 5 * 2**20
"""S3's rule for all parts of an upload but the last: a smaller object was one part."""

Algorithm = Literal["git", "sha256", "md5"]
Meaning = Literal["bytes", "other", "unknown", "computable"] | int
"""What an ETag was computed over. A number: the MD5s of so many parts of an upload; "other": nothing that can be computed;
"computable": the bytes, or parts of any size that programs use, whatever it costs to try them all."""

_MIB, _MB = 2**20, 10**6
_PART_SIZES = (
    *(size * _MIB for size in (5, 6, 7, 8, 10, 12, 15, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024)),
    *(size * _MB for size in (8, 10, 16, 50, 100)),
)
"""Sizes of parts that programs use: boto3 and the AWS CLI 8 MiB, rclone 5, lakeFS and mc 16, Hadoop 64 or 100, s3fs 50."""
_USUAL_SIZES = (5 * _MIB, 8 * _MIB, 16 * _MIB)
"""Those that are tried where nothing tells how many parts there were: each size costs one more hash of all bytes."""

_FORMS: dict[tuple[str, int], Algorithm] = {
    ("git-sha1-1", 40): "git",
    ("git-sha1-1", 64): "sha256",
    ("lakefs-etag-1", 32): "md5",
    ("sha256", 64): "sha256",  # of no lake: how bytes are named of which the lake's own checksum says nothing
}
_HEX = re.compile(r"[0-9a-f]+")
_S3_ETAG = re.compile(r"[0-9a-f]{32}(-[0-9]+)?")


class Content(NamedTuple):
    """An object's bytes, as a lake of `scheme` names them: equal values stand for equal bytes. `size` in bytes."""

    scheme: str
    checksum: str
    size: int

    @property
    def algorithm(self) -> Algorithm | None:
        """How the checksum may be computed from the bytes, by its form; None where only the lake itself can."""
        name = _FORMS.get((self.scheme, len(self.checksum)))
        return name if name and _HEX.fullmatch(self.checksum) else None


class Mismatch(Exception):
    """The bytes are not those that the listing names."""


def meaning_of(checksum: str, size: int, etag: str, encrypted: bool) -> Meaning:
    """What lakeFS's checksum of an object of so many bytes is over, by what the store says of the same object: its
    ETag (without quotes), and whether it encrypts with keys of its own."""
    if not _S3_ETAG.fullmatch(etag):
        return "unknown"
    same, _, parts = etag.partition("-")
    if same == checksum and encrypted:
        return "other"
    if same == checksum and parts:
        return "unknown" if parts == "1" or size < SMALLEST_PART else int(parts)  # one part can be told from the bytes
    return "bytes"  # else lakeFS computed it itself, or the object was replaced


class _Parts:
    """The MD5 over the MD5s of parts of one size, as bytes pass."""

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._part = hashlib.md5(usedforsecurity=False)
        self._whole = hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """The next bytes."""
        view = memoryview(data)
        while view:
            piece = view[: self._left]
            self._part.update(piece)
            self._left -= len(piece)
            view = view[len(piece) :]
            if not self._left:
                self._end_part()

    def hexdigest(self) -> str:
        """After the last bytes."""
        if self._left != self._size:
            self._end_part()
        return self._whole.hexdigest()

    def _end_part(self) -> None:
        self._whole.update(self._part.digest())
        self._part = hashlib.md5(usedforsecurity=False)
        self._left = self._size


def _sizes_of_parts(size: int, meaning: Meaning) -> list[int]:
    """Sizes of parts that an object of so many bytes may have come in."""
    if isinstance(meaning, int):
        return [each for each in _PART_SIZES if -(-size // each) == meaning]
    tried = {"unknown": _USUAL_SIZES, "computable": _PART_SIZES}.get(meaning, ())
    return [each for each in tried if each < size]


class Check:
    """Sees an object's bytes as they pass, and says at their end whether they are the named ones.

    MD5 and SHA-1 find accidents; only SHA-256 holds against a deliberate forger.
    """

    def __init__(self, content: Content, meaning: Meaning = "unknown") -> None:
        self._content = content
        self._meaning = meaning
        self._algorithm = None if meaning == "other" else content.algorithm
        self._left = content.size
        self._state = None
        self._parts: list[_Parts] = []
        if self._algorithm and not isinstance(meaning, int):
            self._state = hashlib.new("sha1" if self._algorithm == "git" else self._algorithm, usedforsecurity=False)
            if self._algorithm == "git":
                self._state.update(b"blob %d\0" % content.size)
        if self._algorithm == "md5":
            self._parts = [_Parts(size) for size in _sizes_of_parts(content.size, meaning)]

    @property
    def decides(self) -> bool:
        """Whether `finish` can only say yes, or raise Mismatch."""
        in_parts = self._meaning == "unknown" and self._content.size >= SMALLEST_PART
        return self._state is not None and not (self._algorithm == "md5" and in_parts)

    def write(self, data: bytes) -> int:
        """The next bytes; how many they are. Mismatch as soon as there are more than named."""
        self._left -= len(data)
        if self._left < 0:
            raise Mismatch
        if self._state:
            self._state.update(data)
        for parts in self._parts:
            parts.update(data)
        return len(data)

    def finish(self) -> bool:
        """Whether the checksum could be told from the bytes, all of which have passed. Mismatch where they were not as many
        as named, or have another checksum."""
        if self._left:
            raise Mismatch
        if any(parts.hexdigest() == self._content.checksum for parts in self._parts):
            return True
        if not self._state:
            return False
        if self._state.hexdigest() == self._content.checksum:
            return True
        if self._algorithm == "md5" and self._meaning in ("unknown", "computable"):
            one_part = hashlib.md5(self._state.digest(), usedforsecurity=False)
            if one_part.hexdigest() == self._content.checksum:
                return True
            if not self.decides:
                return False
        raise Mismatch
