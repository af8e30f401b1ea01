"""Parquet that nothing here decodes: a hint that helps, for Spark does not either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reprolock.engine.tables.source import source_of
from reprolock.errors import UsageError
from reprolock.readers import read_arrow
from reprolock.readers.source import declared


@pytest.mark.parametrize(
    ("written", "what", "instead"),
    [
        ({"compression": "brotli"}, "packed by BROTLI", "write it again packed by zstd or snappy"),
        (
            {"use_byte_stream_split": True, "use_dictionary": False},
            "encoded as BYTE_STREAM_SPLIT",
            "write it again in Parquet's default encodings",
        ),
    ],
)
def test_what_spark_has_no_decoder_for(tmp_path: Path, written: Any, what: str, instead: str) -> None:
    pq.write_table(pa.table({"x": [1.5, 2.5]}), tmp_path / "a.parquet", **written)
    with pytest.raises(UsageError) as of_dataset:
        read_arrow(declared("train", "parquet", tmp_path, {}, None))
    assert (of_dataset.value.message, of_dataset.value.hint) == (
        f'dataset "train": neither Spark nor .pandas() and .arrow() read a.parquet, whose values are {what}',
        f"{instead}, or open the files below .path",
    )
    with pytest.raises(UsageError) as of_table:
        read_arrow(source_of(tmp_path, "parquet", {}))
    assert of_table.value.message == f"Spark does not read a.parquet, whose values are {what}; {instead}"

    pq.write_table(pq.read_table(tmp_path / "a.parquet"), tmp_path / "a.parquet", compression="zstd")
    assert read_arrow(declared("train", "parquet", tmp_path, {}, None)).to_pydict() == {"x": [1.5, 2.5]}
