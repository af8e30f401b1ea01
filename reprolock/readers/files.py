"""Which files of a dataset Spark reads, what their folders say, and their bytes."""

from __future__ import annotations

import bz2
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from reprolock.errors import UsageError
from reprolock.model.glob import matches
from reprolock.readers.partition_types import ESCAPE, partition_of, partition_type, unescaped
from reprolock.readers.source import Source

_CODECS = (".gz", ".bz2", ".deflate")
_OTHER_CODECS = (".gzip", ".lz4", ".snappy", ".zst", ".zstd", ".lzo", ".xz")
_LEAST_BLOCK = 512
"""How much of a packed file its codec is given first. It hands back what stands behind a member: bgzip makes one of each 64 KiB."""
_GZIP = 31
"""What zlib calls a window of 32 KiB with gzip's header."""
_SUMMARIES = ("_metadata", "_common_metadata")
_SUMMARISED = ("parquet", "orc", "avro")
"""Formats of which Spark takes columns from files that it does not read, because their names begin like a summary's."""


class DataFile(NamedTuple):
    """One file, and the columns that its folders name (`day=1/`) with their text; None stands for a missing value."""

    path: Path
    partition: tuple[tuple[str, str | None], ...] = ()


def find_files(source: Source) -> list[DataFile]:
    """The files that Spark reads, in the order of their paths.

    Spark reads the files directly below the path, and those of folders that name partitions; with
    `recursiveFileLookup` those of all folders. UsageError where there is none, and where only some folders name one.
    """
    if source.path.is_file():
        return [DataFile(source.path)]
    _check_summaries(source)
    files = select_files(source, _visible(source.path, source.glob))
    if source.glob is not None and not files[0].partition and not source.flag("recursivefilelookup"):
        _check_left_out(source)
    return files


def select_files(source: Source, names: Iterable[tuple[str, ...]]) -> list[DataFile]:
    """The same of a listing: `names` are the segments, below the path, of the names of files that are not hidden, in any order.
    Errors as `find_files`."""
    found = sorted(names, key=_java_order)
    if source.flag("recursivefilelookup"):
        files = [DataFile(source.path.joinpath(*names)) for names in found]
    elif any("=" in name for names in found for name in names[:-1]):
        files = [DataFile(source.path.joinpath(*names), _partition(source, names[:-1])) for names in found]
        if len({tuple(name for name, _ in file.partition) for file in files}) > 1:
            raise source.refusal("folders that do not all name the same partition columns")
    else:
        files = [DataFile(source.path / names[0]) for names in found if len(names) == 1]
    if not files:
        raise _nothing(source, deep=bool(found))
    return files


def listed_partitions(source: Source, names: list[str]) -> list[tuple[str | None, ...]]:
    """What folders say of these partition columns, those too of which no file is read: Spark types a column by all of them.

    UsageError for a folder that has other columns.
    """
    found = {_partition(source, path[:-1]) for path in _visible(source.path, None) if len(path) > 1}
    if any([name for name, _ in partition] != names for partition in found):
        raise source.refusal("folders that do not all name the same partition columns")
    return [tuple(value for _, value in partition) for partition in found]


def unread_files(source: Source) -> list[str]:
    """Files below the path that Spark passes over although they are not hidden, relative to it."""
    if source.path.is_file():
        return []
    read = {file.path for file in find_files(source)}
    return sorted(
        "/".join(names) for names in _visible(source.path, source.glob) if source.path.joinpath(*names) not in read
    )


def is_hidden(*names: str) -> bool:
    """Whether Spark passes over a file; `names` are those of its folders, and its own."""
    *folders, name = names
    return _begins_hidden(name) or any(map(_is_hidden_folder, folders))


def _is_hidden_folder(name: str) -> bool:
    """As of a file; but Spark lists what begins like a summary, and reads what is in a folder of such a name."""
    return _begins_hidden(name) and not name.startswith(_SUMMARIES)


def _begins_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name) or name.endswith("._COPYING_")


def content(source: Source, path: Path) -> bytes:
    """A text file's bytes, unpacked by the ending of its name as Hadoop does it, without UTF-8's byte order mark."""
    data = path.read_bytes()
    try:
        if path.name.endswith(".gz"):
            data = _unpacked(data, lambda: zlib.decompressobj(wbits=_GZIP))
        elif path.name.endswith(".bz2"):
            data = _unpacked(data, bz2.BZ2Decompressor)
        elif path.name.endswith(".deflate"):
            data = _unpacked(data, zlib.decompressobj)
        elif is_compressed(path):
            raise source.refusal(f"files that are compressed as {path.suffix}")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise source.refusal(f"{path.name}, which cannot be unpacked ({error})") from None
    return data


def is_compressed(path: Path) -> bool:
    """Whether a text file has to be unpacked, or has an ending that says so."""
    return path.name.lower().endswith((*_CODECS, *_OTHER_CODECS))  # in Hadoop case is no matter


def _unpacked(data: bytes, member: Callable[[], Any]) -> bytes:
    """All members of a packed file, one behind the other. An error of the codec's for anything behind them, which Python's own
    functions would pass over, and where the last is cut off."""
    made, at = [], 0
    while at < len(data):
        unpacker, size = member(), _LEAST_BLOCK
        while not unpacker.eof:
            if at >= len(data):
                raise EOFError("it ends in the midst of its data")
            made.append(unpacker.decompress(memoryview(data)[at : at + size]))
            at, size = at + size, 2 * size
        at = min(at, len(data)) - len(unpacker.unused_data)
    return b"".join(made)


def _java_order(names: tuple[str, ...]) -> bytes:
    """Java compares texts by their UTF-16 code units."""
    return "/".join(names).encode("utf-16-be", "surrogatepass")


def _check_left_out(source: Source) -> None:
    """UsageError for folders that name partitions beside files that are in none: Spark takes columns from them, and no file beside them."""
    names = next((names for names in _visible(source.path, None) if any("=" in name for name in names[:-1])), None)
    if names is not None:
        raise source.refusal(f"files beside the folder {names[0]}, of which the glob leaves out all")


def _check_summaries(source: Source) -> None:
    if source.format not in _SUMMARISED:
        return
    for folder, folders, names in os.walk(source.path):
        folders[:] = [name for name in folders if not _is_hidden_folder(name)]
        if odd := sorted(name for name in names if name.startswith(_SUMMARIES)):
            at = Path(folder, odd[0]).relative_to(source.path).as_posix()
            raise source.refusal(f"a folder with {at}, from which Spark takes columns as from a summary")


def _visible(root: Path, glob: str | None) -> Iterator[tuple[str, ...]]:
    """Path segments, relative to the root, of the files that are not hidden and match the glob."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not _is_hidden_folder(name)]
        inside = Path(folder).relative_to(root).parts
        for name in names:
            if not is_hidden(name) and matches(name, glob):
                yield (*inside, name)


def _partition(source: Source, folders: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    columns: list[tuple[str, str | None]] = []
    for folder in folders:
        name, sign, value = folder.partition("=")
        if not (name and sign and value):
            raise source.refusal(f"the folder {folder}, which names no partition beside others that do")
        _check_escapes(source, folder)
        columns += partition_of([folder])
    if len({name.lower() for name, _ in columns}) < len(columns):
        raise source.refusal(f"folders that name one partition column twice ({'/'.join(folders)})")
    return tuple(columns)


def _check_escapes(source: Source, text: str) -> None:
    """UsageError for escapes that Spark does not write, and reads in a way of its own: of signs beyond ASCII as `%E9`, and in what
    would be a number or a date without them. It does write them in times: whose type Spark alone knows is refused with the types."""
    codes = ESCAPE.findall(text)
    if any(int(code, 16) > 127 for code in codes):
        raise source.refusal(f"the folder name {text}, whose escapes are beyond ASCII")
    value = text.partition("=")[2]
    if ESCAPE.search(value) and partition_type([unescaped(value)]) not in ("string", None):
        raise source.refusal(f"the folder name {text}, whose escapes may stand for a number or a date")


def _nothing(source: Source, *, deep: bool) -> UsageError:
    hint = "write options = { recursiveFileLookup = true } to read the folders below it as well"
    return UsageError(
        f'dataset "{source.name}" has no file directly below {source.path}',
        hint=hint if deep else "see which names Spark passes over: those that begin with _ or .",
    )
