"""Pair the rows of two tables and say how far their numbers are apart, without Spark: as `sums.compare`, in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import zip_longest
from typing import Any, NamedTuple

import pyarrow as pa

from reprolock.engine.tables.arrow_encoding import encode_rows
from reprolock.model.verdict import close

Number = float | Decimal | None


class Pairs(NamedTuple):
    """Rows without a partner, and for each column of numbers its name, rows beyond the tolerance and the largest distance.

    `alike` as in `sums.compare`.
    """

    only_recorded: int
    only_found: int
    columns: list[tuple[str, int, float]]
    alike: int


def pair_rows(recorded: Any, found: Any, rel: float, abs_: float) -> Pairs:
    """Rows that are equal but for their floats and decimals belong together, in the order of these numbers."""
    indices = [index for index, field in enumerate(recorded.schema) if has_numbers(field.type)]
    sides = [_grouped(table, indices) for table in (recorded, found)]
    only, alike = [0, 0], 0
    beyond, largest = [0] * len(indices), [0.0] * len(indices)
    for key in sides[0].keys() | sides[1].keys():
        groups = [sorted(side.get(key, ()), key=_order) for side in sides]
        for one, other in zip_longest(*groups):
            if one is None or other is None:
                only[one is None] += 1
                continue
            far = False
            for place, (mine, theirs) in enumerate(zip(one, other, strict=True)):
                pairs = list(zip(mine, theirs, strict=True))
                is_far = not all(_is_close(a, b, rel, abs_) for a, b in pairs)
                far |= is_far
                beyond[place] += is_far
                largest[place] = max([largest[place], *(_distance(a, b) for a, b in pairs)], key=_rank)
            alike += far and max(map(len, groups)) > 1 and sum(map(len, one)) > 1
    names = [recorded.schema.field(index).name for index in indices]
    return Pairs(only[0], only[1], list(zip(names, beyond, largest, strict=True)), alike)


def has_numbers(kind: Any) -> bool:
    """Whether a tolerance can apply to a type: floats and decimals at any depth, but for the keys of a map."""
    if pa.types.is_struct(kind):
        return any(has_numbers(field.type) for field in kind)
    if pa.types.is_list(kind):
        return has_numbers(kind.value_type)
    if pa.types.is_map(kind):
        return has_numbers(kind.item_type)
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def common_type(one: Any, other: Any) -> Any:
    """A type for the values of both, or None, as `row_encoding.common_type`."""
    kinds = pa.types
    if one == other:
        return one
    if kinds.is_integer(one) and kinds.is_integer(other):
        return pa.int64()
    if all(kinds.is_integer(kind) or kinds.is_floating(kind) for kind in (one, other)):
        return pa.float64()
    if kinds.is_list(one) and kinds.is_list(other):
        item = common_type(one.value_type, other.value_type)
        return None if item is None else pa.list_(pa.field("element", item))
    if kinds.is_struct(one) and kinds.is_struct(other) and one.names == other.names:
        found = [common_type(a.type, b.type) for a, b in zip(one, other, strict=True)]
        return None if None in found else pa.struct(list(zip(one.names, found, strict=True)))
    return None


def _grouped(table: Any, indices: list[int]) -> dict[bytes, list[tuple[tuple[Number, ...], ...]]]:
    """The numbers of each row, column by column, by the bytes of all the rest."""
    groups = defaultdict(list)
    for batch in table.combine_chunks().to_batches():
        keys = encode_rows(batch.columns, approximate=True).to_pylist()
        values = [batch.column(index).to_pylist() for index in indices]
        kinds = [batch.schema.field(index).type for index in indices]
        for place, key in enumerate(keys):
            groups[key].append(
                tuple(tuple(_numbers(column[place], kind)) for column, kind in zip(values, kinds, strict=True))
            )
    return groups


def _numbers(value: Any, kind: Any) -> Iterator[Number]:
    """The numbers that `encode_rows` leaves out, in its order."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _numbers(value[field.name] if value else None, field.type)
    elif pa.types.is_list(kind):
        for item in value or ():
            yield from _numbers(item, kind.value_type)
    elif pa.types.is_map(kind):
        for _, item in sorted(value or (), key=lambda entry: _key_bytes(entry[0], kind.key_type)):
            yield from _numbers(item, kind.item_type)
    elif has_numbers(kind):
        yield value


def _key_bytes(key: Any, kind: Any) -> bytes:
    encoded: bytes = encode_rows([pa.array([key], kind)])[0].as_py()
    return encoded


def _order(row: tuple[tuple[Number, ...], ...]) -> list[list[tuple[int, Number]]]:
    return [[_rank(number) for number in column] for column in row]


def _rank(number: Number) -> tuple[int, Number]:
    """Null first, then numbers, then NaN, as Spark sorts."""
    if number is None:
        return (0, 0)
    return (2, 0) if number != number else (1, number)


def _is_close(one: Number, other: Number, rel: float, abs_: float) -> bool:
    if one is None or other is None:
        return one is other
    return close(one, other, rel, abs_)


def _distance(one: Number, other: Number) -> float:
    if one is None or other is None or one == other or (one != one and other != other):
        return 0.0
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other)
    return float(abs(Fraction(one) - Fraction(other)))
