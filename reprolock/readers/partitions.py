"""The columns that folders name (`day=1/`), put behind those of the files."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from reprolock.readers.files import DataFile, listed_partitions
from reprolock.readers.infer import Unclear, infer_partition
from reprolock.readers.source import Source


def joined(source: Source, files: list[DataFile], tables: list[Any]) -> Any:
    """One table of all files' tables, which have the same columns, with their partitions' columns."""
    table = pa.concat_tables(tables)
    names = [name for name, _ in files[0].partition]
    rows = [part.num_rows for part in tables]
    listed = listed_partitions(source, names) if names else []
    for place, name in enumerate(names):
        if name.lower() in (other.lower() for other in table.column_names):
            raise source.refusal(f'the partition column "{name}", which the files have too')
        try:
            texts = list(dict.fromkeys(values[place] for values in listed))
            values = infer_partition(texts)
        except Unclear as unclear:
            raise source.refusal(f"the partition {name}={unclear}, whose type only Spark knows") from None
        at = [texts.index(file.partition[place][1]) for file in files]
        which = pa.array([index for index, count in zip(at, rows, strict=True) for _ in range(count)], pa.int64())
        table = table.append_column(name, pc.take(values, which))
    return table
