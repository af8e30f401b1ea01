"""`inferSchema`: the type that Spark finds in a column of text, and the column in that type.

Spark tries integer, long, decimal, double, date, timestamp and boolean on every value and settles on text where they do
not agree. Here a value has a class: one of those, written plainly; text, which Spark can take for nothing else; or
unclear, which Spark's lenient parsers may take for a number or a time. A column that unclear values would decide is refused.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import numpy
import pyarrow as pa
import pyarrow.compute as pc

from reprolock.readers.partition_types import UNCLEAR, partition_type
from reprolock.readers.types import STRING, TIMESTAMP

_FEW = 1000
_PARTITIONS = {"integer": pa.int32(), "long": pa.int64(), "double": pa.float64()}
_MOST_INT = 2**31


class Unclear(ValueError):
    """A column whose type in Spark is not known here; the text is one of its values."""


class _Class(NamedTuple):
    name: str
    pattern: str


_CLASSES = (
    _Class("integer", r"^[+-]?[0-9]+$"),
    _Class("double", r"^([+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][+-]?[0-9]{1,4})?|NaN|[+-]?Infinity|-?Inf)$"),
    _Class("date", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    _Class("timestamp", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$"),
    _Class(
        "zoned",
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-]((0[0-9]|1[0-7]):[0-5][0-9]|18:00))$",
    ),
    _Class("boolean", r"^(?i:true|false)$"),
)
_YEAR = r"^[+-]?[0-9]{4,6}$"
"""A number that is a time stamp for Spark once a column has had a date, and a number before."""
_CERTAIN_DOUBLE = r"^([+-]?[0-9]*\.[0-9]+|NaN|[+-]?Infinity|-?Inf)$"
_INTEGRAL = numpy.zeros(256, bool)
_INTEGRAL[list(b"0123456789-")] = True
_DECIMAL = _INTEGRAL.copy()
_DECIMAL[list(b".")] = True


def infer(column: Any) -> Any:
    """The column (text, with missing values) as Spark's inferSchema has it. Unclear where that is not known."""
    values = column.drop_null()
    if not len(values):
        return column
    if (quick := _numbers(column, values)) is not None:
        return quick
    if _has_text(values.slice(0, _FEW)) or _has_text(values):
        return column
    if not pc.all(pc.greater(pc.utf8_length(values), 0)).as_py():
        raise Unclear("")
    found, rest = set(), pc.unique(values)
    for kind, pattern in _CLASSES:
        mask = pc.match_substring_regex(rest, pattern)
        if pc.any(mask).as_py():
            found.add(kind)
            rest = rest.filter(pc.invert(mask))
    if len(rest):
        raise Unclear(rest[0].as_py())
    return _typed(column, values, found)


def _numbers(column: Any, values: Any) -> Any:
    """The column where a look at its bytes is enough: whole numbers, or plain decimals; else None."""
    alphabet = numpy.zeros(256, bool)
    for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
        offsets = numpy.frombuffer(chunk.buffers()[1], numpy.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        data = numpy.frombuffer(chunk.buffers()[2] or b"", numpy.uint8)[offsets[0] : offsets[-1]]
        if not _DECIMAL[data[:4096]].all() or not _DECIMAL[data].all():
            return None
        alphabet[ord(".")] |= bool((data == ord(".")).any())
    try:
        if not alphabet[ord(".")]:
            return _narrow(column.cast(pa.int64()))
        if pc.any(pc.match_substring_regex(values.slice(0, _FEW), _CERTAIN_DOUBLE)).as_py():
            return column.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return None


def _has_text(values: Any) -> bool:
    """Whether a value is certainly text: then the column is."""
    known = pc.or_(pc.match_substring_regex(values, UNCLEAR), pc.match_substring_regex(values, _CLASSES[-1].pattern))
    return bool(pc.any(pc.and_(pc.invert(known), pc.greater(pc.utf8_length(values), 0))).as_py())


def _typed(column: Any, values: Any, found: set[str]) -> Any:
    first = values[0].as_py()
    if found <= {"integer", "double"}:
        return _numeric(column, values, found)
    if "zoned" in found or "timestamp" in found:
        if len(found) > 1:
            raise Unclear(first)  # times beside dates or numbers: which comes first decides
        return _timestamps(column, zoned="zoned" in found)
    if found == {"date"}:
        return _converted(column, pa.date32(), first)
    if found == {"date", "integer"} and (years := values.filter(pc.match_substring_regex(values, _YEAR))):
        raise Unclear(years[0].as_py())
    if found == {"boolean"}:
        return pc.equal(pc.ascii_lower(column), "true")
    return column


def _numeric(column: Any, values: Any, found: set[str]) -> Any:
    """Integers, or doubles. Spark takes integers beyond 64 bits, `5.` and `1.0e1` for decimals, unless a double is there."""
    if found == {"integer"}:
        return _narrow(_converted(_without_plus(column), pa.int64(), values[0].as_py()))
    unique = pc.unique(values)
    if not pc.any(pc.match_substring_regex(unique, _CERTAIN_DOUBLE)).as_py() and not any(
        _is_double(text) for text in unique.to_pylist()
    ):
        raise Unclear(values[0].as_py())
    return _converted(_without_plus(column), pa.float64(), values[0].as_py())


def _is_double(text: str) -> bool:
    """Whether Java's BigDecimal has digits after the point, or zeros left out, so that Spark takes no decimal for it."""
    try:
        return "e" in text.lower() and Decimal(text).as_tuple().exponent != 0
    except InvalidOperation:
        return False


def _without_plus(column: Any) -> Any:
    return pc.replace_substring_regex(column, r"^\+", "")


def _narrow(column: Any) -> Any:
    """32 bits where all values fit."""
    limits = pc.min_max(column)
    low, high = limits["min"].as_py(), limits["max"].as_py()
    return column.cast(pa.int32()) if low >= -_MOST_INT and high < _MOST_INT else column


def _timestamps(column: Any, *, zoned: bool) -> Any:
    first = column.drop_null()[0].as_py()
    if zoned:
        return _converted(column, TIMESTAMP, first)
    return pc.assume_timezone(_converted(column, pa.timestamp("us"), first), "UTC").cast(TIMESTAMP)


def _converted(column: Any, type: Any, sample: str) -> Any:
    try:
        made = column.cast(type)
    except pa.ArrowInvalid as error:
        quoted = re.search(r"'([^']*)'", str(error))
        raise Unclear(quoted[1] if quoted else sample) from None
    if pa.types.is_temporal(type) and pc.any(pc.less(pc.year(made), 1)).as_py():
        raise Unclear(sample)
    return made


def infer_partition(values: list[str | None]) -> Any:
    """A partition column from the texts of its folders, as Spark types it: integer, long, double, date, or text."""
    known = [value for value in values if value is not None]
    column = pa.array(values, STRING)
    if not known:
        raise Unclear("__HIVE_DEFAULT_PARTITION__")
    kind = partition_type(values)
    if kind is None:
        raise Unclear(next((value for value in known if not _is_text(value)), known[0]))
    if kind == "date":
        return _converted(column, pa.date32(), known[0])
    return column.cast(_PARTITIONS[kind]) if kind in _PARTITIONS else column


def _is_text(value: str) -> bool:
    return partition_type([value]) == "string"
