"""The digest of a table of JSON documents, which no Spark computes: what it covers, and what has none."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from reprolock.engine.tables.run import Spark, Table, digest_tables
from reprolock.model.table import TableDigest, TableProblem

NO_SPARK = Spark(Path("/nowhere/bin/python"), {}, Path("/nowhere"), declared=False)


def digest(folder: Path, files: dict[str, str], **options: str) -> TableDigest | TableProblem:
    """Of a table of these files."""
    for name, text in files.items():
        path = folder / "table" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return digest_tables({"t": Table(folder / "table", "json", options)}, NO_SPARK)["t"]


def test_a_file_that_spark_does_not_read_is_not_passed_over(tmp_path: Path) -> None:
    files = {"a.json": '{"a":1}\n', "x/b.json": '{"a":2}\n', "x/c.json": "{}"}
    assert digest(tmp_path, files) == TableProblem(
        "table cannot be compared as a json table: Spark does not read x/b.json and 1 more, because its folder is not "
        "named NAME=VALUE as others are; write options = { recursiveFileLookup = true }"
    )
    whole = digest(tmp_path, {}, recursiveFileLookup="true")
    assert isinstance(whole, TableDigest)
    assert whole.rows == 3


@pytest.mark.parametrize("line", ["\u00a0", "\u2028", "\x85"])
def test_a_line_that_only_looks_blank_is_a_record(tmp_path: Path, line: str) -> None:
    found = digest(tmp_path, {"a.json": f'{{"a":1}}\n{line}\n'})
    assert isinstance(found, TableProblem)
    assert (
        found.sentence == "table cannot be compared as a json table: a.json, line 2: no JSON document: Expecting value"
    )


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("deflate", zlib.compress)])
def test_a_packed_file_of_many_members(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    """Members of all sizes, as bgzip and pbzip2 make them: an empty one, one line, many lines."""
    rows = [b'{"a":%d}\n' % number * times for number, times in enumerate((0, 1, 40, 64, 65, 9000, 0, 3) * 20)]
    file = tmp_path / "table" / f"a.json.{ending}"
    file.parent.mkdir()
    file.write_bytes(b"".join(map(pack, rows)))
    assert digest(tmp_path, {}) == digest(tmp_path / "plain", {"a.json": b"".join(rows).decode()})


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("deflate", zlib.compress)])
def test_all_of_a_packed_file_counts(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    """Several packed files, put one behind the other, are one; what is behind the last is not passed over."""
    rows = [b'{"a":1}\n', b'{"a":2}\n']
    file = tmp_path / "table" / f"a.json.{ending}"
    file.parent.mkdir()
    file.write_bytes(b"".join(map(pack, rows)))
    packed = digest(tmp_path, {})
    assert packed == digest(tmp_path / "plain", {"a.json": b"".join(rows).decode()})
    file.write_bytes(pack(rows[0]) + b"BZh9 or what else is left")
    found = digest(tmp_path, {})
    assert isinstance(found, TableProblem)
    assert f"a.json.{ending}, which cannot be unpacked" in found.sentence
