"""What folders (`day=1/`) say of a partition's column, and the type that Spark finds for it in all of their texts."""

from __future__ import annotations

import re
from collections.abc import Iterable

DEFAULT = "__HIVE_DEFAULT_PARTITION__"
"""Stands for a missing value."""
ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
BLANK = r"[\x00-\x20\x7f]*"
"""What Spark takes away around a time."""
UNCLEAR = (
    rf"^{BLANK}([+-]?(?i:nan|inf|infinity)|[+-]?0[xX].*|[+-]?(\p{{Nd}}+\.?\p{{Nd}}*|\.\p{{Nd}}+)([eE][+-]?\p{{Nd}}+)?[fFdD]?)"
    rf"{BLANK}$|^{BLANK}[+-]?\p{{Nd}}{{4,}}-\p{{Nd}}{{1,2}}(-\p{{Nd}}{{1,2}}([ T].*)?)?{BLANK}$"
    rf"|^{BLANK}(T?\p{{Nd}}{{1,2}}:.*|T\p{{Nd}}{{1,2}}{BLANK}|{BLANK}(epoch|now|today|tomorrow|yesterday).*)$"
)
"""What Java's and Spark's lenient parsers may take for a number or a time, and more; as RE2 writes it."""
_UNCLEAR = re.compile(UNCLEAR.replace(r"\p{Nd}", r"\d"))
_PLAIN = {
    "integer": re.compile(r"-?[0-9]{1,18}"),
    "double": re.compile(r"-?[0-9]+\.[0-9]+"),
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
}
_MOST_INT = 2**31


def unescaped(text: str) -> str:
    """Spark writes signs of ASCII in a folder's name as `%3A`."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def partition_of(folders: Iterable[str]) -> tuple[tuple[str, str | None], ...]:
    """The columns that folders name, and their texts; folders that name none are passed over."""
    parts = (folder.partition("=") for folder in folders if "=" in folder)
    return tuple((unescaped(name), None if value == DEFAULT else unescaped(value)) for name, _, value in parts)


def partition_type(texts: Iterable[str | None]) -> str | None:
    """integer, long, double, date or string; None where Spark alone knows."""
    known = [text for text in texts if text is not None]
    for kind, pattern in _PLAIN.items():
        if known and all(pattern.fullmatch(text) for text in known):
            long = kind == "integer" and not all(-_MOST_INT <= int(text) < _MOST_INT for text in known)
            return "long" if long else kind
    text = [not _UNCLEAR.search(each) for each in known]
    certain = any(text) and all(is_text or each.isdecimal() for is_text, each in zip(text, known, strict=True))
    return "string" if certain else None
