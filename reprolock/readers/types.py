"""Spark's types as Arrow has them: those of `DataFrame.toArrow()` in a session whose time zone is UTC.

boolean bool · byte int8 · short int16 · integer int32 · long int64 · float float32 · double float64
decimal(p,s) decimal128(p,s) · string string · binary binary · date date32 · timestamp timestamp[us, UTC]
timestamp_ntz timestamp[us] · array list<element> · map map · struct struct · void null
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

STRING = pa.string()
TIMESTAMP = pa.timestamp("us", tz="UTC")
TIMESTAMP_NTZ = pa.timestamp("us")

_SAME = {
    pa.bool_(): "boolean",
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    STRING: "string",
    pa.binary(): "binary",
    pa.date32(): "date",
    TIMESTAMP: "timestamp",
    TIMESTAMP_NTZ: "timestamp_ntz",
    pa.null(): "void",
}
_READ_AS = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.large_string(): STRING,
    pa.string_view(): STRING,
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.date64(): pa.date32(),
}
"""Spark has no unsigned integers and reads them into the next wider type."""


class NoSparkType(ValueError):
    """A type of Arrow's that Spark does not have, or that it reads in a way of its own."""


def spark_type(type: Any) -> Any:
    """The type that Spark's `toArrow()` gives for what a file holds as this one. NoSparkType where there is none."""
    if type in _SAME:
        return type
    if type in _READ_AS:
        return _READ_AS[type]
    kinds = pa.types
    if kinds.is_timestamp(type) and type.unit != "ns":
        return TIMESTAMP if type.tz else TIMESTAMP_NTZ
    if kinds.is_fixed_size_binary(type):
        return pa.binary()
    if kinds.is_dictionary(type):
        return spark_type(type.value_type)
    if kinds.is_decimal(type) and type.precision <= 38 and type.scale >= 0:
        return pa.decimal128(type.precision, type.scale)
    if kinds.is_list(type) or kinds.is_large_list(type) or kinds.is_fixed_size_list(type):
        return pa.list_(pa.field("element", spark_type(type.value_type)))
    if kinds.is_map(type):
        return map_type(spark_type(type.key_type), spark_type(type.item_type))
    if kinds.is_struct(type):
        return pa.struct([pa.field(field.name, spark_type(field.type)) for field in type])
    raise NoSparkType(str(type))


def map_type(key: Any, value: Any) -> Any:
    """Arrow's map. NoSparkType for keys without a type, which Arrow does not have."""
    if pa.types.is_null(key):
        raise NoSparkType("a map whose keys have no type")
    return pa.map_(key, value)


def spark_json(type: Any) -> Any:
    """A type, of those that `spark_type` gives, as Spark's schema JSON has it."""
    if type in _SAME:
        return _SAME[type]
    if pa.types.is_decimal(type):
        return f"decimal({type.precision},{type.scale})"
    if pa.types.is_list(type):
        return {"type": "array", "elementType": spark_json(type.value_type), "containsNull": True}
    if pa.types.is_map(type):
        key, value = spark_json(type.key_type), spark_json(type.item_type)
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
    return {"type": "struct", "fields": [json_field(field.name, field.type) for field in type]}


def json_field(name: str, type: Any) -> dict[str, Any]:
    """One column of Spark's schema JSON."""
    return {"name": name, "type": spark_json(type), "nullable": True, "metadata": {}}
