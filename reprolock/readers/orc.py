"""ORC as Spark reads it, without its time stamps: pyarrow has them in nanoseconds, which do not hold every year."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.orc

from reprolock.readers.columnar import conform, holds, opened, parts, spark_schema, target
from reprolock.readers.files import DataFile, find_files
from reprolock.readers.partitions import joined
from reprolock.readers.source import Source
from reprolock.readers.types import spark_json, spark_type

_SPARKS_TYPE = b"spark.sql.catalyst.type"
_GREGORIAN = pa.scalar(-141427, pa.int32())
"""1582-10-15 in days: before it, ORC files are in one of two calendars."""
_TRY = "import sys, pyarrow.orc; pyarrow.orc.ORCFile(sys.argv[1]).read()"


def read(source: Source) -> Any:
    """The rows of all files. UsageError for what Spark reads otherwise."""
    source.check_options(("mergeschema",))
    files = find_files(source)
    opens = [opened(source, file, _open) for file in files]
    schemas = [orc_schema(source, file, schema) for file, (_, schema) in zip(files, opens, strict=True)]
    schema = common_schema(source, files, schemas)
    for file, found in zip(files, schemas, strict=True):
        _check_keys(source, file, found)
    tables = [
        conform(source, file, opened(source, file, lambda _, orc=orc: orc.read()), schema)  # type: ignore[misc]
        for file, (orc, _) in zip(files, opens, strict=True)
    ]
    for file, table in zip(files, tables, strict=True):
        _check_values(source, file, table)
    return joined(source, files, tables)


def _open(file: DataFile) -> tuple[Any, Any]:
    """The file and its columns, which Arrow has where the file holds structs."""
    orc = pyarrow.orc.ORCFile(file.path)
    return orc, orc.schema


def common_schema(source: Source, files: list[DataFile], schemas: list[Any]) -> Any:
    """The columns of the table, by those of each file. UsageError where Spark takes them in the order of a listing."""
    merged = source.flag("mergeschema")
    if not merged and any(schema != schemas[0] for schema in schemas):
        raise source.refusal("files of several schemas without mergeSchema, for Spark takes one of them")
    schema = target(source, files, schemas, merged=merged)
    if any(found.names != schema.names[: len(found.names)] for found in schemas):
        raise source.refusal(
            "files of which none has the columns of all others first, for Spark merges them in any order"
        )
    return schema


def orc_schema(source: Source, file: DataFile, schema: Any) -> Any:
    """The columns in Spark's types. UsageError for one that Spark wrote as a number and notes to be something else."""
    if not len(schema):
        raise source.refusal(f"{file.path.name}, which has no columns")
    for field in schema:
        if not field.name or "`" in field.name:
            raise source.refusal(f'{file.path.name}, which has a column of the name "{field.name}"')
        if (noted := _noted(field)) is not None:
            raise source.refusal(f'{file.path.name}, whose column "{field.name}" is {noted} for Spark')
    return spark_schema(source, file, schema)


def _noted(field: Any) -> str | None:
    """The type that Spark notes beside a column, or beside something in it, and that is not the one that is written."""
    if field.metadata and _SPARKS_TYPE in field.metadata and not pa.types.is_timestamp(field.type):
        noted: str = field.metadata[_SPARKS_TYPE].decode(errors="replace")
        return None if noted == spark_json(spark_type(field.type)) else noted
    inner = (_noted(field.type.field(index)) for index in range(field.type.num_fields))
    return next((noted for noted in inner if noted is not None), None)


def _check_keys(source: Source, file: DataFile, schema: Any) -> None:
    """UsageError for a map without a key: Arrow ends the process that reads one, so that another process tries it first."""
    if any(holds(field.type, pa.types.is_map) for field in schema):
        tried = subprocess.run(
            [sys.executable, "-I", "-c", _TRY, os.fspath(file.path)], capture_output=True, check=False
        )
        if tried.returncode < 0:
            raise source.refusal(f"{file.path.name}, which has a map without a key")


def _check_values(source: Source, file: DataFile, table: Any) -> None:
    for name in table.column_names:
        for part in (inner for chunk in table.column(name).chunks for inner in parts(chunk)):
            if pa.types.is_date32(part.type) and pc.any(pc.less(part.cast(pa.int32()), _GREGORIAN)).as_py():
                raise source.refusal(f'{file.path.name}, whose column "{name}" has dates before 1582-10-15')
            if pa.types.is_map(part.type) and _has_key_twice(part):
                raise source.refusal(f'{file.path.name}, whose column "{name}" has a map with a key twice')


def _has_key_twice(maps: Any) -> bool:
    """Spark keeps the last of them, and Arrow all."""
    keys, ends = list(maps.keys), maps.offsets.to_pylist()
    return any(len(set(keys[begin:end])) < end - begin for begin, end in pairwise(ends))
