"""Delta tables as Delta's own Spark reader gives them: the log by deltalake, the files by `parquet`."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import deltalake
import deltalake.exceptions
import pyarrow as pa

from reprolock.readers.files import DataFile
from reprolock.readers.parquet import open_file, read_columns
from reprolock.readers.source import Source
from reprolock.readers.types import STRING, TIMESTAMP, TIMESTAMP_NTZ

_FEATURES = {"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
"""Of the features that a reader must know, those that change no value that is read here."""
_TYPES = {
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": STRING,
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": TIMESTAMP,
    "timestamp_ntz": TIMESTAMP_NTZ,
}


def read(source: Source) -> Any:
    """The rows of the table, or of the version that `versionAsOf` names, file after file in the order of their paths."""
    source.check_options(("versionasof",))
    if source.glob is not None:
        raise source.refusal("a Delta table with a glob")
    if "%" in str(source.path):  # delta-rs takes "%20" in a path for a blank and finds nothing
        raise source.refusal('a Delta table with "%" in its path')
    table = _opened(source)
    _check_features(source, table)
    schema = pa.schema([pa.field(field["name"], _type(source, field)) for field in _fields(table)])
    partitions = table.metadata().partition_columns
    adds = sorted(pa.table(table.get_add_actions(flatten=False)).to_pylist(), key=lambda add: add["path"])
    tables = [_rows(source, add, schema, partitions) for add in adds]
    return pa.concat_tables([schema.empty_table(), *tables])


def _opened(source: Source) -> deltalake.DeltaTable:
    version = source.options.get("versionasof")
    if version is not None and not version.isdecimal():
        raise source.refusal(f'the option "versionasof" with the value "{version}"')
    try:
        return deltalake.DeltaTable(str(source.path), version=None if version is None else int(version))
    except (deltalake.exceptions.DeltaError, OSError, ValueError) as error:
        raise source.refusal(f"this as a Delta table ({str(error).splitlines()[0][:120]})") from None


def _check_features(source: Source, table: deltalake.DeltaTable) -> None:
    protocol, settings = table.protocol(), table.metadata().configuration
    if settings.get("delta.columnMapping.mode", "none") != "none":
        raise source.refusal("a Delta table with column mapping")
    odd = sorted(set(protocol.reader_features or ()) - _FEATURES)
    if odd or (protocol.min_reader_version == 2 and not protocol.reader_features and _is_mapped(table)):
        raise source.refusal(f"a Delta table with the feature {odd[0] if odd else 'columnMapping'}")


def _is_mapped(table: deltalake.DeltaTable) -> bool:
    return any(str(key).startswith("delta.columnMapping") for field in _fields(table) for key in field["metadata"])


def _fields(table: deltalake.DeltaTable) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = json.loads(table.schema().to_json())["fields"]
    return fields


def _type(source: Source, field: dict[str, Any]) -> Any:
    type = field["type"]
    if isinstance(type, str):
        if type in _TYPES:
            return _TYPES[type]
        if type.startswith("decimal("):
            precision, scale = type[8:-1].split(",")
            return pa.decimal128(int(precision), int(scale))
        raise source.refusal(f'a Delta table whose column "{field["name"]}" is {type}')
    if type["type"] == "array":
        return pa.list_(pa.field("element", _type(source, {**field, "type": type["elementType"]})))
    if type["type"] == "map":
        key, value = ({**field, "type": type[part]} for part in ("keyType", "valueType"))
        return pa.map_(_type(source, key), _type(source, value))
    return pa.struct([pa.field(inner["name"], _type(source, inner)) for inner in type["fields"]])


def _rows(source: Source, add: dict[str, Any], schema: Any, partitions: list[str]) -> Any:
    """One file's rows with the values of its partition, which Delta keeps in the log alone."""
    if add.get("deletion_vector"):
        raise source.refusal("a Delta table with deletion vectors")
    file = DataFile(source.path / _below(source, add["path"]))
    stored = pa.schema([field for field in schema if field.name not in partitions])
    footer = open_file(source, file)
    for field in footer.schema:
        index = stored.get_field_index(field.name)
        if index >= 0 and stored.field(index).type != field.type:
            raise source.refusal(f'{file.path.name}, whose column "{field.name}" is {field.type}')
    table = read_columns(source, footer, stored)
    values = add.get("partition") or add.get("partition_values") or {}
    columns = [
        _constant(source, field, values.get(field.name), table.num_rows)
        if field.name in partitions
        else table.column(field.name)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _below(source: Source, path: str) -> str:
    """A file's name below the table: the log has it as an address."""
    if path.startswith("/") or ":" in path.partition("/")[0]:
        raise source.refusal("a Delta table with files outside of its folder")
    return unquote(path)


def _constant(source: Source, field: Any, value: Any, rows: int) -> Any:
    try:
        return pa.repeat(pa.scalar(value).cast(field.type) if value is not None else pa.scalar(None, field.type), rows)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise source.refusal(f"a Delta table with the partition {field.name}={value}") from None
