"""Read a dataset's columns and row count without Spark: from a Delta log, files' footers or a text file's first block.

In: where the data is and how it is read. Out: the fields of Spark's schema JSON and, where the format itself says it,
how many rows there are; the record keeps both. pyarrow and deltalake (delta-rs) are loaded here and nowhere else; keys
stay in memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

MOST_FOOTERS = 100
"""Of how many files the footers are read. The work is bounded: of a table in more files the rows are not known."""

_TRUE = ("true", "1")
_AT_ONCE = 8
_SELECTING = {
    "pathglobfilter",
    "modifiedbefore",
    "modifiedafter",
    "recursivefilelookup",
    "versionasof",
    "timestampasof",
}
"""Options by which Spark's reader takes other files than stand in a folder, or another version of a table."""
_DELETION_VECTORS = "deletionVectors"
"""Delta's feature by which a file holds more rows than the table."""

_FIXED = {
    "text": (("value", "string"),),
    "binary": (("path", "string"), ("modificationTime", "timestamp"), ("length", "long"), ("content", "binary")),
}
_IMAGE = (
    ("origin", "string"),
    ("height", "integer"),
    ("width", "integer"),
    ("nChannels", "integer"),
    ("mode", "integer"),
    ("data", "binary"),
)
"""What Spark's sources of these names always give."""


@dataclass(frozen=True)
class Gateway:
    """The S3 side of a lakeFS server and the credentials that may go to it. Its text form shows no secret."""

    endpoint: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


class Shape(NamedTuple):
    """`columns`: fields of Spark's schema JSON. `table_version`: of a Delta table. None: not known."""

    columns: tuple[dict[str, Any], ...] | None = None
    table_version: int | None = None
    rows: int | None = None


def read_shape(
    url: str,
    format: str,
    options: Mapping[str, str],
    *,
    files: Sequence[str] | None = None,
    gateway: Gateway | None = None,
) -> Shape:
    """The columns of what stands at `url` (`s3a://…` at a commit, literally, or `file://…`), and its rows.

    `files` are the addresses of its first data objects, one more than `MOST_FOOTERS` at most; None: they are looked
    for in a local tree. An empty `Shape` for what cannot be told without reading all (Avro, several lines a record) and
    for data that is not what its format says: Spark's own message will be the better one. Types of CSV with
    inferSchema and of JSON are those of the first block; columns that stand in folder names are not among them.
    Rows are those that Parquet's and ORC's footers and the statistics in Delta's log add up to.
    """
    if format in _FIXED:
        return Shape(tuple(_column(name, type) for name, type in _FIXED[format]))
    if format == "image":
        image = {"type": "struct", "fields": [_column(name, type) for name, type in _IMAGE]}
        return Shape((_column("image", image),))
    # Loaded here: formats above need neither library, and a run without datasets loads none.
    try:
        import deltalake.exceptions
        import pyarrow
    except ModuleNotFoundError:  # the part "tables" is not installed: a run goes on without columns in its record
        return Shape()

    try:
        if format == "delta":
            return _delta(url, options, gateway)
        places = list(islice(_data_files(url), MOST_FOOTERS + 1)) if files is None else files
        if (
            not places
            or format not in ("parquet", "orc", "csv", "json")
            or options.get("multiLine", "").lower() in _TRUE
        ):
            return Shape()
        opened = _opener(gateway)
        if format in ("parquet", "orc"):
            return _of_footers(url, places, format, options, opened)
        with opened(places[0]) as file:
            schema = _csv(file, options) if format == "csv" else _json(file)
    except (deltalake.exceptions.DeltaError, pyarrow.ArrowException, OSError, UnicodeDecodeError):
        return Shape()
    return Shape() if schema is None else Shape(_spark_columns(schema))


def passed_over(path: str) -> bool:
    """Whether Spark passes over a file for its name or a folder's, relative to where it reads."""
    return any(
        name.startswith(".") or (name.startswith("_") and "=" not in name) for name in path.strip("/").split("/")
    )


def _delta(url: str, options: Mapping[str, str], gateway: Gateway | None) -> Shape:
    import deltalake  # see read_shape

    # delta-rs takes an address and decodes it, where Hadoop and pyarrow take names literally.
    address = f"s3://{quote(url.removeprefix('s3a://'))}" if url.startswith("s3a://") else url
    table = deltalake.DeltaTable(address, storage_options=_storage_options(gateway))
    features = table.protocol().reader_features or ()
    told = not _selects(options) and _DELETION_VECTORS not in features
    counts = table.get_add_actions().column("num_records").to_pylist() if told else [None]
    return Shape(_fields(table.schema()), table.version(), None if None in counts else sum(counts))


def _of_footers(
    url: str, places: Sequence[str], format: str, options: Mapping[str, str], opened: Callable[[str], Any]
) -> Shape:
    """The columns of the first file, and the rows of all where Spark reads all of them and they are few."""
    import pyarrow  # see read_shape

    schema, rows = _footer(opened, places[0], format)
    shape = Shape(_spark_columns(schema))
    if len(places) > MOST_FOOTERS or _selects(options) or not all(_is_read(url, place) for place in places):
        return shape
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            rows += sum(more for _, more in pool.map(lambda place: _footer(opened, place, format), places[1:]))
    except (pyarrow.ArrowException, OSError):
        return shape
    return shape._replace(rows=rows)


def _footer(opened: Callable[[str], Any], place: str, format: str) -> tuple[Any, int]:
    """Schema and rows of one file."""
    with opened(place) as file:
        if format == "parquet":
            import pyarrow.parquet  # 0.1 s each, and only for its own format

            footer = pyarrow.parquet.read_metadata(file)
            return footer.schema.to_arrow_schema(), footer.num_rows
        import pyarrow.orc

        orc = pyarrow.orc.ORCFile(file)
        return orc.schema, orc.nrows


def _selects(options: Mapping[str, str]) -> bool:
    return any(name.lower() in _SELECTING for name in options)


def _is_read(url: str, place: str) -> bool:
    """Whether Spark reads a file below the folder that it is given: of folders in it those alone that name a partition."""
    *folders, _ = _plain(place).removeprefix(_plain(url)).strip("/").split("/")
    return all("=" in name for name in folders)


def _csv(file: Any, options: Mapping[str, str]) -> Any:
    """Spark reads text unless it is told to infer; without a header it counts from _c0."""
    import pyarrow  # see read_shape
    import pyarrow.csv

    header = options.get("header", "").lower() in _TRUE
    separator = options.get("sep", options.get("delimiter", ","))
    if len(separator) != 1:
        return None
    reader = pyarrow.csv.open_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(
            autogenerate_column_names=not header, encoding=options.get("encoding", "utf8")
        ),
        parse_options=pyarrow.csv.ParseOptions(delimiter=separator, quote_char=options.get("quote", '"') or False),
    )
    names = [name if header else f"_c{index}" for index, name in enumerate(reader.schema.names)]
    infers = options.get("inferSchema", "").lower() in _TRUE
    types = reader.schema.types if infers else [pyarrow.string()] * len(names)
    return pyarrow.schema(list(zip(names, types, strict=True)))


def _json(file: Any) -> Any:
    """Spark sorts the columns by name, and takes a time for text."""
    import pyarrow  # see read_shape
    import pyarrow.json

    schema = pyarrow.json.open_json(file).schema
    fields = [
        pyarrow.field(item.name, pyarrow.string() if pyarrow.types.is_temporal(item.type) else item.type)
        for item in schema
    ]
    return pyarrow.schema(sorted(fields, key=lambda item: item.name))


def _opener(gateway: Gateway | None) -> Callable[[str], Any]:
    """Opens an address for reading; of a lakeFS server through one file system, which threads may share."""
    import pyarrow.fs  # see read_shape

    if gateway is None:
        return lambda place: pyarrow.OSFile(_plain(place))
    parts = urlsplit(gateway.endpoint)
    s3 = pyarrow.fs.S3FileSystem(
        access_key=gateway.access_key_id,
        secret_key=gateway.secret_access_key,
        endpoint_override=parts.netloc,
        scheme=parts.scheme,
        region="us-east-1",
        connect_timeout=5,
        request_timeout=30,
    )
    return lambda place: s3.open_input_file(_plain(place).removeprefix("s3://"))


def _spark_columns(schema: Any) -> tuple[dict[str, Any], ...]:
    import deltalake  # see read_shape
    import pyarrow

    wider = {
        pyarrow.uint8(): pyarrow.int16(),
        pyarrow.uint16(): pyarrow.int32(),
        pyarrow.uint32(): pyarrow.int64(),
        pyarrow.uint64(): pyarrow.decimal128(20, 0),
        pyarrow.null(): pyarrow.string(),
    }
    # Spark has no unsigned integers and reads them into the next wider type; delta-rs would keep the width.
    fields = [item.with_type(wider.get(item.type, item.type)).remove_metadata() for item in schema]
    return _fields(deltalake.Schema.from_arrow(pyarrow.schema(fields)))


def _fields(schema: Any) -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(schema.to_json())["fields"])


def _column(name: str, type: Any) -> dict[str, Any]:
    return {"name": name, "type": type, "nullable": True, "metadata": {}}


def _storage_options(gateway: Gateway | None) -> dict[str, str] | None:
    """For delta-rs, which otherwise would take credentials and a region from wherever this machine has some."""
    if gateway is None:
        return None
    return {
        "AWS_ENDPOINT_URL": gateway.endpoint,
        "AWS_ACCESS_KEY_ID": gateway.access_key_id,
        "AWS_SECRET_ACCESS_KEY": gateway.secret_access_key,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
        "timeout": "30s",
        "connect_timeout": "5s",
    }


def _plain(url: str) -> str:
    """An address as pyarrow takes it: `s3a://` as s3://, `file://` as a path that is not percent-encoded."""
    if url.startswith("file:"):
        return unquote(urlsplit(url).path)
    return url.replace("s3a://", "s3://", 1)


def _data_files(url: str) -> Iterator[str]:
    """The data files of a local tree, by name."""
    root = Path(_plain(url))
    if root.is_file():
        yield str(root)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not passed_over(name))
        for name in sorted(names):
            file = Path(folder) / name
            if not passed_over(name) and file.stat().st_size:
                yield str(file)
