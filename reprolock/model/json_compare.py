"""JSON documents: a digest that does not depend on how they are written, and a comparison within a tolerance.

In: bytes. Out: `document:<hex>`, or a list of differences with their paths. Order of keys, white space,
escapes and the way of writing a number (1, 1.0, 1e0) are no part of a document; the order of a list is.
Numbers are decimals of any length: 1e-400 is not 0, though a double cannot tell them apart.
NaN and infinities, as Python writes them, are taken. ValueError, with a sentence, for what is not a document:
a key that stands twice in an object, or a number that is too large for a double, would be lost in silence. So would
another encoding than UTF-8 and a byte order mark, which the standard (RFC 8259) forbids and most readers stumble over.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from reprolock.model.digest import sha256
from reprolock.model.verdict import close

SCHEME = "document"

_DEEPEST = 200  # levels; Python's own limit is met at some 1,000, and not everywhere at the same
_SHOWN = 80  # characters of a value
_SMALLEST = -10_000  # exponent; a fraction of more digits would fill the memory
_PLAIN_KEY = re.compile(r"[\w-]+")
_MARK = "\ufeff"


class JsonDifference(NamedTuple):
    """One position where two documents differ: `path` as `runs[3].time`, values as JSON, None where there is none."""

    path: str
    recorded: str | None
    found: str | None

    def __str__(self) -> str:
        place = self.path or "the document"
        if self.recorded is None:
            return f"{place} is new: {self.found}"
        if self.found is None:
            return f"{place} is gone, recorded {self.recorded}"
        return f"{place} is {self.found}, recorded {self.recorded}"


def json_digest(data: bytes, ignore: Sequence[str] = ()) -> str:
    """`document:` and the SHA-256 of the document without the ignored keys. ValueError for what is not a document.

    An entry of `ignore` is a key's name (`time`), which leaves it out wherever it stands, or its dotted path
    from the top (`meta.time`), in which lists do not count (`runs.time` is in every run).
    """
    document = parse_document(data, ignore)
    if ignore and _is_bare(document) and not _is_bare(parse_document(data)):
        raise ValueError("ignore leaves nothing of it to compare")
    return f"{SCHEME}:{sha256(canonical_text(document).encode())}"


def canonical_text(value: Any) -> str:
    """A document's one text, in ASCII: keys sorted, and of a decimal its digits without trailing zeros and its exponent."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{canonical_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical_text, value)) + "]"
    if isinstance(value, Decimal):
        sign, digits, exponent = value.as_tuple()
        whole = "".join(map(str, digits))
        plain = whole.rstrip("0")
        return f"{'-' * sign}{plain}e{int(exponent) + len(whole) - len(plain)}"
    return json.dumps(value)


def compare_json(
    recorded: bytes, found: bytes, ignore: Sequence[str] = (), rel: float = 0.0, abs_: float = 0.0
) -> list[JsonDifference]:
    """All positions at which two documents differ, numbers by more than the tolerance. ValueError as in `json_digest`."""
    return list(_differences(parse_document(recorded, ignore), parse_document(found, ignore), rel, abs_, ""))


def parse_document(data: bytes | str, ignore: Sequence[str] = ()) -> Any:
    """The document, its numbers in one form, without what is ignored."""
    try:
        text = data if isinstance(data, str) else data.decode()  # json.loads would take UTF-16 for the same document
        if text.startswith(_MARK):
            raise _Refused("no JSON document: it begins with a byte order mark")
        parsed = json.loads(text, object_pairs_hook=unique_keys, parse_float=_decimal)
    except _Refused:
        raise
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON document: {error.msg} in line {error.lineno}") from None
    except UnicodeDecodeError:
        raise ValueError("no JSON document: it is not UTF-8") from None
    except ValueError as error:  # an integer of thousands of digits
        raise ValueError(f"no JSON document: {str(error)[:_SHOWN]}") from None
    return _plain(parsed, frozenset(ignore), "", 0)


def _is_bare(value: Any) -> bool:
    """Whether there is no value in a document, but lists and objects alone."""
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, (dict, list)) and all(map(_is_bare, inner))


class _Refused(ValueError):
    """A document that would lose something when it is read."""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a document, for `json.loads`. ValueError for a key that stands twice."""
    table = dict(pairs)
    if len(table) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Refused(f'no JSON document: the key "{twice}" stands twice in one object')
    return table


def _decimal(text: str) -> Decimal:
    if math.isinf(float(text)):
        raise _Refused(f"no JSON document: {text[:_SHOWN]} is beyond what a double can hold")
    try:
        value = Decimal(text)
        near = value.adjusted() < _SMALLEST
    except InvalidOperation:  # an exponent of twenty digits
        near = True
    if near:
        raise _Refused(f"no JSON document that could be compared: {text[:_SHOWN]} is too near to 0")
    return value


def _too_deep() -> ValueError:
    return ValueError(f"no JSON document that could be compared: it is nested deeper than {_DEEPEST} levels")


def _plain(value: Any, ignore: frozenset[str], path: str, depth: int) -> Any:
    """Whole numbers as integers; `path` is dotted, and lists do not count in it."""
    if depth > _DEEPEST:
        raise _too_deep()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else value
    if isinstance(value, list):
        return [_plain(item, ignore, path, depth + 1) for item in value]
    if isinstance(value, dict):
        paths = {key: f"{path}.{key}" if path else key for key in value}
        kept = [key for key in value if key not in ignore and paths[key] not in ignore]
        return {key: _plain(value[key], ignore, paths[key], depth + 1) for key in kept}
    return value


def _differences(one: Any, other: Any, rel: float, abs_: float, path: str) -> Iterator[JsonDifference]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _at(one, other, key, key in one, key in other, rel, abs_, _below(path, key))
    elif isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            yield from _at(one, other, index, index < len(one), index < len(other), rel, abs_, f"{path}[{index}]")
    elif not _equal(one, other, rel, abs_):
        yield JsonDifference(path, _display(one), _display(other))


def _at(
    one: Any, other: Any, place: str | int, before: bool, after: bool, rel: float, abs_: float, path: str
) -> Iterator[JsonDifference]:
    """One key or index of two containers, which need not both have it."""
    if before and after:
        yield from _differences(one[place], other[place], rel, abs_, path)
    else:
        yield JsonDifference(path, _display(one[place]) if before else None, _display(other[place]) if after else None)


def _equal(one: Any, other: Any, rel: float, abs_: float) -> bool:
    if _is_number(one) and _is_number(other):
        return close(one, other, rel, abs_)
    return type(one) is type(other) and one == other


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _below(path: str, key: str) -> str:
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


def _display(value: Any) -> str:
    text = str(value).lower() if isinstance(value, Decimal) else json.dumps(value, default=float)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
