"""Parquet as Spark reads it: the types that stand in the file, not those that pandas or Arrow noted beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from reprolock.readers import parquet_stored
from reprolock.readers.columnar import check_calendar, check_cases, conform, opened, target
from reprolock.readers.files import DataFile, find_files
from reprolock.readers.partitions import joined
from reprolock.readers.source import Source
from reprolock.readers.types import STRING, TIMESTAMP, NoSparkType, map_type, spark_json, spark_type

_UNREAD_CODECS = {"BROTLI", "LZO"}
_UNREAD_ENCODINGS = {"BYTE_STREAM_SPLIT"}
"""What Spark has no decoder for, without jars that it does not bring."""
_SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
_PHYSICAL = {
    "BOOLEAN": pa.bool_(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "BYTE_ARRAY": pa.binary(),
}


class Footer(NamedTuple):
    """A file, opened, and its columns in Spark's types."""

    file: DataFile
    parquet: Any
    schema: Any


def read(source: Source) -> Any:
    """The rows of all files. UsageError for what Spark reads otherwise."""
    source.check_options(("mergeschema",))
    files = find_files(source)
    footers = [open_file(source, file) for file in files]
    schema = target(source, files, [footer.schema for footer in footers], merged=source.flag("mergeschema"))
    return joined(source, files, [read_columns(source, footer, schema) for footer in footers])


def open_file(source: Source, file: DataFile) -> Footer:
    """A file's footer. UsageError for what is no Parquet, and for columns that Spark reads in a way of its own."""
    parquet = opened(
        source,
        file,
        lambda file: pq.ParquetFile(
            file.path, coerce_int96_timestamp_unit="us", memory_map=True, arrow_extensions_enabled=False
        ),
    )
    return Footer(file, parquet, schema_of(source, file, parquet))


def schema_of(source: Source, file: DataFile, parquet: Any) -> Any:
    """The columns in Spark's types, as the file and Spark's own notes in it agree. UsageError where they do not."""
    if "(Variant(" in str(parquet.schema):  # the groups of a schema are told by its text alone
        raise source.refusal(f"{file.path.name}, which has a column of the type variant")
    schema = _parquet_schema(source, file, parquet)
    for kind, odd in _odd_groups(str(parquet.schema)):
        if kind == "Map":
            raise source.unreadable(f"{file.path.name}, whose map {odd} has no values", "write a list")
        raise source.refusal(f"{file.path.name}, whose list {odd} repeats a field in what it repeats")
    _check_pages(source, file, parquet.metadata)
    _check_writer(source, file, parquet.metadata.metadata or {}, schema)
    return schema


def read_columns(source: Source, footer: Footer, schema: Any) -> Any:
    """The file's rows with these columns; what it does not have is null."""
    names = [field.name for field in schema if field.name in footer.schema.names]
    table = opened(source, footer.file, lambda _: footer.parquet.read(columns=names or None))
    check_numbers(source, footer)
    check_times(source, footer, table)
    if not names:
        table = table.select([])
        return pa.table([pa.nulls(footer.parquet.metadata.num_rows, field.type) for field in schema], schema=schema)
    return conform(source, footer.file, table, schema)


def check_numbers(source: Source, footer: Footer) -> None:
    """UsageError for unsigned numbers of which Arrow gives the lowest bits alone."""
    odd = opened(source, footer.file, lambda file: parquet_stored.odd_numbers(footer.parquet, file.path))
    if odd is not None:
        raise source.refusal(
            f'{footer.file.path.name}, whose column "{odd}" has a number that its unsigned type does not hold'
        )


def check_times(source: Source, footer: Footer, table: Any) -> bool:
    """Whether the file's times (INT96) had to be looked at, for rows of it leave a doubt. UsageError for one that Arrow miscounts."""
    if not parquet_stored.may_be_odd(footer.parquet, table):
        return False
    odd = opened(source, footer.file, lambda file: parquet_stored.odd_times(footer.parquet, file.path))
    if odd is not None:
        raise source.refusal(
            f'{footer.file.path.name}, whose column "{odd}" has INT96 times beyond those that Arrow counts'
        )
    return True


def _odd_groups(schema: str) -> Iterator[tuple[str, str]]:
    """The kind and name of each map without values, which Arrow takes for a list, and of each list that repeats a field in what it
    repeats, where Spark sees elements and Arrow structs. A schema tells them by its text alone."""
    lines = schema.splitlines()
    for at, line in enumerate(lines):
        kind = next((kind for kind in ("Map", "List") if line.endswith(f" ({kind}) {{")), None)
        indent = " " * (len(line) - len(line.lstrip()))
        if kind is None or not lines[at + 1].startswith(f"{indent}  repeated group "):
            continue  # of old writers, a map's repeated group is noted as a map, too
        inner = lines[at + 1 : lines.index(f"{indent}}}", at)]
        fields = [
            each.strip() for each in inner if each.startswith(f"{indent}    ") and each[len(indent) + 4] not in " }"
        ]
        if len(fields) != 2 if kind == "Map" else len(fields) == 1 and fields[0].startswith("repeated "):
            yield kind, line.split(maxsplit=3)[-1].removesuffix(f" ({kind}) {{")


def _parquet_schema(source: Source, file: DataFile, parquet: Any) -> Any:
    """The columns in Spark's types, each leaf by what Parquet itself says of it."""
    leaves = iter(range(len(parquet.schema)))
    fields = []
    for field in opened(source, file, lambda _: parquet.schema_arrow):
        try:
            fields.append(pa.field(field.name, _type(field.type, leaves, parquet.schema)))
        except NoSparkType as unknown:
            raise source.refusal(f'{file.path.name}, whose column "{field.name}" is {unknown}') from None
    if not fields:
        raise source.refusal(f"{file.path.name}, which has no columns")
    check_cases(source, file, pa.schema(fields))
    return pa.schema(fields)


def _type(type: Any, leaves: Iterator[int], parquet: Any) -> Any:
    """The type of one field, which takes as many of the file's leaves as it has."""
    kinds = pa.types
    if kinds.is_struct(type):
        return pa.struct([pa.field(field.name, _type(field.type, leaves, parquet)) for field in type])
    if kinds.is_map(type):
        key = _type(type.key_type, leaves, parquet)
        return map_type(key, _type(type.item_type, leaves, parquet))
    if kinds.is_list(type) or kinds.is_large_list(type) or kinds.is_fixed_size_list(type):
        return pa.list_(pa.field("element", _type(type.value_type, leaves, parquet)))
    leaf = parquet.column(next(leaves))
    if leaf.physical_type == "INT96":
        return TIMESTAMP
    if leaf.converted_type == "INTERVAL":
        raise NoSparkType("an interval")
    if leaf.converted_type == "ENUM":
        return STRING
    if kinds.is_null(type):
        return _of_nulls(leaf.physical_type)
    if leaf.logical_type.type in ("UNKNOWN", "UUID"):
        raise NoSparkType(f"of the type {leaf.logical_type}")
    if kinds.is_duration(type):
        return pa.int64()
    return spark_type(type)


def _of_nulls(physical: str) -> Any:
    """Spark knows no column without a type: it takes the one that holds the nulls."""
    if physical not in _PHYSICAL:
        raise NoSparkType(f"without a type, in {physical}")
    return _PHYSICAL[physical]


def _check_pages(source: Source, file: DataFile, metadata: Any) -> None:
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if column.compression in _UNREAD_CODECS:
                raise source.unreadable(
                    f"{file.path.name}, whose values are packed by {column.compression}",
                    "write it again packed by zstd or snappy",
                )
            if odd := set(column.encodings) & _UNREAD_ENCODINGS:
                raise source.unreadable(
                    f"{file.path.name}, whose values are encoded as {odd.pop()}",
                    "write it again in Parquet's default encodings",
                )


def _check_writer(source: Source, file: DataFile, notes: dict[bytes, bytes], schema: Any) -> None:
    """Spark's own notes in a file may say more than its columns: other types, or the calendar of Spark 2."""
    check_calendar(
        source, file, {key.decode(errors="replace"): notes[key].decode(errors="replace") for key in notes}, schema
    )
    if _SPARK_SCHEMA not in notes:
        return
    try:
        fields = json.loads(notes[_SPARK_SCHEMA])["fields"]
        noted = {field["name"]: _plain(field["type"]) for field in fields}
        defaults = [field["name"] for field in fields if "EXISTS_DEFAULT" in (field.get("metadata") or {})]
    except (ValueError, KeyError, TypeError):
        raise source.refusal(f"{file.path.name}, whose note of Spark's schema is broken") from None
    if defaults:
        raise source.refusal(f'{file.path.name}, whose column "{defaults[0]}" has a default for files without it')
    ours = {field.name: _plain(spark_json(field.type)) for field in schema}
    if noted != ours:
        odd = next((name for name in {**noted, **ours} if noted.get(name) != ours.get(name)), "")
        raise source.refusal(f'{file.path.name}, whose column "{odd}" is {noted.get(odd)} for Spark')
    if list(noted) != list(ours):
        raise source.refusal(f"{file.path.name}, whose columns stand in another order for Spark ({', '.join(noted)})")


def _plain(type: Any) -> Any:
    """A type of Spark's schema JSON without what says nothing of its values."""
    if not isinstance(type, dict):
        return type
    if type["type"] == "struct":
        return [(field["name"], _plain(field["type"])) for field in type["fields"]]
    return {key: _plain(value) for key, value in type.items() if key in ("type", "elementType", "keyType", "valueType")}
