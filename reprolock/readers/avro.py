"""Avro as Spark reads it, by fastavro."""

from __future__ import annotations

from typing import Any

import fastavro
import fastavro.schema
import pyarrow as pa

from reprolock.readers.columnar import check_calendar, check_cases
from reprolock.readers.files import DataFile, find_files
from reprolock.readers.partitions import joined
from reprolock.readers.source import Source
from reprolock.readers.types import STRING, TIMESTAMP, TIMESTAMP_NTZ

_PRIMITIVES = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": STRING,
    "bytes": pa.binary(),
}
_LOGICAL = {
    ("int", "date"): pa.date32(),
    ("long", "timestamp-millis"): TIMESTAMP,
    ("long", "timestamp-micros"): TIMESTAMP,
    ("long", "local-timestamp-millis"): TIMESTAMP_NTZ,
    ("long", "local-timestamp-micros"): TIMESTAMP_NTZ,
}

_SPARKS_TYPE = "spark.sql.catalyst.type"


class _NotSparks(ValueError):
    """A schema that Spark reads in a way of its own; the text names what is in it."""


def read(source: Source) -> Any:
    """The records of all files, whose schemas must be one."""
    source.check_options(())
    files = find_files(source)
    schema, tables = None, []
    for file in files:
        found, table = _table(source, file)
        if schema is not None and found != schema:
            raise source.refusal(f"files of several schemas ({files[0].path.name} and {file.path.name})")
        schema = found
        tables.append(table)
    return joined(source, files, tables)


def _table(source: Source, file: DataFile) -> tuple[Any, Any]:
    """The writer's schema of a file, and its rows."""
    try:
        with file.path.open("rb") as stream:
            reader = fastavro.reader(stream)
            written: Any = reader.writer_schema
            if not isinstance(written, dict) or written.get("type") != "record":
                raise source.refusal(f"{file.path.name}, whose schema is not a record")
            schema = pa.schema([pa.field(field["name"], _type(field["type"])) for field in written["fields"]])
            check_cases(source, file, schema)
            check_calendar(source, file, reader.metadata, schema)
            return written, pa.Table.from_pylist(list(reader), schema)
    except _NotSparks as odd:
        raise source.refusal(f"{file.path.name}, whose schema has {odd}") from None
    except (
        fastavro.schema.SchemaParseException,
        pa.ArrowException,
        OSError,
        ValueError,
        EOFError,
        OverflowError,
        IndexError,
        KeyError,
        StopIteration,
    ) as error:
        raise source.refusal(f"{file.path.name} ({type(error).__name__}: {str(error)[:120]})") from None


def _type(avro: Any) -> Any:
    """The Arrow type of an Avro schema. _NotSparks for unions of several types, times of day and what refers to itself."""
    if isinstance(avro, list):
        return _union(avro)
    if isinstance(avro, str):
        if avro not in _PRIMITIVES:
            raise _NotSparks(f"a reference to the type {avro}")
        return _PRIMITIVES[avro]
    if _SPARKS_TYPE in avro:
        raise _NotSparks(f"Spark's own type {avro[_SPARKS_TYPE]}")
    kind = avro["type"]
    if isinstance(kind, (dict, list)):
        return _type(kind)
    if "logicalType" in avro:
        return _logical(avro)
    if kind == "array":
        return pa.list_(pa.field("element", _type(avro["items"])))
    if kind == "map":
        return pa.map_(STRING, _type(avro["values"]))
    if kind == "record":
        return pa.struct([pa.field(field["name"], _type(field["type"])) for field in avro["fields"]])
    if kind == "enum":
        return STRING
    return pa.binary() if kind == "fixed" else _type(kind)


def _union(branches: list[Any]) -> Any:
    types = [branch for branch in branches if branch != "null"]
    if len(types) != 1:
        raise _NotSparks("a union of several types")
    return _type(types[0])


def _logical(avro: Any) -> Any:
    kind, logical = avro["type"], avro["logicalType"]
    if logical == "decimal" and kind in ("bytes", "fixed") and avro["precision"] <= 38:
        return pa.decimal128(avro["precision"], avro.get("scale", 0))
    if (kind, logical) not in _LOGICAL:
        raise _NotSparks(f"the logical type {logical}")
    return _LOGICAL[kind, logical]
