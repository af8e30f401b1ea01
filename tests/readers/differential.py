"""Datasets that Spark and reprolock's readers both read, and whether they gave the same: cell for cell, or a refusal."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas
import pyarrow as pa

from reprolock.errors import UsageError
from reprolock.lake.table_schema import read_shape
from reprolock.readers import read_arrow, read_pandas
from reprolock.readers.source import declared
from reprolock.readers.types import spark_json, spark_type

Files = Mapping[str, bytes] | Callable[[Path], None]
ANY = "(either)"


class Case(NamedTuple):
    """`refused`: None where both must give the same; words of the refusal; `ANY` where a refusal is as good."""

    name: str
    format: str
    files: Files
    options: Mapping[str, str] = {}
    glob: str | None = None
    refused: str | None = None
    make: tuple[str, ...] = ()


def lay_out(case: Case, folder: Path) -> None:
    """Write the case's files."""
    if callable(case.files):
        folder.mkdir(parents=True)
        case.files(folder)
        return
    if not case.make:
        folder.mkdir(parents=True)
    for name, data in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def question(case: Case, folder: Path, answer: Path) -> dict[str, Any]:
    """The case as `spark_answers` takes it."""
    known = {"format": case.format, "options": dict(case.options), "glob": case.glob, "make": list(case.make)}
    return {**known, "folder": str(folder), "answer": str(answer)}


def theirs(answer: Path) -> pa.Table | str:
    """Spark's table, or what it said instead."""
    if not answer.exists():
        return answer.with_suffix(".error").read_text()
    with pa.memory_map(str(answer)) as source:
        return pa.ipc.open_file(source).read_all()


def ours(case: Case, folder: Path) -> pa.Table | str:
    """Our table, or the refusal."""
    source = declared("train", case.format, folder, case.options, case.glob)
    try:
        return read_arrow(source)
    except UsageError as error:
        return error.message


def difference(case: Case, folder: Path, answer: Path) -> str | None:
    """What is wrong with our answer; None where it is Spark's, or the refusal that is expected."""
    mine, spark = ours(case, folder), theirs(answer)
    if isinstance(mine, str):
        fine = case.refused is not None and (case.refused == ANY or case.refused in mine)
        return None if fine else f"refused: {mine}\nSpark: {_shown(spark)}"
    if case.refused not in (None, ANY):
        return f"not refused: {_shown(mine)}\nSpark: {_shown(spark)}"
    if isinstance(spark, str):
        return f"ours: {_shown(mine)}\nSpark: {spark[:600]}"
    if _columns(mine) != _columns(spark) or _rows(mine) != _rows(spark):
        return f"ours: {_shown(mine)}\nSpark: {_shown(spark)}"
    return wrong_cell(case, folder, mine)


def wrong_shape(case: Case, folder: Path, answer: Path) -> str | None:
    """What is wrong with the columns and rows that a record has of these files without Spark; None where they are Spark's
    but for the columns of folder names, or not known. A run's tree holds only what the glob matches."""
    spark = theirs(answer)
    if isinstance(spark, str) or case.glob is not None:
        return None
    shape = read_shape(folder.as_uri(), case.format, case.options)
    if shape.rows not in (None, spark.num_rows):
        return f"{shape.rows} rows, Spark: {spark.num_rows}"
    if shape.columns is None:
        return None
    found = [(column["name"], _nullable(column["type"])) for column in shape.columns]
    expected = [(field.name, spark_json(spark_type(field.type))) for field in spark.schema]
    in_folders = {path.name.partition("=")[0].lower() for path in folder.rglob("*=*") if path.is_dir()}
    rest = {name.lower() for name, _ in expected[len(found) :]}
    return None if found == expected[: len(found)] and rest <= in_folders else f"{found}, Spark: {expected}"


def _nullable(type: Any) -> Any:
    """A type of Spark's schema JSON as if everything in it could be missing, for Arrow does not say."""
    if not isinstance(type, dict):
        return type
    if type["type"] == "struct":
        fields = [
            {**field, "type": _nullable(field["type"]), "nullable": True, "metadata": {}} for field in type["fields"]
        ]
        return {"type": "struct", "fields": fields}
    inner = {key: _nullable(value) for key, value in type.items() if key in ("elementType", "keyType", "valueType")}
    return {
        "type": type["type"],
        **inner,
        **({"containsNull": True} if "elementType" in inner else {"valueContainsNull": True}),
    }


def wrong_cell(case: Case, folder: Path, table: pa.Table) -> str | None:
    """The first cell of `.pandas()` that is not the Arrow table's; None where all are."""
    frame = read_pandas(declared("train", case.format, folder, case.options, case.glob))
    if list(frame.columns) != table.column_names or len(frame) != table.num_rows:
        return f"pandas has {list(frame.columns)} and {len(frame)} rows"
    for name in table.column_names:
        cells = [_from_pandas(value) for value in frame[name].tolist()]
        expected = [_plain(value) for value in table.column(name).to_pylist(maps_as_pydicts="strict")]
        nan_is_missing = pa.types.is_floating(table.schema.field(name).type) and frame[name].dtype.kind == "f"
        if nan_is_missing:
            expected = [None if value != value else value for value in expected]
        if repr(cells) != repr(expected):
            return f"pandas has {cells} in {name} ({frame[name].dtype}), Arrow has {expected}"
    return None


def _columns(table: pa.Table) -> list[tuple[str, str]]:
    return [(field.name, str(field.type).replace(" not null", "")) for field in table.schema]


def _rows(table: pa.Table) -> list[str]:
    """Spark promises no order between files, so all are sorted; within one file the order is tested by name."""
    return sorted(map(repr, table.to_pylist()))


def _shown(table: pa.Table | str) -> str:
    return table[:600] if isinstance(table, str) else f"{_columns(table)} {json.dumps(_rows(table)[:6])[:1500]}"


def _from_pandas(value: Any) -> Any:
    if value is pandas.NA or value is pandas.NaT or (isinstance(value, float) and value != value):
        return None
    return value.to_pydatetime() if isinstance(value, pandas.Timestamp) else value


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
