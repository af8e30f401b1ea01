"""ORC as Spark reads it, without its time stamps: pyarrow has them in nanoseconds, which do not hold every year."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.orc

from reprolock.readers.columnar import conform, opened, spark_schema, target
from reprolock.readers.files import DataFile, find_files
from reprolock.readers.partitions import joined
from reprolock.readers.source import Source

_GREGORIAN = pa.scalar(-141427, pa.int32())
"""1582-10-15 in days: before it, ORC files are in one of two calendars."""


def read(source: Source) -> Any:
    """The rows of all files. UsageError for what Spark reads otherwise."""
    source.check_options(("mergeschema",))
    files = find_files(source)
    opens = [opened(source, file, lambda file: pyarrow.orc.ORCFile(file.path)) for file in files]
    schemas = [orc_schema(source, file, orc.schema) for file, orc in zip(files, opens, strict=True)]
    merged = source.flag("mergeschema")
    if not merged and any(schema != schemas[0] for schema in schemas):
        raise source.refusal("files of several schemas without mergeSchema, for Spark takes one of them")
    schema = target(source, files, schemas, merged=merged)
    tables = [
        conform(source, file, opened(source, file, lambda _, orc=orc: orc.read()), schema)  # type: ignore[misc]
        for file, orc in zip(files, opens, strict=True)
    ]
    for file, table in zip(files, tables, strict=True):
        _check_dates(source, file, table)
    return joined(source, files, tables)


def orc_schema(source: Source, file: DataFile, schema: Any) -> Any:
    """The columns in Spark's types."""
    return spark_schema(source, file, schema)


def _check_dates(source: Source, file: DataFile, table: Any) -> None:
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_date32(column.type) and pc.any(pc.less(column.cast(pa.int32()), _GREGORIAN)).as_py():
            raise source.refusal(f'{file.path.name}, whose column "{name}" has dates before 1582-10-15')
