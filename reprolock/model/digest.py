"""Digests: of bytes, of canonical values, of listings. Pure functions, SHA-256 throughout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple


def sha256(data: bytes) -> str:
    """Lower-case hex, 64 characters."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> bytes:
    """A value's one byte form: every scalar enters with its type, so 1, 1.0, True and "1" differ.

    NaN, infinities and integers of any size survive because numbers enter as text (a float as its
    hexadecimal form). The frame around them is RFC 8785 canonical JSON.
    """
    import rfc8785  # loaded where a seal is made, not where a model is

    return rfc8785.dumps(_tag_type(value))


def _tag_type(value: Any) -> Any:
    match value:
        case None:
            return None
        case bool():
            return {"b": value}
        case int():
            return {"i": str(value)}
        case float():
            return {"f": value.hex()}
        case str():
            return {"s": value}
        case bytes():
            return {"x": value.hex()}
        case dict():
            return {"o": {str(key): _tag_type(item) for key, item in value.items()}}
        case list() | tuple():
            return [_tag_type(item) for item in value]
        case set() | frozenset():
            return [_tag_type(item) for item in sorted(value)]
    if hasattr(value, "isoformat"):
        return {type(value).__name__: value.isoformat()}
    raise TypeError(f"{type(value).__name__} has no canonical form")


def digest_of(value: Any) -> str:
    """SHA-256 over `canonical(value)`: 64 hex characters."""
    return sha256(canonical(value))


_DUMPS = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ListingSummary(NamedTuple):
    """A listing in three numbers. `digest` is `SCHEME:HEX`; only equal schemes may be compared."""

    objects: int
    bytes: int
    digest: str


def summarise(listing: Iterable[tuple[str, int, str]], scheme: str) -> ListingSummary:
    """Count, sum and digest (path, size, checksum) triples that arrive sorted by their UTF-8 path.

    Streams: memory does not grow with the listing. Each triple enters as one JSON line, which no
    path can imitate, for JSON escapes newlines and quotes.
    """
    state = hashlib.sha256()
    objects = size_sum = 0
    for path, size, checksum in listing:
        state.update(listing_line(path, size, checksum))
        objects += 1
        size_sum += size
    return ListingSummary(objects, size_sum, f"{scheme}:{state.hexdigest()}")


def listing_line(path: str, size: int, checksum: str) -> bytes:
    """How an object enters `summarise`: a listing written by these lines has the digest's hex as its SHA-256."""
    return _DUMPS([path, size, checksum]).encode() + b"\n"
