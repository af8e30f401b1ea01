"""The columns of a dataset, read without Spark: from a Delta log, a file's footer or a text file's first block.

In: where the data is and how it is read. Out: the fields of Spark's schema JSON, which the record keeps.
pyarrow and deltalake (delta-rs) are loaded here and nowhere else; keys stay in memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

_TRUE = ("true", "1")

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
    """The S3 side of a lakeFS server and the keys that may go to it. Its text form shows no key."""

    endpoint: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


class Shape(NamedTuple):
    """`columns`: fields of Spark's schema JSON, None where they are not known. `table_version`: of a Delta table."""

    columns: tuple[dict[str, Any], ...] | None = None
    table_version: int | None = None


def read_shape(
    url: str, format: str, options: Mapping[str, str], *, sample: str | None = None, gateway: Gateway | None = None
) -> Shape:
    """The columns of what stands at `url` (`s3a://…` at a commit, or `file://…`).

    `sample` is the address of one data object of it, so that nothing is listed; in a local tree the first is
    found. An empty `Shape` for what cannot be told without reading all (Avro, several lines a record) and for
    data that is not what its format says: Spark's own message will be the better one. Types of CSV with
    inferSchema and of JSON are those of the first block; columns that stand in folder names are not among them.
    """
    if format in _FIXED:
        return Shape(tuple(_column(name, type) for name, type in _FIXED[format]))
    if format == "image":
        image = {"type": "struct", "fields": [_column(name, type) for name, type in _IMAGE]}
        return Shape((_column("image", image),))
    # Loaded here: formats above need neither library, and a run without datasets loads none.
    import deltalake.exceptions
    import pyarrow

    try:
        if format == "delta":
            return _delta(url, gateway)
        place = sample or _first_file(url)
        schema = None if place is None else _arrow_schema(place, format, options, gateway)
    except (deltalake.exceptions.DeltaError, pyarrow.ArrowException, OSError, UnicodeDecodeError):
        return Shape()
    return Shape() if schema is None else Shape(_spark_columns(schema))


def _delta(url: str, gateway: Gateway | None) -> Shape:
    import deltalake  # see read_shape

    # delta-rs takes an address and decodes it, where pyarrow takes names to the letter.
    table = deltalake.DeltaTable(url.replace("s3a://", "s3://", 1), storage_options=_storage_options(gateway))
    return Shape(_fields(table.schema()), table.version())


def _arrow_schema(place: str, format: str, options: Mapping[str, str], gateway: Gateway | None) -> Any:
    """The Arrow schema of one file; None where its beginning does not tell it."""
    import pyarrow  # see read_shape

    if format not in ("parquet", "orc", "csv", "json") or options.get("multiLine", "").lower() in _TRUE:
        return None
    with _open(place, gateway) as file:
        if format == "parquet":
            import pyarrow.parquet  # 0.1 s each, and only for its own format

            return pyarrow.parquet.read_schema(file)
        if format == "orc":
            import pyarrow.orc

            return pyarrow.orc.ORCFile(file).schema
        return _csv(file, options) if format == "csv" else _json(file)


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
        read_options=pyarrow.csv.ReadOptions(autogenerate_column_names=not header, encoding=options.get("encoding", "utf8")),
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
        pyarrow.field(item.name, pyarrow.string() if pyarrow.types.is_temporal(item.type) else item.type) for item in schema
    ]
    return pyarrow.schema(sorted(fields, key=lambda item: item.name))


def _open(place: str, gateway: Gateway | None) -> Any:
    import pyarrow.fs  # see read_shape

    if not place.startswith("s3"):
        return pyarrow.OSFile(_plain(place))
    assert gateway is not None, "an s3a:// address is read with a gateway"
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
    return s3.open_input_file(_plain(place).removeprefix("s3://"))


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
    """For delta-rs, which otherwise would take keys and a region from wherever this machine has some."""
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
    """An address as pyarrow takes it: `s3a://` as s3://, `file://` as a path, nothing percent-encoded."""
    if url.startswith("file:"):
        return unquote(urlsplit(url).path)
    return unquote(url.replace("s3a://", "s3://", 1)) if url.startswith("s3") else url


def _first_file(url: str) -> str | None:
    """The first data file of a local tree, by name; Spark passes over names that begin with "_" or "."."""
    root = Path(_plain(url))
    if root.is_file():
        return str(root)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name[0] not in "_.")
        for name in sorted(names):
            if name[0] not in "_.":
                return str(Path(folder) / name)
    return None
