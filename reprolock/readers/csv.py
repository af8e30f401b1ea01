"""CSV as Spark reads it. Every column is text, unless `inferSchema` is asked for.

A file whose lines and quotes are regular is parsed by pyarrow; any other line by line (`csv_lines`), by the rules of the
parser in Spark. A line that both would have to guess about is refused.
"""

from __future__ import annotations

import mmap
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from reprolock.readers import csv_shape
from reprolock.readers.csv_lines import MOST_COLUMNS, Irregular, PassedOver, counts, header_tokens, tables_of_lines
from reprolock.readers.csv_settings import Settings, settings_of
from reprolock.readers.files import DataFile, content, find_files, is_compressed
from reprolock.readers.infer import Unclear, infer
from reprolock.readers.partitions import joined
from reprolock.readers.source import Source
from reprolock.readers.types import STRING, same_name

_BOM = b"\xef\xbb\xbf"
_BLOCK = 1 << 24


class _Part(NamedTuple):
    """A file's bytes from its first row on, the texts of its first line, and where the first row begins."""

    file: DataFile
    data: Any
    first: list[str | None]
    begin: int


def read(source: Source) -> Any:
    """The rows of all files. UsageError for what Spark reads otherwise."""
    settings = settings_of(source)
    parts, names = _begun(source, settings, find_files(source))
    tables = [_table(source, settings, part, names) for part in parts]
    made = joined(source, [part.file for part in parts], [pa.table(table.columns, names) for table in tables])
    _check_names(source, made.column_names)
    if not settings.infer:
        return made
    if settings.header and _repeats_header(made, parts[0].first):
        raise source.refusal("a header that comes again among the rows, with inferSchema")
    return _inferred(source, made, len(names))


def header(source: Source, files: list[DataFile]) -> list[str]:
    """The columns' names by the files' first lines. UsageError where Spark would have others."""
    _, names = _begun(source, settings_of(source), files)
    _check_names(source, names)
    return names


def _begun(source: Source, settings: Settings, files: list[DataFile]) -> tuple[list[_Part], list[str]]:
    """The files that have a line that counts, and their columns' names. UsageError where none has."""
    parts = [part for file in files if (part := _opened(source, settings, file)) is not None]
    if not parts:
        raise source.refusal("files without a single line")
    return parts, _names(source, settings, parts)


def _opened(source: Source, settings: Settings, file: DataFile) -> _Part | None:
    """None for a file without a line that counts: Spark passes over it."""
    data = _bytes(source, file)
    if data.find(b"\0") >= 0:
        raise source.refusal(f"{file.path.name}, which has NUL bytes")
    begin = len(_BOM) if data[: len(_BOM)] == _BOM else 0
    try:
        return _first_line(settings, file, data, begin)
    except UnicodeDecodeError:
        raise _no_utf8(source, file) from None
    except Irregular as irregular:
        raise source.refusal(f"{file.path.name}, whose first line has {irregular}") from None
    except PassedOver as line:
        raise _passed_over(source, file, line) from None


def _first_line(settings: Settings, file: DataFile, data: Any, begin: int) -> _Part | None:
    for match in re.finditer(rb"([^\r\n]*)(\r\n|\r|\n|\Z)", memoryview(data)[begin:]):
        line = match[1].decode()
        if counts(settings, line):
            if settings.header and line.startswith("\ufeff"):
                raise Irregular("a byte order mark before its names")
            end = match.end() if settings.header else match.start()
            return _Part(file, data, header_tokens(settings, line), begin + end)
        if settings.multiline and (line or begin):  # there Spark passes over empty lines alone
            raise Irregular("only blanks, with multiLine")
    return None


def _bytes(source: Source, file: DataFile) -> Any:
    """The file mapped into memory; what is packed or empty, as bytes."""
    if is_compressed(file.path) or not file.path.stat().st_size:
        return content(source, file.path)
    with file.path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _names(source: Source, settings: Settings, parts: list[_Part]) -> list[str]:
    """The columns' names. Spark takes them from one file and reads all by position: they must agree."""
    first = parts[0].first
    for part in parts[1:]:
        if (part.first if settings.header else len(part.first)) != (first if settings.header else len(first)):
            both = f"{parts[0].file.path.name} and {part.file.path.name}"
            raise source.refusal(f"parts with different {'headers' if settings.header else 'widths'} ({both})")
    if len(first) > MOST_COLUMNS:
        raise source.refusal(f"{len(first)} columns")
    if not settings.header:
        return [f"_c{index}" for index in range(len(first))]
    same = [source.same_as(name) if name is not None else None for name in first]
    names = []
    for index, name in enumerate(first):
        if not name or name == settings.null:
            names.append(f"_c{index}")
        else:
            names.append(f"{name}{index}" if same.count(same[index]) > 1 else name)
    if not settings.enforce and names != first:
        raise source.refusal("a header with a name twice or none at all, without enforceSchema = true")
    return names


def _check_names(source: Source, names: list[str]) -> None:
    if (twice := same_name(names)) is not None:
        raise source.refusal(f'two columns of the name "{twice}"')
    if "_corrupt_record" in (name.lower() for name in names):
        raise source.refusal('a column of the name "_corrupt_record"')


def _table(source: Source, settings: Settings, part: _Part, names: list[str]) -> Any:
    """The rows of one file, as text with missing values."""
    columns = [str(index) for index in range(len(names))]
    table = _by_arrow(settings, part, columns)
    if table is None and settings.multiline:
        raise source.refusal(f"{part.file.path.name} with multiLine, because its lines or quotes are irregular")
    try:
        return tables_of_lines(settings, part.data[part.begin :], columns) if table is None else table
    except UnicodeDecodeError:
        raise _no_utf8(source, part.file) from None
    except Irregular as irregular:
        raise source.refusal(f"{part.file.path.name}, which has {irregular}") from None
    except PassedOver as line:
        raise _passed_over(source, part.file, line) from None


def _by_arrow(settings: Settings, part: _Part, columns: list[str]) -> Any:
    """None where pyarrow and Spark may see different rows in the file."""
    if not settings.is_simple:
        return None
    data = numpy.frombuffer(part.data, numpy.uint8)[part.begin :]
    if not len(data):
        return pa.table({name: pa.array([], STRING) for name in columns})
    if not csv_shape.is_regular(data, settings):
        return None
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


def _no_utf8(source: Source, file: DataFile) -> Exception:
    return source.refusal(f"{file.path.name}, which is not UTF-8")


def _passed_over(source: Source, file: DataFile, line: PassedOver) -> Exception:
    return source.unreadable(f"{line} in {file.path.name}", "put its value in quotes")
