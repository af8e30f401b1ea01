"""CSV as Spark reads it. Every column is text, unless `inferSchema` is asked for.

A file whose lines and quotes are regular is parsed by pyarrow; any other line by line (`csv_lines`), by the rules of the
parser in Spark. A line that both would have to guess about is refused.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from reprolock.readers import csv_shape
from reprolock.readers.csv_header import BOM, Part, begun, check_names, no_utf8, passed_over
from reprolock.readers.csv_lines import Irregular, PassedOver, tables_of_lines
from reprolock.readers.csv_settings import Settings, settings_of
from reprolock.readers.files import find_files
from reprolock.readers.infer import Unclear, infer
from reprolock.readers.partitions import joined
from reprolock.readers.source import Source
from reprolock.readers.types import STRING

_BLOCK = 1 << 24


def read(source: Source) -> Any:
    """The rows of all files. UsageError for what Spark reads otherwise."""
    settings = settings_of(source)
    parts, names = begun(source, settings, find_files(source))
    tables = [_table(source, settings, part, names) for part in parts]
    made = joined(source, [part.file for part in parts], [pa.table(table.columns, names) for table in tables])
    check_names(source, made.column_names)
    if not settings.infer:
        return made
    if settings.header and _repeats_header(made, parts[0].first):
        raise source.refusal("a header that comes again among the rows, with inferSchema")
    return _inferred(source, made, len(names))


def _table(source: Source, settings: Settings, part: Part, names: list[str]) -> Any:
    """The rows of one file, as text with missing values."""
    columns = [str(index) for index in range(len(names))]
    table = _by_arrow(settings, part, columns)
    if table is None and settings.multiline:
        raise source.refusal(f"{part.file.path.name} with multiLine, because its lines or quotes are irregular")
    try:
        return tables_of_lines(settings, part.data[part.begin :], columns) if table is None else table
    except UnicodeDecodeError:
        raise no_utf8(source, part.file) from None
    except Irregular as irregular:
        raise source.refusal(f"{part.file.path.name}, which has {irregular}") from None
    except PassedOver as line:
        raise passed_over(source, part.file, line) from None


def _by_arrow(settings: Settings, part: Part, columns: list[str]) -> Any:
    """None where pyarrow and Spark may see different rows in the file."""
    if not settings.is_simple:
        return None
    data = numpy.frombuffer(part.data, numpy.uint8)[part.begin :]
    if not len(data):
        return pa.table({name: pa.array([], STRING) for name in columns})
    if data[: len(BOM)].tobytes() == BOM or not csv_shape.is_regular(data, settings):
        return None  # pyarrow passes over a byte order mark, which is text of the first row here
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(pa.py_buffer(data)),
            pyarrow.csv.ReadOptions(column_names=columns, block_size=_BLOCK),
            pyarrow.csv.ParseOptions(
                delimiter=settings.separator,
                quote_char=settings.quote or False,
                double_quote=settings.escape == settings.quote,
                newlines_in_values=settings.multiline,
            ),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(columns, STRING),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:  # rows of other widths, bytes that are no UTF-8: to be looked at line by line
        return None
    return pa.table([_with_missing(column, settings) for column in table.columns], columns)


def _with_missing(column: Any, settings: Settings) -> Any:
    """Spark's nullValue and emptyValue: nothing between two separators is null, `""` is the empty value."""
    if settings.empty:
        column = pc.if_else(pc.equal(column, ""), settings.empty, column)
    if settings.null == "" and not _has_empty(column):
        return column
    return pc.if_else(pc.equal(column, settings.null), pa.scalar(None, STRING), column)


def _has_empty(column: Any) -> bool:
    return bool(pc.any(pc.equal(pc.binary_length(column), 0)).as_py())


def _repeats_header(table: Any, header: list[str | None]) -> bool:
    """Whether a row has the header's own texts: Spark leaves such a line out where it infers, and not where it reads."""
    same = pc.fill_null(pc.equal(table.column(0), header[0] or ""), header[0] is None)
    rows = table.filter(same).slice(0, _BLOCK)
    for index, name in enumerate(header[1:], 1):
        column = rows.column(index)
        rows = rows.filter(pc.is_null(column) if name is None else pc.fill_null(pc.equal(column, name), False))
    return bool(rows.num_rows)


def _inferred(source: Source, table: Any, width: int) -> Any:
    """The files' columns in the types that Spark finds in them; those of folders have theirs."""

    def typed(name: str) -> Any:
        try:
            return infer(table.column(name))
        except Unclear as unclear:
            raise source.refusal(
                f'the column "{name}" with inferSchema, because only Spark knows the type of "{unclear}"'
            ) from None

    names = table.column_names
    with ThreadPoolExecutor(pa.cpu_count()) as pool:  # pyarrow converts one column on one core
        return pa.table([*pool.map(typed, names[:width]), *table.columns[width:]], names)
