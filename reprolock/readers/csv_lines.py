"""CSV line by line, by the rules of the parser in Spark: for rows of other widths, escapes, comments and odd separators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from reprolock.readers.csv_settings import BLANKS, Settings

_LINE_ENDS = re.compile("\r\n|\n|\r")
_AT_ONCE = 50_000
MOST_COLUMNS = 20_480
"""Of a line that Spark's parser takes."""


class Irregular(ValueError):
    """A line that only Spark's own parser reads; the text says what is in it."""


class PassedOver(ValueError):
    """A line that Spark leaves out and other readers do not; the text says what it is."""


def counts(settings: Settings, line: str) -> bool:
    """Whether a line is a row or a header. PassedOver for one that other readers take for a row."""
    if settings.blanks and line and not line.strip(BLANKS):
        raise PassedOver("a line that has only blanks")
    return settings.counts(line)


def header_tokens(settings: Settings, line: str) -> list[str | None]:
    """The values of one line; None stands for a missing one."""
    return _tokens(settings, line)


def tables_of_lines(settings: Settings, data: bytes, columns: list[str]) -> Any:
    """All rows, cut or filled up to the width of the columns. Irregular or PassedOver names a line that is not."""
    import pyarrow as pa  # here, with the types: headers are read without it

    from reprolock.readers.types import STRING

    lines = _LINE_ENDS.split(bytes(data).decode())
    schema = pa.schema([(name, STRING) for name in columns])
    tables = [schema.empty_table()]
    for begin in range(0, len(lines), _AT_ONCE):
        rows = list(_rows(settings, lines[begin : begin + _AT_ONCE], len(columns)))
        arrays = [pa.array(values, STRING) for values in zip(*rows, strict=True)] if rows else []
        if arrays:
            tables.append(pa.table(arrays, schema=schema))
    return pa.concat_tables(tables)


def _rows(settings: Settings, lines: list[str], width: int) -> Iterator[list[str | None]]:
    for line in lines:
        if not counts(settings, line):
            continue
        values = _tokens(settings, line)
        if len(values) > MOST_COLUMNS:
            raise Irregular(f"a row of more than {MOST_COLUMNS} values")
        if len(values) != width:
            if settings.fail:
                raise Irregular("rows of another width than the header, where mode is FAILFAST")
            if settings.drop:
                if settings.infer:
                    raise Irregular("rows of another width, where mode is DROPMALFORMED and the schema is inferred")
                continue
            values = values[:width] + [None] * (width - len(values))
        yield values


def _tokens(settings: Settings, line: str) -> list[str | None]:
    if settings.quote and settings.quote in line:
        return _quoted_tokens(settings, line)
    values = line.split(settings.separator)
    if settings.trim_left:
        values = [value.lstrip(BLANKS) for value in values]
    if settings.trim_right:
        values = [_trimmed_right(settings, value) for value in values]
    return [None if value in ("", settings.null) else value for value in values]


def _trimmed_right(settings: Settings, value: str) -> str:
    text = value.rstrip(BLANKS)
    _check_blanks(settings, value, text)
    return text


def _check_blanks(settings: Settings, value: str, trimmed: str) -> None:
    """Irregular for blanks alone, in quotes too: Spark's parser makes nothing of them, an empty text, or an error, unless those
    on the left are taken away first."""
    if value and not trimmed and settings.trim_right and not settings.trim_left:
        raise Irregular(
            "a value that has only blanks, with ignoreTrailingWhiteSpace and without ignoreLeadingWhiteSpace"
        )


def _quoted_tokens(settings: Settings, line: str) -> list[str | None]:
    if len(settings.separator) > 1:
        raise Irregular("quotes beside a separator of several characters")
    values: list[str | None] = []
    at = 0
    while True:
        start = at
        if settings.trim_left:
            while at < len(line) and line[at] <= " " and line[at] != settings.separator:
                at += 1
        if at < len(line) and line[at] == settings.quote:
            value, at = _quoted(settings, line, at + 1)
            _check_blanks(settings, value, value.rstrip(BLANKS))
            text = value or settings.empty
        else:
            end = line.find(settings.separator, at)
            end = len(line) if end < 0 else end
            text = line[at if settings.trim_left else start : end]
            text = _trimmed_right(settings, text) if settings.trim_right else text
            at = end
            if not text:
                values.append(None)
                text = settings.null
                if at >= len(line):
                    return values
                at += 1
                continue
        values.append(None if text == settings.null else text)
        if at >= len(line):
            return values
        at += 1


def _quoted(settings: Settings, line: str, at: int) -> tuple[str, int]:
    """The value whose opening quote stands before `at`, and where its separator or the line's end is."""
    made: list[str] = []
    quote, escape = settings.quote, settings.escape
    if not escape and line[at : at + 1] == quote:  # there Spark's parser takes the opening quote for an escape
        raise Irregular('a quote right behind another, with escape = ""')
    while at < len(line):
        sign, following = line[at], line[at + 1 : at + 2]
        if sign == escape and following and following == quote:
            made.append(quote)
            at += 2
        elif sign == escape and sign != quote and following == escape:
            if line[at + 2 : at + 3] not in (quote, ""):
                raise Irregular("an escape before another inside of quotes")
            made.append(escape)
            at += 2
        elif sign == quote:
            if following not in ("", settings.separator):
                raise Irregular('a quote inside of quotes without an escape (escape = "\\"" reads doubled quotes)')
            return "".join(made), at + 1
        else:
            made.append(sign)
            at += 1
    raise Irregular("a quote that its line does not close (multiLine = true reads such values)")
