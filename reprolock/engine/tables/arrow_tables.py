"""Digest tables, and compare two, without a JVM: pyarrow reads, DuckDB hashes. The digest is the one that Spark gives.

In: tables on this machine's disk. Out: what `sums` makes of the same tables in Spark, or a refusal, with its reason, of what
is not read here as Spark reads it. Batches of rows are read, encoded and hashed side by side, so that memory does not grow with a
Parquet table's rows; of other formats a file at a time is in memory, of Delta the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from typing import Any, NamedTuple
from zlib import crc32

import duckdb
import numpy as np
import pyarrow as pa

from reprolock.engine.tables.arrow_encoding import NoForm, bits, encode_rows, hash64, is_scalar, type_name
from reprolock.engine.tables.arrow_pairs import common_type, pair_rows
from reprolock.engine.tables.reading import NO_VALUE
from reprolock.engine.tables.source import TableSource, unread
from reprolock.errors import ReprolockError
from reprolock.model.table import Column, ColumnDeviation, TableComparison, TableDigest, table_digest
from reprolock.readers import parquet
from reprolock.readers.columnar import conform, target
from reprolock.readers.files import DataFile, find_files

_BATCH = 1 << 16
_STRICT = {"csv": {"mode": "FAILFAST", "enforceschema": "false"}}
"""A line that cannot be read is an error, and a header that does not name its columns, as in `reading`; the options may say otherwise."""


class Unreadable(Exception):
    """Why a table has no digest here; the sentence does not name the table.

    `of_the_machine`: the memory or the disk failed, which says nothing of the table.
    """

    def __init__(self, sentence: str, *, of_the_machine: bool = False) -> None:
        super().__init__(sentence)
        self.of_the_machine = of_the_machine


@contextmanager
def _explained() -> Iterator[None]:
    """What the libraries raise in the midst of a file, as Unreadable."""
    try:
        yield
    except (ReprolockError, Unreadable, KeyboardInterrupt, SystemExit):
        raise
    except NoForm as unknown:
        raise Unreadable(f"a column is of the type {unknown}, which cannot be compared") from None
    except (MemoryError, duckdb.OutOfMemoryException) as error:
        raise Unreadable(f"out of memory ({error})", of_the_machine=True) from None
    except BaseException as error:  # readers raise what they like; the panics of those in Rust are no Exception
        raise Unreadable((str(error).splitlines() or [type(error).__name__])[0]) from None


class _Rows(NamedTuple):
    """A table's columns in Spark's types, and its rows, batch after batch."""

    schema: Any
    batches: Iterator[Any]


class _Sums(NamedTuple):
    """Of some rows: how many they are, four lanes and a hint for each column, modulo 2^64."""

    rows: int
    lanes: np.ndarray
    hints: np.ndarray


def digest_table(source: TableSource, ignore: Sequence[str]) -> TableDigest:
    """The digest that Spark gives. Unreadable or UsageError with the reason why there is none."""
    with _explained():
        rows = _without(_open(_as_written(source)), ignore)
        names = [type_name(field.type) for field in rows.schema]
        sums = _summed(rows)
    columns = tuple(
        Column(name=field.name, type=kind, sum=f"{int(hint):016x}")
        for field, kind, hint in zip(rows.schema, names, sums.hints, strict=True)
    )
    return table_digest(sums.rows, columns, tuple(int(lane) for lane in sums.lanes))


def compare_pair(
    recorded: TableSource,
    found: TableSource,
    digests: tuple[TableDigest, TableDigest],
    ignore: Sequence[str],
    rel: float,
    abs_: float,
) -> TableComparison:
    """Two tables whose digests are known side by side, in memory: what is kept of a recorded table is small."""
    with _explained():
        typed = recorded.format == "csv" and recorded.flag("inferschema")
        sides = (recorded, found) if typed else map(_as_written, (recorded, found))
        opened = [_without(_open(source), ignore) for source in sides]
        one, other = (pa.Table.from_batches(list(rows.batches), rows.schema) for rows in opened)
        common = common_type(pa.struct(list(one.schema)), pa.struct(list(other.schema)))
        if common is None:
            return TableComparison(*digests, digests[0].rows, digests[1].rows, ())
        one, other = (table.cast(pa.schema(list(common)), safe=False) for table in (one, other))
        paired = pair_rows(one, other, rel, abs_)
    columns = tuple(ColumnDeviation(*column) for column in paired.columns)
    return TableComparison(*digests, paired.only_recorded, paired.only_found, columns, paired.alike)


def _as_written(source: TableSource) -> TableSource:
    """As `reading.as_written`."""
    if source.format != "csv":
        return source
    options = {name: value for name, value in source.options.items() if name != "inferschema"}
    return source._replace(options={"nullvalue": NO_VALUE} | options)


def _read(source: TableSource) -> Any:
    reader: Any = import_module(
        f"reprolock.readers.{source.format}"
    )  # loads fastavro or deltalake, where they are needed
    return reader.read(source)


def _open(source: TableSource) -> _Rows:
    source = source._replace(options=_STRICT.get(source.format, {}) | dict(source.options))
    if source.format == "delta":
        table = _read(source)
        return _Rows(table.schema, iter(table.to_batches(max_chunksize=_BATCH)))
    files = [
        file for file in find_files(source) if file.path.stat().st_size or source.format in ("parquet", "orc", "avro")
    ]
    if not files:
        raise Unreadable("there is no file in it that holds data")
    if (told := unread(source)) is not None:
        raise Unreadable(told)
    opened = _open_parquet(source, files) if source.format == "parquet" else _open_others(source, files)
    return _with_folders(source, files, opened)


def _open_parquet(source: TableSource, files: list[DataFile]) -> tuple[Any, Iterator[tuple[DataFile, Any]]]:
    source.check_options(("mergeschema",))
    merged = source.options.get("mergeschema", "true").lower() == "true"
    schema = target(source, files, [parquet.open_file(source, file).schema for file in files], merged=merged)
    return schema, _parquet_batches(source, files, schema)


def _parquet_batches(source: TableSource, files: list[DataFile], schema: Any) -> Iterator[tuple[DataFile, Any]]:
    for file in files:
        footer = parquet.open_file(source, file)
        parquet.check_numbers(source, footer)
        known = False
        names = [field.name for field in schema if field.name in footer.schema.names]
        for batch in footer.parquet.iter_batches(batch_size=_BATCH, columns=names):
            known = known or parquet.check_times(source, footer, batch)
            yield from (
                (file, part) for part in conform(source, file, pa.Table.from_batches([batch]), schema).to_batches()
            )


def _open_others(source: TableSource, files: list[DataFile]) -> tuple[Any, Iterator[tuple[DataFile, Any]]]:
    first = _read(source._replace(path=files[0].path))

    def tables() -> Iterator[tuple[DataFile, Any]]:
        for file in files:
            table = first if file is files[0] else _read(source._replace(path=file.path))
            if table.schema != first.schema:
                raise Unreadable(
                    f"only Spark reads {file.path.name}, which has other columns than {files[0].path.name}; declare [spark]"
                )
            yield from ((file, batch) for batch in table.to_batches(max_chunksize=_BATCH))

    return first.schema, tables()


def _with_folders(
    source: TableSource, files: list[DataFile], opened: tuple[Any, Iterator[tuple[DataFile, Any]]]
) -> _Rows:
    """The columns that folders name stand behind those of the files, as the text that is written there."""
    schema, batches = opened
    names = [name for name, _ in files[0].partition]
    lower = {field.name.lower() for field in schema}
    if both := [name for name in names if name.lower() in lower]:
        raise Unreadable(f"the files have a column {both[0]}, which their folders {both[0]}=… hide; rename one of them")
    for name in names:
        schema = schema.append(pa.field(name, pa.string()))

    def whole() -> Iterator[Any]:
        for file, batch in batches:
            folders = [pa.repeat(pa.scalar(value, pa.string()), batch.num_rows) for _, value in file.partition]
            yield pa.RecordBatch.from_arrays([*batch.columns, *folders], schema=schema)

    return _Rows(schema, whole())


def _without(rows: _Rows, ignore: Sequence[str]) -> _Rows:
    names = rows.schema.names
    for name in ignore:
        if name not in names:
            raise Unreadable(f'ignore names "{name}", and the columns are {", ".join(names)}')
    kept = [index for index, name in enumerate(names) if name not in ignore]
    if ignore and not kept:
        raise Unreadable("ignore leaves no column to compare")
    return _Rows(
        pa.schema([rows.schema.field(index) for index in kept]), (batch.select(kept) for batch in rows.batches)
    )


def _summed(rows: _Rows) -> _Sums:
    width = len(rows.schema)
    total = _Sums(0, np.zeros(4, np.uint64), np.zeros(width, np.uint64))
    with duckdb.connect() as database, ThreadPoolExecutor(os.cpu_count()) as pool:
        database.execute("set threads = 1")  # each batch is hashed by its own thread
        for part in _side_by_side(pool, lambda batch: _sum_of(database.cursor(), batch), rows.batches):
            total = _Sums(total.rows + part.rows, total.lanes + part.lanes, total.hints + part.hints)
    return total


def _side_by_side(pool: ThreadPoolExecutor, work: Callable[[Any], _Sums], batches: Iterator[Any]) -> Iterator[_Sums]:
    """What `work` gives for each batch, no more than a few of which are in memory."""
    running = [pool.submit(work, batch) for batch in islice(batches, 2 * (os.cpu_count() or 1))]
    while running:
        yield running.pop(0).result()
        running += [pool.submit(work, batch) for batch in islice(batches, 1)]


def _sum_of(cursor: Any, batch: Any) -> _Sums:
    """The SHA-256 of each row is cut into four lanes, as `sums.digest` does it."""
    columns = batch.columns
    encoded = encode_rows(columns) if columns else pa.array([b""] * batch.num_rows, pa.large_binary())
    table = pa.table({"row": encoded.cast(pa.binary())})  # DuckDB takes it faster than its large form
    hashes = cursor.from_arrow(table).project("unhex(sha256(row)) as hash").to_arrow_table().column("hash")
    lanes = np.zeros(4, np.uint64)
    for chunk in hashes.chunks:
        lanes += hash64(_words(chunk)).reshape(-1, 4).sum(axis=0, dtype=np.uint64)
    hints = np.array([_hint(column) for column in columns], np.uint64)
    return _Sums(batch.num_rows, lanes, hints)


def _words(hashes: Any) -> np.ndarray:
    """The bytes of 32-byte values as numbers of 8 bytes."""
    start = np.frombuffer(hashes.buffers()[1], np.int32)[hashes.offset]
    return np.frombuffer(hashes.buffers()[2], "<u8", count=4 * len(hashes), offset=int(start))


def _hint(column: Any) -> int:
    """As `sums._hint`, added up."""
    if is_scalar(column.type):
        return int(bits(column).sum(dtype=np.uint64))
    return sum(map(crc32, encode_rows([column]).to_pylist()))
