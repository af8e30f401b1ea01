"""Numbers and IDs as people read them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # what steers a terminal
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of text
    r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"
    r"\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # what is not seen
    r"\ud800-\udfff]"  # what no encoding can print
)
_BYTES = re.compile(r"[\udc80-\udcff]")
"""What Python makes of the bytes of an argument that are no UTF-8."""


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


def json_plain(document: str) -> str:
    """A JSON document whose texts are the same, and which steers no terminal: JSON has an escape for every character."""
    return _CONTROLS.sub(lambda found: found[0] if found[0] in "\n\t\r" else _utf16(found[0]), document)


def command_line(arguments: Sequence[str]) -> str:
    """A command as a shell would read it, on one line; control characters are written as in `$'\\x1b'`.

    >>> print(command_line(["python", "train.py", "two words", "a\\nb"]))
    python train.py 'two words' $'a\\nb'
    """
    return " ".join(_dollar_quoted(item) if _CONTROLS.search(item) else shlex.quote(item) for item in arguments)


def _dollar_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    escaped = _BYTES.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", escaped)
    return f"$'{plain(escaped)}'"


def _utf16(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
