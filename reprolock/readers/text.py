"""Text as Spark reads it: a column `value`, a row per line, or per file with `wholetext`."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from reprolock.readers.files import DataFile, content, find_files
from reprolock.readers.partitions import joined
from reprolock.readers.source import Source
from reprolock.readers.types import STRING

_LINE_ENDS = re.compile("\r\n|\n|\r")
_BOM = "\ufeff"


def read(source: Source) -> Any:
    """The lines of all files. UsageError for bytes that are no UTF-8, which Spark passes on as they are."""
    source.check_options(("wholetext",))
    whole = source.flag("wholetext")
    files = find_files(source)
    tables = [pa.table([pa.array(_values(source, file, whole), STRING)], ["value"]) for file in files]
    return joined(source, files, tables)


def decoded(source: Source, file: DataFile) -> str:
    """A file's text. UsageError where it is no UTF-8."""
    try:
        return content(source, file.path).decode()
    except UnicodeDecodeError:
        raise source.refusal(f"{file.path.name}, which is not UTF-8") from None


def lines_of(text: str) -> list[str]:
    """The lines of a file, as Hadoop cuts them; a byte order mark is no part of the first."""
    lines = _LINE_ENDS.split(text.removeprefix(_BOM))
    return lines if lines[-1] else lines[:-1]


def _values(source: Source, file: DataFile, whole: bool) -> list[str]:
    text = decoded(source, file)
    if whole:
        return [text] if file.path.stat().st_size else []  # a packed file without text is a row
    return lines_of(text)
