"""Delta tables as Delta's own Spark reader gives them: the log by deltalake, the files by `parquet`."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import deltalake
import deltalake.exceptions
import pyarrow as pa

from reprolock.readers.files import DataFile
from reprolock.readers.parquet import Footer, open_file, read_columns
from reprolock.readers.source import Source
from reprolock.readers.types import STRING, TIMESTAMP, TIMESTAMP_NTZ, NoSparkType, map_type

_PADDED = re.compile(r"(?<!var)char\(")
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
    if not (source.path / "_delta_log" / f"{table.version():020}.json").is_file():
        raise source.refusal(f"a Delta table without the commit of its version {table.version()} in the log")
    _check_features(source, table)
    schema = pa.schema([pa.field(field["name"], _type(source, field)) for field in _fields(table)])
    partitions = table.metadata().partition_columns
    _check_partitions(source, table, schema)
    adds = sorted(_adds(table), key=lambda add: add["path"])
    defaults = {field["name"] for field in _fields(table) if "EXISTS_DEFAULT" in field["metadata"]}
    tables = [_rows(source, add, schema, partitions, defaults) for add in adds]
    return pa.concat_tables([schema.empty_table(), *tables])


def _opened(source: Source) -> deltalake.DeltaTable:
    version = source.options.get("versionasof")
    if version is not None and not version.isdecimal():
        raise source.refusal(f'the option "versionasof" with the value "{version}"')
    try:
        return deltalake.DeltaTable(str(source.path), version=None if version is None else int(version))
    except (deltalake.exceptions.DeltaError, OSError, ValueError, OverflowError) as error:
        raise source.refusal(f"this as a Delta table ({str(error).splitlines()[0][:120]})") from None


def _adds(table: deltalake.DeltaTable) -> list[dict[str, Any]]:
    """The files of the table. `partition` stays Arrow's, for Python does not have every date."""
    actions = pa.table(table.get_add_actions(flatten=False))
    plain = [name for name in ("path", "deletion_vector") if name in actions.column_names]
    name = next((name for name in ("partition", "partition_values") if name in actions.column_names), None)
    partitions = list(actions.column(name)) if name else [None] * actions.num_rows
    return [
        {**add, "partition": partition}
        for add, partition in zip(actions.select(plain).to_pylist(), partitions, strict=True)
    ]


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


def _check_partitions(source: Source, table: deltalake.DeltaTable, schema: Any) -> None:
    """delta-rs gives the empty text of its log, which Spark keeps, as a missing value."""
    for values in table.partitions():
        for name, value in values.items():
            if value == "" and schema.field(name).type in (STRING, pa.binary()):
                raise source.refusal(f'a Delta table with an empty text as the partition "{name}"')


def _type(source: Source, field: dict[str, Any]) -> Any:
    type = field["type"]
    if _PADDED.search(str(field.get("metadata", {}).get("__CHAR_VARCHAR_TYPE_STRING", ""))):
        raise source.refusal(f'a Delta table whose column "{field["name"]}" is filled up with blanks (char)')
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
        try:
            return map_type(_type(source, key), _type(source, value))
        except NoSparkType as unknown:
            raise source.refusal(f'a Delta table whose column "{field["name"]}" is {unknown}') from None
    return pa.struct([pa.field(inner["name"], _type(source, inner)) for inner in type["fields"]])


def _rows(source: Source, add: dict[str, Any], schema: Any, partitions: list[str], defaults: set[str]) -> Any:
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
    _check_missing(source, footer, stored, defaults)
    table = read_columns(source, footer, stored)
    columns = [
        _constant(source, field, add["partition"][field.name], table.num_rows)
        if field.name in partitions
        else table.column(field.name)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _check_missing(source: Source, footer: Footer, stored: Any, defaults: set[str]) -> None:
    """UsageError for a column that the file seems not to have, and that Spark does not take for missing."""
    written = {name.lower() for name in footer.schema.names}
    for name in set(stored.names) - set(footer.schema.names):
        if name.lower() in written:
            raise source.refusal(f'{footer.file.path.name}, which writes the column "{name}" in another case')
        if name in defaults:
            raise source.refusal(f'{footer.file.path.name}, without the column "{name}", which has a default')


def _below(source: Source, path: str) -> str:
    """A file's name below the table: the log has it as an address."""
    if path.startswith("/") or ":" in path.partition("/")[0] or ".." in unquote(path).split("/"):
        raise source.refusal("a Delta table with files outside of its folder")
    return unquote(path)


def _constant(source: Source, field: Any, value: Any, rows: int) -> Any:
    try:
        return pa.repeat(value.cast(field.type), rows)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise source.refusal(f"a Delta table with the partition {field.name}={value}") from None
