"""Read a dataset's columns and row count without Spark: from a Delta log, files' footers, a header, or small files whole.

In: where the data is and how it is read. Out: the fields of Spark's schema JSON and, where the format itself says it,
how many rows there are; the record keeps both. What a file holds is told by `readers`, which has Spark's rules: columns
that it refuses are not known.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from reprolock.errors import UsageError
from reprolock.lake.s3_gateway import Gateway, opener, storage_options
from reprolock.readers.files import DataFile, find_files, is_compressed, select_files
from reprolock.readers.source import Source, declared

MOST_FILES = 100
"""How many files are looked into. The work is bounded: of a dataset of more files the rows are not known."""
_SMALL = 4 << 20
"""Of how many bytes in all a CSV or JSON dataset is read whole, for its types are those of all its values."""
_HEADER = 1 << 16
"""How much of each CSV file is read for its first line."""

_AT_ONCE = 8
_DELETION_VECTORS = "deletionVectors"
"""Delta's feature by which a file holds more rows than the table."""


def _column(name: str, type: Any) -> dict[str, Any]:
    return {"name": name, "type": type, "nullable": True, "metadata": {}}


_IMAGE = (
    ("origin", "string"),
    ("height", "integer"),
    ("width", "integer"),
    ("nChannels", "integer"),
    ("mode", "integer"),
    ("data", "binary"),
)
_FIXED = {
    "text": (("value", "string"),),
    "binary": (("path", "string"), ("modificationTime", "timestamp"), ("length", "long"), ("content", "binary")),
    "image": (("image", {"type": "struct", "fields": [_column(*one) for one in _IMAGE]}),),
}
"""What Spark's sources of these names give, whatever their files hold."""


class DataObject(NamedTuple):
    """An object of a dataset: its name relative to the dataset's address, and its size in bytes."""

    name: str
    size: int


class Shape(NamedTuple):
    """`columns`: fields of Spark's schema JSON. `table_version`: of a Delta table. None: not known."""

    columns: tuple[dict[str, Any], ...] | None = None
    table_version: int | None = None
    rows: int | None = None


class _Look(NamedTuple):
    """What is looked at: the dataset as readers know it, the files with data that Spark reads, and how to get at one.

    `few`: whether these are all, and no more than are looked into.
    """

    source: Source
    files: list[DataFile]
    few: bool
    sizes: Mapping[Path, int]
    open: Callable[[DataFile], Any]


def read_shape(
    url: str,
    format: str,
    options: Mapping[str, str],
    *,
    objects: Sequence[DataObject] | None = None,
    gateway: Gateway | None = None,
) -> Shape:
    """The columns of what stands at `url` (`s3a://…` at a commit, literally, or `file://…`), and its rows.

    `objects` are its first objects, one more than `MOST_FILES` at most; None: they are looked for in a local tree. An
    empty `Shape` for what cannot be told without reading all (Avro, large JSON, a large CSV with inferSchema) and for
    data that is not what its format says: Spark's own message will be the better one. Columns that stand in folder
    names (`day=1/`) are not among them. Rows are those that Parquet's and ORC's footers and the statistics in Delta's
    log add up to.
    """
    try:
        if format in _FIXED:
            return Shape(_columns(_files(_source(url, format, options), objects), _FIXED[format]))
        if format == "delta":
            return _delta(url, options, gateway)
        return _LOOKS[format](_look(url, format, options, objects, gateway)) if format in _LOOKS else Shape()
    except Exception:  # a library that is not installed, or what it says of such data: columns decide nothing
        return Shape()


def _look(
    url: str,
    format: str,
    options: Mapping[str, str],
    objects: Sequence[DataObject] | None,
    gateway: Gateway | None,
) -> _Look:
    source = _source(url, format, options)
    files = _files(source, objects)
    if objects is None:
        sizes = {file.path: file.path.stat().st_size for file in files}
    else:
        sizes = {source.path / item.name: item.size for item in objects}
    if not (holding := [file for file in files if sizes[file.path]]):
        raise source.refusal("files without data")
    few = max(len(holding), len(objects or ())) <= MOST_FILES
    return _Look(source, holding, few, sizes, opener(gateway))


def _source(url: str, format: str, options: Mapping[str, str]) -> Source:
    """A local address is percent-encoded, where Hadoop takes s3a:// literally."""
    local = url.startswith("file:")
    path = Path(unquote(urlsplit(url).path) if local else url.removeprefix("s3a://"))
    return declared("", format, path, options, None)


def _files(source: Source, objects: Sequence[DataObject] | None) -> list[DataFile]:
    if objects is None:
        return find_files(source)
    names = [tuple(item.name.split("/")) if item.name else () for item in objects]
    if any(part in ("", ".", "..") for name in names for part in name):
        raise source.refusal("objects whose names are not paths")
    return select_files(source, names) if names != [()] else [DataFile(source.path)]


def _delta(url: str, options: Mapping[str, str], gateway: Gateway | None) -> Shape:
    import deltalake  # heavy, as is pyarrow below: loaded for the formats that need it

    chosen = {name.lower(): value for name, value in options.items()}
    version = int(chosen.pop("versionasof")) if "versionasof" in chosen else None
    if chosen:  # another version by its time, or what only Delta's reader knows
        return Shape()
    # delta-rs takes an address and decodes it, where Hadoop and pyarrow take names literally.
    address = f"s3://{quote(url.removeprefix('s3a://'))}" if url.startswith("s3a://") else url
    table = deltalake.DeltaTable(address, version=version, storage_options=storage_options(gateway))
    told = _DELETION_VECTORS not in (table.protocol().reader_features or ())
    counts = table.get_add_actions().column("num_records").to_pylist() if told else [None]
    columns = tuple(json.loads(table.schema().to_json())["fields"])
    return Shape(columns, table.version(), None if None in counts else sum(counts))


def _parquet(look: _Look) -> Shape:
    import pyarrow.parquet  # see _delta

    from reprolock.readers.columnar import target
    from reprolock.readers.parquet import schema_of

    def footer(file: DataFile) -> tuple[Any, int]:
        with look.open(file) as stream:
            parquet = pyarrow.parquet.ParquetFile(stream)
            return _told(lambda: schema_of(look.source, file, parquet)), parquet.metadata.num_rows

    look.source.check_options(("mergeschema",))
    if not look.few and not look.source.flag("mergeschema"):
        return Shape(_of_schema(look, footer(look.files[0])[0]))
    merged = look.source.flag("mergeschema")
    return _of_footers(look, footer, lambda schemas: target(look.source, look.files, schemas, merged=merged))


def _orc(look: _Look) -> Shape:
    import pyarrow.orc  # see _delta

    from reprolock.readers.orc import common_schema, orc_schema

    def footer(file: DataFile) -> tuple[Any, int]:
        with look.open(file) as stream:
            orc = pyarrow.orc.ORCFile(stream)
            return _told(lambda: orc_schema(look.source, file, orc.schema)), orc.nrows

    look.source.check_options(("mergeschema",))
    return _of_footers(look, footer, lambda schemas: common_schema(look.source, look.files, schemas))


def _of_footers(
    look: _Look, footer: Callable[[DataFile], tuple[Any, int]], common: Callable[[list[Any]], Any]
) -> Shape:
    """Columns and rows by the footers of all files. One that cannot be read leaves both unknown, as it does the run."""
    if not look.few:
        return Shape()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        schemas, rows = zip(*pool.map(footer, look.files), strict=True)
    schema = None if None in schemas else _told(lambda: common(list(schemas)))
    return Shape(_of_schema(look, schema), rows=sum(rows))


def _csv(look: _Look) -> Shape:
    """Headers are enough, unless the types are to be found in the values: those of a small dataset are.

    Spark takes the header of one of the files, and not of the first by name.
    """
    from reprolock.readers.csv_header import header

    if look.source.flag("inferschema"):
        from reprolock.readers.csv import read  # pyarrow: see _delta

        return _whole(look, read)
    if not look.few or any(is_compressed(file.path) for file in look.files):
        return Shape()
    with _copied(look, _HEADER) as source:
        copies = find_files(source)
        for copy in copies:
            if len(data := copy.path.read_bytes()) == _HEADER:  # it may end in the midst of a line
                copy.path.write_bytes(data[: data.rfind(b"\n") + 1])
        return Shape(_columns(look.files, [(name, "string") for name in header(source, copies)]))


def _json(look: _Look) -> Shape:
    from reprolock.readers.json import read  # pyarrow: see _delta

    return _whole(look, read)


def _whole(look: _Look, read: Callable[[Source], Any]) -> Shape:
    """Of files that are small together, the columns that the reader gives for all of them."""
    total = sum(look.sizes[file.path] for file in look.files)
    packed = any(is_compressed(file.path) for file in look.files)  # nobody knows how large they become
    if total > _SMALL or packed or not look.few:
        return Shape()
    with _copied(look, _SMALL) as source:
        return Shape(_of_schema(look, read(source).schema))


@contextmanager
def _copied(look: _Look, most: int) -> Iterator[Source]:
    """The first bytes of all files side by side in a folder of their own, under names that no lake chose."""
    with tempfile.TemporaryDirectory(prefix="reprolock-") as folder:

        def copy(index: int, file: DataFile) -> None:
            with look.open(file) as stream:
                Path(folder, f"{index:03}").write_bytes(stream.read(most))

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(copy, range(len(look.files)), look.files))
        yield look.source._replace(path=Path(folder))


def _told(schema: Callable[[], Any]) -> Any:
    """A schema; None where the reader refuses it, for then only Spark knows."""
    try:
        return schema()
    except UsageError:
        return None


def _of_schema(look: _Look, schema: Any) -> tuple[dict[str, Any], ...] | None:
    from reprolock.readers.types import spark_json  # pyarrow: see _delta

    return None if schema is None else _columns(look.files, [(item.name, spark_json(item.type)) for item in schema])


def _columns(files: list[DataFile], found: Sequence[tuple[str, Any]]) -> tuple[dict[str, Any], ...] | None:
    """None where a folder names a column that the files have too: Spark then takes its type from the folders."""
    folders = {name.lower() for file in files for name, _ in file.partition}
    return None if folders & {name.lower() for name, _ in found} else tuple(_column(*one) for one in found)


_LOOKS: dict[str, Callable[[_Look], Shape]] = {"parquet": _parquet, "orc": _orc, "csv": _csv, "json": _json}
