"""An Arrow table of Spark's types as a pandas DataFrame, by one table of types. No value changes on the way.

boolean, integers, float     NumPy's type of that width; with a missing value pandas' nullable one (Int64, boolean)
float and double             missing is NaN; Float64 where a column holds both NaN and missing values
string                       pandas' str dtype on Arrow; missing is NaN
timestamp, timestamp_ntz     datetime64[us] without a zone, in UTC as Spark's session; missing is NaT
date, decimal, binary, array, map, struct   objects: date, Decimal, bytes, list, dict; missing is None
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas
import pyarrow as pa
import pyarrow.compute as pc

_NULLABLE: dict[Any, Callable[[], Any]] = {
    pa.bool_(): pandas.BooleanDtype,
    pa.int8(): pandas.Int8Dtype,
    pa.int16(): pandas.Int16Dtype,
    pa.int32(): pandas.Int32Dtype,
    pa.int64(): pandas.Int64Dtype,
    pa.float32(): pandas.Float32Dtype,
    pa.float64(): pandas.Float64Dtype,
}


class NoForm(ValueError):
    """A column with a value that Python does not have; the text names it and what is in it."""


def to_pandas(table: Any) -> pandas.DataFrame:
    """`table` has the types of `types.spark_type` alone. NoForm for dates after 9999, maps with a key twice and the like."""
    plain = [name for name in table.column_names if _is_plain(table.column(name))]
    frame: pandas.DataFrame = table.select(plain).to_pandas(coerce_temporal_nanoseconds=False)
    if len(plain) == table.num_columns:
        return frame
    columns = {
        name: frame[name] if name in frame.columns else _named(name, table.column(name)) for name in table.column_names
    }
    return pandas.DataFrame(columns, index=pandas.RangeIndex(table.num_rows), copy=False)


def _is_plain(column: Any) -> bool:
    """Whether pyarrow's own conversion is the one of the table above: NumPy's types without a missing value."""
    if pa.types.is_floating(column.type):
        return column.null_count == 0 or not _has_nan(column)
    return column.type in _NULLABLE and column.null_count == 0


def _named(name: str, column: Any) -> Any:
    try:
        return _series(column)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        text = str(error.args[0]) if error.args else type(error).__name__
        raise NoForm(f'"{name}": {text}') from None


def _series(column: Any) -> Any:
    type = column.type
    if type in _NULLABLE:
        return pandas.Series(_NULLABLE[type]().__from_arrow__(column), copy=False)
    if pa.types.is_string(type):
        return pandas.Series(_text_dtype().__from_arrow__(column), copy=False)
    if pa.types.is_timestamp(type):
        return column.cast(pa.timestamp("us")).to_pandas()
    if pa.types.is_nested(type):
        return pandas.Series(_objects(column.cast(_without_zone(type))), dtype=object)
    return pandas.Series(column.to_pylist(), dtype=object)


def _has_nan(column: Any) -> bool:
    return bool(pc.any(pc.is_nan(column)).as_py())


def _text_dtype() -> Any:
    """The dtype that text has in pandas 3, by the name that this pandas knows for it."""
    try:
        return pandas.StringDtype("pyarrow", na_value=float("nan"))
    except TypeError:  # pandas 2.2
        return pandas.StringDtype("pyarrow_numpy")


def _without_zone(type: Any) -> Any:
    """The same nested type with times in UTC that do not say so, as Spark gives them to Python."""
    if pa.types.is_timestamp(type):
        return pa.timestamp("us")
    if pa.types.is_list(type):
        return pa.list_(pa.field("element", _without_zone(type.value_type)))
    if pa.types.is_map(type):
        return pa.map_(_without_zone(type.key_type), _without_zone(type.item_type))
    if pa.types.is_struct(type):
        return pa.struct([pa.field(field.name, _without_zone(field.type)) for field in type])
    return type


def _objects(column: Any) -> list[Any]:
    """Python's own objects; a map is a dict, and no integer in a list becomes a float."""
    return list(column.to_pylist(maps_as_pydicts="strict"))
