"""Values that Arrow has and Python has not: `.arrow()` gives them, and `.pandas()` says which column it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reprolock.errors import UsageError
from reprolock.readers import read_arrow, read_pandas
from reprolock.readers.source import declared

_KEYS = pa.array([{"x": 1}])
_VALUES = {
    "dates": (pa.array([3_000_000], pa.date32()), "date value out of range"),
    "times in a list": (pa.array([[2**60]], pa.list_(pa.timestamp("us"))), "date value out of range"),
    "a key twice": (pa.MapArray.from_arrays([0, 2], ["k", "k"], [1, 2]), "duplicate keys are present"),
    "structs as keys": (pa.MapArray.from_arrays([0, 1], _KEYS, [1]), "unhashable type: 'dict'"),
}


@pytest.mark.parametrize("name", _VALUES)
def test_a_value_that_python_does_not_have_is_refused(tmp_path: Path, name: str) -> None:
    array: Any
    array, told = _VALUES[name]
    pq.write_table(pa.table({"c": array}), tmp_path / "a.parquet")
    source = declared("train", "parquet", tmp_path, {}, None)
    assert read_arrow(source).num_rows == 1
    with pytest.raises(UsageError) as error:
        read_pandas(source)
    assert error.value.message.startswith('dataset "train": .pandas() has no form for a value of the column "c": ')
    assert told in error.value.message
    assert error.value.hint == 'use .arrow() or run.dataset("train").spark()'


@pytest.mark.parametrize("partition", [None, "c"])
def test_what_a_delta_log_says_of_such_values_is_read(tmp_path: Path, partition: str | None) -> None:
    """The log has the least and the greatest of a column, and the values of a partition."""
    table = pa.table({"c": pa.array([3_000_000, None], pa.date32()), "id": [1, 2]})
    deltalake.write_deltalake(tmp_path, table, partition_by=partition)
    found = read_arrow(declared("train", "delta", tmp_path, {}, None)).sort_by("id")
    assert found.select(["c", "id"]).equals(table)
