"""What an object's checksum says about its bytes. A listing's entry and its bytes in, whether they fit out.

A Git lake's checksums can always be computed again: a Git blob ID, or a SHA-256 for large content.
lakeFS keeps ETags, of which 32 hex digits may be three things: the MD5 of the bytes; the MD5 over the
MD5s of an upload's parts, less the "-N" that S3 would add; or nothing that can be computed, where S3
encrypts with keys of its own. What the store says beside the bytes tells which; where nothing does, parts of
unknown sizes cannot be told from damage, and the object counts as not verified.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

from reprolock.lake.protocol import Object

SMALLEST_PART = 5 * 2**20
"""S3's rule for all parts of an upload but the last: a smaller object was one part."""

_FORMS: dict[str, tuple[tuple[re.Pattern[str], Literal["git", "sha256", "md5"]], ...]] = {
    "git-sha1-1": ((re.compile(r"[0-9a-f]{40}"), "git"), (re.compile(r"[0-9a-f]{64}"), "sha256")),
    "lakefs-etag-1": ((re.compile(r"[0-9a-f]{32}"), "md5"),),
}
_S3_ETAG = re.compile(r"[0-9a-f]{32}(-[0-9]+)?")

Meaning = Literal["bytes", "other", "unknown"]
"""What an ETag was computed over."""


class Mismatch(Exception):
    """The bytes are not those that the listing names."""


def verifiable(scheme: str, checksum: str) -> Literal["git", "sha256", "md5"] | None:
    """How a checksum may be computed from the bytes, by its form; None where nobody but its maker can."""
    for form, name in _FORMS.get(scheme, ()):
        if form.fullmatch(checksum):
            return name
    return None


def meaning_of(checksum: str, size: int, etag: str, encrypted: bool) -> Meaning:
    """What lakeFS's checksum of an object of so many bytes is over, by what the store says of the same object: its
    ETag (without quotes), and whether it encrypts with keys of its own."""
    if not _S3_ETAG.fullmatch(etag):
        return "unknown"
    same, _, parts = etag.partition("-")
    if same == checksum and encrypted:
        return "other"
    if same == checksum and parts:
        return "unknown" if parts == "1" or size < SMALLEST_PART else "other"  # one part can be told from the bytes
    return "bytes"  # else lakeFS computed it itself, or somebody replaced the object


class Check:
    """Sees an object's bytes as they pass, and says at their end whether they are those that the listing names.

    MD5 and SHA-1 find accidents; only SHA-256 is proof against somebody who means it.
    """

    def __init__(self, scheme: str, item: Object, meaning: Meaning = "unknown") -> None:
        self._name = None if meaning == "other" else verifiable(scheme, item.checksum)
        self._meaning = meaning
        self._item = item
        self._left = item.size
        self._state = None
        if self._name:
            self._state = hashlib.new("sha1" if self._name == "git" else self._name, usedforsecurity=False)
            if self._name == "git":
                self._state.update(b"blob %d\0" % item.size)

    def write(self, data: bytes) -> int:
        """The next bytes; how many they are. Mismatch as soon as there are more than listed."""
        self._left -= len(data)
        if self._left < 0:
            raise Mismatch
        if self._state:
            self._state.update(data)
        return len(data)

    def finish(self) -> bool:
        """Whether the checksum could be told from the bytes, all of which have passed. Mismatch where they were not as many
        as listed, or have another checksum."""
        if self._left:
            raise Mismatch
        if not self._state:
            return False
        if self._state.hexdigest() == self._item.checksum:
            return True
        if self._name == "md5" and self._meaning == "unknown":
            one_part = hashlib.md5(self._state.digest(), usedforsecurity=False)
            if one_part.hexdigest() == self._item.checksum:
                return True
            if self._item.size >= SMALLEST_PART:
                return False
        raise Mismatch
