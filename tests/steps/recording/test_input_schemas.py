"""The look at an input's columns is decoration: whatever it meets, the record is as it would have been without it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pandas
import pyarrow as pa
import pyarrow.parquet
import pytest

from reprolock.model.record import DatasetRecord
from reprolock.steps.recording.input_schemas import _add_schema


def written(frame: pandas.DataFrame) -> Callable[[Path], None]:
    """Writes a frame as pandas does."""
    return lambda folder: frame.to_parquet(folder / "a.parquet")


NOW = pandas.to_datetime(["2020-01-01"])


@pytest.mark.parametrize(
    ("form", "write", "options"),
    [
        ("parquet", written(pandas.DataFrame({"t": NOW.tz_localize("Europe/Berlin")})), {}),
        ("parquet", written(pandas.DataFrame({"t": pandas.to_timedelta(["1h"])})), {}),
        ("parquet", written(pandas.DataFrame({"t": [dt.time(1, 2)]})), {}),
        ("parquet", written(pandas.DataFrame({"Id": [1], "id": [2]})), {}),
        ("parquet", lambda f: pyarrow.parquet.write_table(pa.table({"h": pa.array([1], pa.float16())}), f / "a"), {}),
        ("csv", lambda folder: (folder / "a.csv").write_text("id,value,value\n1,2,3\n"), {"header": "true"}),
        ("csv", lambda folder: (folder / "a.csv").write_text("a§b\n1§2\n"), {"header": "true", "sep": "§"}),
        ("csv", lambda folder: (folder / "a.csv").write_text("t\n2020-01-01 00:00:00\n"), {"inferSchema": "true"}),
        ("json", lambda folder: (folder / "a.json").write_text('{"Id":1,"id":2}\n'), {}),
    ],
)
def test_columns_that_the_look_does_not_know(
    form: str, write: Callable[[Path], object], options: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path)
    record = DatasetRecord(
        name="d",
        kind="git",
        uri="lakefs://example-repo/main/d/",
        resolved=f"lakefs://example-repo/{'0' * 64}/d/",
        commit="0" * 64,
        commit_time=dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        objects=1,
        bytes=1,
        digest="git-sha1:" + "0" * 64,
        format=form,
        options=options,
        context="training",
        url=tmp_path.as_uri(),
    )
    seen = _add_schema(record, None, None, None)  # type: ignore[arg-type]  # a local tree is looked at without a lake
    assert seen.model_copy(update={"columns": None, "rows": None}) == record
