"""Numbers and IDs as people read them."""

from __future__ import annotations

import re

# Control characters, and those that turn the direction of text.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def size(count: int) -> str:
    """Bytes in decimal units: `7.9 MB`, `41 kB`, `12 B`."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):  # noqa: B007 - it is read after the loop
        value /= 1000
        if value < 999.5:
            break
    return f"{value:.1f} {unit}" if value < 100 and unit != "kB" else f"{value:.0f} {unit}"


def counted(count: int, noun: str) -> str:
    """`1 object`, `3 objects`, `2 branches`."""
    plural = noun + ("es" if noun.endswith(("ch", "s", "x")) else "s")
    return f"{count} {noun if count == 1 else plural}"


def short(identifier: str) -> str:
    """The first 12 digits of a commit ID or a digest."""
    return identifier.rpartition(":")[2][:12]


def duration(seconds: float) -> str:
    """`4.1 s`, `31 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def plain(text: str) -> str:
    """Foreign text as one line that a terminal only shows: what would steer it is written as `\\x1b`."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
