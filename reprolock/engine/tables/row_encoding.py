"""Encode a table's rows as bytes in which no value can imitate another. Spark expressions: no row leaves the JVM.

In: a column and its type. Out: columns of bytes, none of them null, that say together what it is:

1. A value of at most 64 bits (a number, boolean, date, time, decimal of up to 18 digits) is a null tag and
   8 bytes: Spark's xxhash64 of it as a long or a double, which maps 64 bits one to one (42 for a null). Nothing else in
   Spark's SQL gives the bits of a double, and it takes NaN for NaN whatever its payload and -0.0 for 0.0, as `=` and
   GROUP BY do. Integers, booleans (0, 1) and dates (days since 1970) are longs, time stamps microseconds.
2. Text, binary and longer decimals are their length in 4 bytes, -1 for a null, and their bytes; of a decimal all its
   digits, without an exponent.
3. A struct is a null tag and its fields. An array is a text: its elements in hexadecimal. A map is the
   same over its entries, sorted by key. A vector of Spark ML is an array, be it dense or sparse.

`arrow_encoding` makes the same bytes without Spark. Part of script.py, which runs where only pyspark is: nothing of reprolock is imported.
"""

from __future__ import annotations

import json
import re

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, DoubleType, LongType, StructField, StructType

_SCALARS = {
    *("BooleanType", "ByteType", "ShortType", "IntegerType", "LongType", "FloatType", "DoubleType"),
    *("DateType", "TimeType", "TimestampType", "TimestampNTZType", "YearMonthIntervalType", "DayTimeIntervalType"),
}
_TEXTS = {"StringType", "CharType", "VarcharType", "BinaryType"}
_WHOLE = {"ByteType", "ShortType", "IntegerType", "LongType"}
_NUMBERS = {"FloatType", "DoubleType", "DecimalType"}
_LONG_DIGITS = 18  # decimals of more digits are no 64-bit number, and xxhash64 is not one to one for them
_NO_EXPONENT = 6  # digits behind the point, up to which Java writes a decimal without one
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Refused(Exception):
    """A column that has no form to be compared in; the sentence says why."""


def type_name(kind: DataType) -> str:
    """A type as Spark writes it, nullability left out, fields' names quoted where they could be misread."""
    match type(kind).__name__:
        case "ArrayType":
            return f"array<{type_name(kind.elementType)}>"
        case "MapType":
            return f"map<{type_name(kind.keyType)},{type_name(kind.valueType)}>"
        case "StructType":
            return f"struct<{','.join(f'{_quoted(field.name)}:{type_name(field.dataType)}' for field in kind.fields)}>"
        case "VectorUDT":
            return "vector"
    return kind.simpleString()


def parts(value: Column, kind: DataType, where: str, approximate: bool = False) -> list[Column]:
    """The bytes of a value, in columns to be put one after the other. Refused names `where` it stands.

    With `approximate`, floats and decimals enter with their null tag alone: `numbers` has the rest.
    """
    name = type(kind).__name__
    if approximate and name in _NUMBERS:
        return [_tag(value)]
    if name in _TEXTS or name == "DecimalType" and kind.precision > _LONG_DIGITS:
        return _text(value if name != "DecimalType" else _digits(value, kind.scale))
    if name in _SCALARS or name == "DecimalType":
        return [_tag(value), bits(value, kind).cast("binary")]
    match name:
        case "NullType":
            return [_tag(value)]
        case "StructType":
            fields = [parts(value.getField(field.name), field.dataType, where, approximate) for field in kind.fields]
            return [_tag(value), *(column for field in fields for column in field)]
        case "ArrayType":
            return _text(
                F.array_join(F.transform(value, lambda item: _hex(item, kind.elementType, where, approximate)), "")
            )
        case "MapType":
            entries = F.transform(
                _entries(value, kind, where), lambda entry: _hex_entry(entry, kind, where, approximate)
            )
            return _text(F.array_join(entries, ""))
        case "VectorUDT":
            return parts(_vector(value), ArrayType(DoubleType()), where, approximate)
    raise Refused(f"{where} is of the type {type_name(kind)}, which cannot be compared; name it in ignore")


def is_scalar(kind: DataType) -> bool:
    """Whether a value is 64 bits, or fewer."""
    name = type(kind).__name__
    return name in _SCALARS or name == "DecimalType" and kind.precision <= _LONG_DIGITS


def bits(value: Column, kind: DataType) -> Column:
    """The number, never null, that stands for a value of a type that `is_scalar`."""
    match type(kind).__name__:
        case "BooleanType" | "ByteType" | "ShortType" | "IntegerType":
            return F.xxhash64(value.cast("int").cast("long"))
        case "DateType":
            return F.xxhash64(F.unix_date(value).cast("long"))
        case "FloatType":
            return F.xxhash64(value.cast("double"))
    return F.xxhash64(value)


def has_numbers(kind: DataType) -> bool:
    """Whether a tolerance can apply to a type: floats and decimals at any depth, but for the keys of a map."""
    match type(kind).__name__:
        case "StructType":
            return any(has_numbers(field.dataType) for field in kind.fields)
        case "ArrayType":
            return has_numbers(kind.elementType)
        case "MapType":
            return has_numbers(kind.valueType)
        case "VectorUDT":
            return True
    return type(kind).__name__ in _NUMBERS


def common_type(one: DataType, other: DataType) -> DataType | None:
    """A type for the values of both, or None."""
    names = {type(one).__name__, type(other).__name__}
    if type_name(one) == type_name(other):
        return one
    if names <= _WHOLE:
        return LongType()
    if names <= _WHOLE | {"FloatType", "DoubleType"}:
        return DoubleType()
    if names == {"ArrayType"}:
        item = common_type(one.elementType, other.elementType)
        return None if item is None else ArrayType(item)
    if names == {"StructType"} and one.names == other.names:
        kinds = [common_type(a.dataType, b.dataType) for a, b in zip(one.fields, other.fields, strict=True)]
        fields = [StructField(name, kind) for name, kind in zip(one.names, kinds, strict=True)]
        return None if None in kinds else StructType(fields)
    return None


def number_types(kind: DataType) -> list[DataType]:
    """The types of the numbers in a type, each once: double, which stands for float too, and decimals as they are."""
    match type(kind).__name__:
        case "StructType":
            return list(dict.fromkeys(found for field in kind.fields for found in number_types(field.dataType)))
        case "ArrayType":
            return number_types(kind.elementType)
        case "MapType":
            return number_types(kind.valueType)
        case "DecimalType":
            return [kind]
    return [DoubleType()] if has_numbers(kind) else []


def numbers(value: Column, kind: DataType, wanted: DataType) -> Column:
    """Of the numbers that `parts` leaves out those of one type, in the same order, as one array that is never null."""
    match type(kind).__name__:
        case "StructType":
            fields = [field for field in kind.fields if wanted in number_types(field.dataType)]
            return F.concat(*(numbers(value.getField(field.name), field.dataType, wanted) for field in fields))
        case "ArrayType":
            return _flat(F.transform(value, lambda item: numbers(item, kind.elementType, wanted)), wanted)
        case "MapType":
            entries = _entries(value, kind, "")
            return _flat(
                F.transform(entries, lambda entry: numbers(entry.getField("value"), kind.valueType, wanted)), wanted
            )
        case "VectorUDT":
            return numbers(_vector(value), ArrayType(DoubleType()), wanted)
    return F.array(value.cast(wanted))


def _quoted(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else json.dumps(name)


def _tag(value: Column) -> Column:
    return F.when(value.isNull(), F.lit(bytearray(b"\0"))).otherwise(F.lit(bytearray(b"\1")))


def _text(value: Column) -> list[Column]:
    content = value.cast("binary")
    length = F.coalesce(F.octet_length(content), F.lit(-1))
    return [length.cast("binary"), F.coalesce(content, F.lit(bytearray()))]


def _digits(value: Column, scale: int) -> Column:
    """A decimal's digits. Spark writes only those near 0 with an exponent, behind all digits that are not zeros at the front."""
    text = value.cast("string")
    if scale <= _NO_EXPONENT:
        return text
    digits = F.lpad(F.regexp_replace(F.split(text, "E")[0], "[-.]", ""), scale, "0")
    plain = F.concat(F.when(text.startswith("-"), F.lit("-0.")).otherwise(F.lit("0.")), digits)
    return F.when(text.contains("E"), plain).otherwise(text)


def _hex(value: Column, kind: DataType, where: str, approximate: bool = False) -> Column:
    return F.hex(F.concat(*parts(value, kind, where, approximate)))


def _entries(value: Column, kind: DataType, where: str) -> Column:
    """A map's entries as structs of `key`, in hexadecimal, and `value`, in the order of their keys."""
    entries = F.transform(
        F.map_entries(value),
        lambda entry: F.struct(
            _hex(entry.getField("key"), kind.keyType, where).alias("key"), entry.getField("value").alias("value")
        ),
    )
    return F.array_sort(entries, _by_key)


def _by_key(one: Column, other: Column) -> Column:
    """A comparison of our own, because values may be maps, which have no order; but a key met twice must give 0."""
    key, next_key = one.getField("key"), other.getField("key")
    return F.when(key < next_key, -1).when(key > next_key, 1).otherwise(0)


def _hex_entry(entry: Column, kind: DataType, where: str, approximate: bool) -> Column:
    return F.concat(entry.getField("key"), _hex(entry.getField("value"), kind.valueType, where, approximate))


def _flat(arrays: Column, wanted: DataType) -> Column:
    return F.coalesce(F.flatten(arrays), F.array().cast(ArrayType(wanted)))


def _vector(value: Column) -> Column:
    # Needs numpy, which is there where vectors are written.
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(value)
