"""A file with git's conflict markers, as the versions that it was merged from."""

from __future__ import annotations

import re
from typing import NamedTuple

_OURS, _BASE, _THEIRS, _END = b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>"


class Sides(NamedTuple):
    """Both versions; `base` is the one that both came from, None where the markers do not have it (git's style `merge`)."""

    ours: bytes
    theirs: bytes
    base: bytes | None


def has_markers(data: bytes) -> bool:
    """Whether git left conflict markers in a file."""
    return all(re.search(rb"^%s" % marker, data, re.MULTILINE) for marker in (_OURS, _THEIRS, _END))


def split_markers(data: bytes) -> Sides:
    """The versions. What git merged by itself is in each of them."""
    texts: dict[bytes, list[bytes]] = {_OURS: [], _BASE: [], _THEIRS: []}
    side: bytes | None = None
    with_base = False
    for line in data.splitlines(keepends=True):
        marker = line[:7] if re.match(rb"(<{7}|\|{7}|={7}|>{7})([ \r\n]|$)", line) else None
        if marker == _END:
            side = None
        elif marker is not None and (side is not None or marker == _OURS):
            side = marker
            with_base = with_base or marker == _BASE
        else:
            for text in [texts[side]] if side else texts.values():
                text.append(line)
    ours, base, theirs = (b"".join(texts[each]) for each in (_OURS, _BASE, _THEIRS))
    return Sides(ours, theirs, base if with_base else None)


def join_sides(sides: Sides) -> bytes:
    """The whole file as one conflict, in git's style `diff3`, from which `split_markers` gives the sides back."""
    base = [b"||||||| base", sides.base.rstrip(b"\n")] if sides.base else []
    parts = [
        b"<<<<<<< ours",
        sides.ours.rstrip(b"\n"),
        *base,
        b"=======",
        sides.theirs.rstrip(b"\n"),
        b">>>>>>> theirs",
    ]
    return b"\n".join(parts) + b"\n"
