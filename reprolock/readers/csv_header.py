"""The first lines of CSV files: the names of the columns by Spark's rules, and where the rows begin. Needs no pyarrow."""

from __future__ import annotations

import mmap
import re
from typing import Any, NamedTuple

from reprolock.readers.csv_lines import MOST_COLUMNS, Irregular, PassedOver, counts, header_tokens
from reprolock.readers.csv_settings import BLANKS, Settings, settings_of
from reprolock.readers.files import DataFile, content, is_compressed
from reprolock.readers.source import Source, same_name

BOM = b"\xef\xbb\xbf"


class Part(NamedTuple):
    """A file's bytes from its first row on, the texts of its first line, and where the first row begins."""

    file: DataFile
    data: Any
    first: list[str | None]
    begin: int


def header(source: Source, files: list[DataFile]) -> list[str]:
    """The columns' names by the files' first lines. UsageError where Spark would have others."""
    _, names = begun(source, settings_of(source), files)
    check_names(source, names)
    return names


def begun(source: Source, settings: Settings, files: list[DataFile]) -> tuple[list[Part], list[str]]:
    """The files that have a line that counts, and their columns' names. UsageError where none has."""
    parts = [part for file in files if (part := _opened(source, settings, file)) is not None]
    if not parts:
        raise source.refusal("files without a single line")
    return parts, _names(source, settings, parts)


def _opened(source: Source, settings: Settings, file: DataFile) -> Part | None:
    """None for a file without a line that counts: Spark passes over it."""
    data = _bytes(source, file)
    if data.find(b"\0") >= 0:
        raise source.refusal(f"{file.path.name}, which has NUL bytes")
    begin = len(BOM) if data[: len(BOM)] == BOM else 0
    try:
        return _first_line(settings, file, data, begin)
    except UnicodeDecodeError:
        raise no_utf8(source, file) from None
    except Irregular as irregular:
        raise source.refusal(f"{file.path.name}, whose first line has {irregular}") from None
    except PassedOver as line:
        raise passed_over(source, file, line) from None


def _first_line(settings: Settings, file: DataFile, data: Any, begin: int) -> Part | None:
    for match in re.finditer(rb"([^\r\n]*)(\r\n|\r|\n|\Z)", memoryview(data)[begin:]):
        line = match[1].decode()
        if counts(settings, line):
            if line.startswith("\ufeff"):
                raise Irregular("a byte order mark that is not the file's own")
            end = match.end() if settings.header else match.start()
            return Part(file, data, header_tokens(settings, line), begin + end)
        if line.strip(" ") and not line.strip(BLANKS):  # which Spark takes names from, and does not read
            raise Irregular("only blanks that are not all spaces")
        if settings.multiline and (line or begin):  # there Spark passes over empty lines alone
            raise Irregular("only blanks, with multiLine")
    return None


def _bytes(source: Source, file: DataFile) -> Any:
    """The file mapped into memory; what is packed or empty, as bytes."""
    if is_compressed(file.path) or not file.path.stat().st_size:
        return content(source, file.path)
    with file.path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _names(source: Source, settings: Settings, parts: list[Part]) -> list[str]:
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


def check_names(source: Source, names: list[str]) -> None:
    if (twice := same_name(names)) is not None:
        raise source.refusal(f'two columns of the name "{twice}"')
    if "_corrupt_record" in (name.lower() for name in names):
        raise source.refusal('a column of the name "_corrupt_record"')


def no_utf8(source: Source, file: DataFile) -> Exception:
    return source.refusal(f"{file.path.name}, which is not UTF-8")


def passed_over(source: Source, file: DataFile, line: PassedOver) -> Exception:
    return source.unreadable(f"{line} in {file.path.name}", "put its value in quotes")
