"""What an object's checksum says about its bytes. A listing's entry and a stream in, a stream that checks itself out.

A Git lake's checksums can always be computed again: a Git blob ID, or a SHA-256 for large content.
lakeFS keeps ETags: 32 hex digits are an MD5 (unless the store encrypts with keys of its own, and says
so with the bytes); all else, such as a multipart upload's, only its maker can compute.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal, Protocol

from reprolock.lake.protocol import Object

_FORMS: dict[str, tuple[tuple[re.Pattern[str], Literal["git", "sha256", "md5"]], ...]] = {
    "git-sha1-1": ((re.compile(r"[0-9a-f]{40}"), "git"), (re.compile(r"[0-9a-f]{64}"), "sha256")),
    "lakefs-etag-1": ((re.compile(r"[0-9a-f]{32}"), "md5"),),
}


class Stream(Protocol):
    """What bytes are read from."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer as far as may be; how many bytes that were, 0 at the end."""
        ...


class Mismatch(Exception):
    """The bytes are not those that the listing names."""


def verifiable(scheme: str, checksum: str) -> Literal["git", "sha256", "md5"] | None:
    """How a checksum is computed from the bytes; None where nobody but its maker can."""
    for form, name in _FORMS.get(scheme, ()):
        if form.fullmatch(checksum):
            return name
    return None


class Checked:
    """A stream of an object's bytes that raises Mismatch at its end, unless they were as many as listed and,
    where that can be computed, of the checksum that was listed.

    `opaque`: the checksum is none over these bytes, whatever its form. MD5 and SHA-1 find accidents;
    only SHA-256 is proof against somebody who means it.
    """

    def __init__(self, stream: Stream, scheme: str, item: Object, *, opaque: bool = False) -> None:
        name = None if opaque else verifiable(scheme, item.checksum)
        self.verified = name is not None
        self._stream = stream
        self._item = item
        self._left = item.size
        self._state = hashlib.new("sha1" if name == "git" else name, usedforsecurity=False) if name else None
        if self._state and name == "git":
            self._state.update(b"blob %d\0" % item.size)

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer as far as may be; how many bytes that were, 0 at the end."""
        count = self._stream.readinto(buffer)
        self._left -= count
        if self._state:
            self._state.update(buffer[:count])
        if self._left < 0 or (not count and not self._whole()):
            raise Mismatch
        return count

    def _whole(self) -> bool:
        return self._left == 0 and (self._state is None or self._state.hexdigest() == self._item.checksum)
