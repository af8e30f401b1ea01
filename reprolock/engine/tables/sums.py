"""Compute sums over one table, or over two compared row by row, in Spark.

The SHA-256 of a row's bytes is cut into four lanes of 64 bits; each goes through xxhash64, which makes a
number of 8 bytes, one to one, and each lane is added up modulo 2^64. A sum knows no order, and it
counts duplicates, where an exclusive or would cancel them. It holds against accidents; who may choose
many thousands of rows freely could construct a collision.

Part of script.py, which runs where only pyspark is: nothing of reprolock is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DecimalType
from row_encoding import Refused, bits, common_type, has_numbers, is_scalar, number_types, numbers, parts, type_name

LANES = 4
_BITS = 256
_BOUND = 38
"""Digits that a decimal may have in Spark."""


def without(frame: DataFrame, ignore: Sequence[str]) -> DataFrame:
    """The frame without the columns of these names. Refused for a name that is not a column, and where none is left."""
    for name in ignore:
        if name not in frame.columns:
            raise Refused(f'ignore names "{name}", and the columns are {", ".join(frame.columns)}')
    kept = [name for name in frame.columns if name not in ignore]
    if ignore and not kept:
        raise Refused("ignore leaves no column to compare")
    return frame.select([_column(name) for name in kept])


def digest(frame: DataFrame) -> dict[str, Any]:
    """`{"rows", "columns": [[name, type, sum]], "sums": [four lanes]}`; sums are signed, as Spark has them."""
    fields = frame.schema.fields
    rows = frame.select(
        F.unhex(F.sha2(_bytes(frame), _BITS)).alias("row"),
        *(_hint(frame, index).alias(f"column{index}") for index in range(len(fields))),
    )
    lanes = [F.sum(F.xxhash64(F.substring("row", 1 + 8 * lane, 8))) for lane in range(LANES)]
    hints = [F.sum(f"column{index}") for index in range(len(fields))]
    count, *sums = rows.agg(F.count(F.lit(1)), *lanes, *hints).first()
    sums = [each or 0 for each in sums]  # of no rows Spark's sum is null
    columns = [[field.name, type_name(field.dataType), hint] for field, hint in zip(fields, sums[LANES:], strict=True)]
    return {"rows": count, "columns": columns, "sums": sums[:LANES]}


def of_one_type(one: DataFrame, other: DataFrame) -> list[DataFrame]:
    """Both frames, in types that hold the values of both; none where there are no such types. Of CSV and JSON the values decide,
    and 1 is within the tolerance of 1.0000001."""
    if one.columns != other.columns:
        return []
    kinds = [common_type(a.dataType, b.dataType) for a, b in zip(one.schema.fields, other.schema.fields, strict=True)]
    return [] if None in kinds else [_cast(frame, kinds) for frame in (one, other)]


def _cast(frame: DataFrame, kinds: Sequence[DataType]) -> DataFrame:
    fields = zip(frame.schema.fields, kinds, strict=True)
    return frame.select(
        [
            _column(field.name) if field.dataType == kind else _column(field.name).cast(kind).alias(field.name)
            for field, kind in fields
        ]
    )


def compare(recorded: DataFrame, found: DataFrame, rel: float, abs_: float) -> dict[str, Any]:
    """Pair the rows of two tables of one schema and say how far their numbers are apart.

    1. Rows belong together when all but their floats and decimals is equal, to the byte.
    2. Among those, they are sorted by these numbers, column by column, and paired in that order.
    3. A pair of numbers is close as math.isclose has it: |a - b| <= max(rel * max(|a|, |b|), abs). Decimals are
       subtracted as decimals: as doubles, two of more than 15 digits would be nearer than they are.

    Pairs that are all close are proof. That some are not is none where rows agree in everything else and
    have two numbers or more: another pairing might do. A column that tells rows apart settles it; `alike` counts such rows.

    `{"only_recorded", "only_found", "alike", "columns": [[name, rows beyond the tolerance, largest distance]]}`
    """
    fields = recorded.schema.fields
    approximate = [index for index, field in enumerate(fields) if has_numbers(field.dataType)]
    key = ["exact", "place"]
    one, other = _placed(recorded, approximate, "recorded"), _placed(found, approximate, "found")
    pairs = one.join(other, key, "full_outer")
    paired = F.col("recorded").isNotNull() & F.col("found").isNotNull()
    counts = [F.count_if(F.col("found").isNull()), F.count_if(F.col("recorded").isNull())]
    beyond, several = F.lit(False), F.lit(0)
    for index in approximate:
        far, apart = [], []
        for wanted in number_types(fields[index].dataType):
            a, b = (F.col(f"{side}.{_numbers_name(index, wanted)}") for side in ("recorded", "found"))
            far.append(F.zip_with(a, b, _far(wanted, rel, abs_)))
            apart.append(F.zip_with(a, b, _distance))
            several += F.size(a)
        is_far = paired & F.exists(F.concat(*far), lambda each: each)
        beyond |= is_far
        counts += [F.count_if(is_far), F.max(F.array_max(F.concat(*apart)))]
    alike = F.count_if(beyond & (several > 1) & (F.greatest("recorded_rows", "found_rows") > 1))
    only_recorded, only_found, alike, *rest = pairs.agg(*counts[:2], alike, *counts[2:]).first()
    names = [recorded.columns[index] for index in approximate]
    columns = [
        [name, beyond, largest or 0.0] for name, beyond, largest in zip(names, rest[::2], rest[1::2], strict=True)
    ]
    return {"only_recorded": only_recorded, "only_found": only_found, "alike": alike, "columns": columns}


def _placed(frame: DataFrame, approximate: list[int], side: str) -> DataFrame:
    """`exact` (a hash of all but the numbers), `place` among the rows of that hash, how many they are, and the numbers as struct `side`."""
    fields = frame.schema.fields
    named = [
        numbers(_column(fields[index].name), fields[index].dataType, wanted).alias(_numbers_name(index, wanted))
        for index in approximate
        for wanted in number_types(fields[index].dataType)
    ] or [F.lit(0).alias("none")]
    rows = frame.select(F.sha2(_bytes(frame, approximate=True), _BITS).alias("exact"), F.struct(*named).alias(side))
    group = Window.partitionBy("exact")
    counted = rows.withColumn("place", F.row_number().over(group.orderBy(side)))
    return counted.withColumn(f"{side}_rows", F.count(F.lit(1)).over(group))


def _numbers_name(index: int, wanted: DataType) -> str:
    return f"n{index}_" + re.sub(r"\W", "_", wanted.simpleString())


def _far(kind: DataType, rel: float, abs_: float) -> Callable[[Column, Column], Column]:
    """Whether two numbers of a type are not close."""

    def far(a: Column, b: Column) -> Column:
        finite = (F.abs(a.cast("double")) < float("inf")) & (F.abs(b.cast("double")) < float("inf"))
        largest = F.greatest(F.abs(a.cast("double")), F.abs(b.cast("double")))
        absolutely = _distance(a, b) <= F.lit(float(abs_))
        if isinstance(kind, DecimalType):
            absolutely = F.coalesce(F.abs(a - b) <= _floor(abs_, kind), absolutely)
        within = absolutely | (_distance(a, b) <= F.lit(float(rel)) * largest)
        return ~(a.eqNullSafe(b) | F.coalesce(finite & within, F.lit(False)))

    return far


def _distance(a: Column, b: Column) -> Column:
    """As a double, of an exact difference where there can be one: that of two long decimals may have a digit too many, and is null."""
    exact = F.abs(a - b).cast("double")
    return F.when(a.eqNullSafe(b), 0.0).otherwise(F.coalesce(exact, F.abs(a.cast("double") - b.cast("double"))))


def _floor(abs_: float, kind: DecimalType) -> Column:
    """The largest decimal of this scale that is not above `abs_`: to a difference of that scale it is the same bound."""
    with localcontext() as context:
        context.prec = 400  # the smallest double and the largest fit
        least = Decimal(1).scaleb(-kind.scale)
        most = Decimal(10) ** (_BOUND - kind.scale) - least
        return F.lit(min(Decimal(repr(abs_)).quantize(least, ROUND_FLOOR), most)).cast(DecimalType(_BOUND, kind.scale))


def _bytes(frame: DataFrame, approximate: bool = False) -> Column:
    fields = [
        parts(_column(field.name), field.dataType, f'column "{field.name}"', approximate)
        for field in frame.schema.fields
    ]
    return F.concat(F.lit(bytearray()), *(column for field in fields for column in field))


def _hint(frame: DataFrame, index: int) -> Column:
    """A number for a column's value: the sum over all rows helps to name the column that differs."""
    field = frame.schema.fields[index]
    value = _column(field.name)
    if is_scalar(field.dataType):
        return bits(value, field.dataType)
    return F.crc32(F.concat(*parts(value, field.dataType, f'column "{field.name}"')))


def _column(name: str) -> Column:
    return F.col("`" + name.replace("`", "``") + "`")
