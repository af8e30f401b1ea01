"""What Parquet, ORC, Avro and Delta share: tables of several files brought to the columns that Spark gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from reprolock.readers.files import DataFile
from reprolock.readers.source import Source, same_name
from reprolock.readers.types import NoSparkType, spark_type

_OLD_CALENDAR = ("org.apache.spark.legacyDateTime", "org.apache.spark.legacyINT96")
_NEW_CALENDAR = "3.1.0"
"""From this Spark on no file is in the old calendar without saying so; Spark itself compares the texts."""


def spark_schema(source: Source, file: DataFile, schema: Any) -> Any:
    """A file's columns in Spark's types. UsageError names the column that Spark has no type for."""
    fields = []
    for field in schema:
        try:
            fields.append(pa.field(field.name, spark_type(field.type)))
        except NoSparkType as unknown:
            raise source.refusal(f'{file.path.name}, whose column "{field.name}" is {unknown}') from None
    check_cases(source, file, pa.schema(fields))
    return pa.schema(fields)


def check_cases(source: Source, file: DataFile, struct: Any) -> None:
    """UsageError for names that differ in case alone: Spark takes them for one."""
    if (twice := same_name([field.name for field in struct])) is not None:
        raise source.refusal(f'{file.path.name}, which has two columns of the name "{twice}"')
    for field in struct:
        if pa.types.is_struct(field.type):
            check_cases(source, file, field.type)


def check_calendar(source: Source, file: DataFile, notes: Mapping[str, str], schema: Any) -> None:
    """UsageError for dates and time stamps that an old Spark wrote: it may have counted them in the calendar before 1582."""
    version = notes.get("org.apache.spark.version")
    old = version is not None and version < _NEW_CALENDAR
    if any(key in notes for key in _OLD_CALENDAR) or (
        old and any(holds(field.type, pa.types.is_temporal) for field in schema)
    ):
        raise source.refusal(f"{file.path.name}, whose dates are in the calendar of Spark 2")


def holds(type: Any, kind: Callable[[Any], bool]) -> bool:
    """Whether a type, or one inside of it, is of a kind."""
    return bool(kind(type)) or any(holds(type.field(index).type, kind) for index in range(type.num_fields))


def target(source: Source, files: list[DataFile], schemas: list[Any], *, merged: bool) -> Any:
    """The columns of the table: those of the first file, or with mergeSchema those of all, one after the other."""
    fields = {field.name: field for field in schemas[0]}
    lower = {name.lower(): name for name in fields}
    for file, schema in zip(files[1:], schemas[1:], strict=True):
        for field in schema:
            name = lower.get(field.name.lower())
            if name is not None and (name != field.name or fields[name].type != field.type):
                raise source.refusal(
                    f'{file.path.name}, whose column "{field.name}" is not what {files[0].path.name} has'
                )
            if merged and name is None:
                fields[field.name] = field
                lower[field.name.lower()] = field.name
    return pa.schema(list(fields.values()))


def conform(source: Source, file: DataFile, table: Any, schema: Any) -> Any:
    """A file's rows with exactly these columns; one that the file does not have is null."""
    columns = []
    for field in schema:
        index = table.schema.get_field_index(field.name)
        if index < 0:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        try:
            columns.append(cast(table.column(index), field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise source.refusal(f'{file.path.name}, whose column "{field.name}" {error}') from None
        _check_values(source, file, field, columns[-1])
    return pa.table(columns, schema=schema)


def _check_values(source: Source, file: DataFile, field: Any, column: Any) -> None:
    """Arrow's readers take any bytes for text, and any number for a decimal of the declared digits."""
    for kind, what in (
        (pa.types.is_string, "text that is not UTF-8"),
        (pa.types.is_decimal, "a number of more digits than its type"),
    ):
        if holds(field.type, kind) and not _is_valid(column):
            raise source.refusal(f'{file.path.name}, whose column "{field.name}" has {what}')


def _is_valid(column: Any) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def cast(column: Any, type: Any) -> Any:
    """The same values in Spark's type."""
    return column if column.type == type else column.cast(type)


def parts(array: Any) -> Iterator[Any]:
    """An array, and all that its values consist of."""
    yield array
    if pa.types.is_map(array.type):
        inner = [array.keys, array.items]
    elif pa.types.is_list(array.type) or pa.types.is_struct(array.type):
        flat = array.flatten()
        inner = flat if isinstance(flat, list) else [flat]
    else:
        inner = []
    for part in inner:
        yield from parts(part)


def opened(source: Source, file: DataFile, read: Callable[[DataFile], Any]) -> Any:
    """What `read` gives for a file. UsageError for a file that is not of its format."""
    try:
        return read(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise source.refusal(f"{file.path.name} ({first[:120]})") from None
