"""Columns and rows read without Spark are those that Spark reads; on MinIO as on the disk, under a repository and a commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pyarrow.dataset
import pyarrow.json
import pyarrow.orc
import pyarrow.parquet
import pytest
import services
from pyarrow import csv
from recorded import COMMIT

from reprolock.lake.s3_gateway import Gateway
from reprolock.lake.table_schema import MOST_FILES, DataObject, Shape, read_shape

TABLE = pa.table(
    {
        "i": pa.array([1, None], pa.int32()),
        "u": pa.array([1, 2], pa.uint32()),
        "d": pa.array([1.5, 2.5]),
        "t": ["a", "b"],
        "day": pa.array([0, 1], pa.date32()),
        "list": [[1], [2]],
    }
)
TYPES = {
    "i": "integer",
    "u": "long",
    "d": "double",
    "t": "string",
    "day": "date",
    "list": {"type": "array", "elementType": "long", "containsNull": True},
}


def types(shape: Shape) -> dict[str, Any] | None:
    return None if shape.columns is None else {column["name"]: column["type"] for column in shape.columns}


def read(folder: Path, format: str, options: Mapping[str, str] = {}) -> Shape:
    return read_shape(folder.as_uri(), format, options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tree whose name has to be quoted in an address, and with what Spark passes over."""
    made = tmp_path / "a b%20é" / "sub"
    made.mkdir(parents=True)
    (made.parent / "_SUCCESS").write_bytes(b"")
    (made.parent / ".hidden").write_bytes(b"x")
    return made.parent


def test_parquet_and_orc(folder: Path) -> None:
    pyarrow.parquet.write_table(TABLE, folder / "part-0.parquet")
    assert types(read(folder, "parquet")) == TYPES
    (folder / "part-0.parquet").unlink()
    pyarrow.orc.write_table(TABLE.drop(["u"]), folder / "part-0.orc")
    shape = read(folder, "orc")
    assert (types(shape), shape.rows) == ({name: type for name, type in TYPES.items() if name != "u"}, 2)


def test_rows_of_parquet_are_those_of_all_footers(folder: Path) -> None:
    partitioned = folder / "partitioned"
    pyarrow.dataset.write_dataset(
        pa.table({"_k": [1, 2, 2], "n": [1, 2, 3]}),
        partitioned,
        format="parquet",
        partitioning=["_k"],
        partitioning_flavor="hive",
    )
    assert read(partitioned, "parquet").rows == 3
    for hidden in ("_temporary", ".hidden"):
        (partitioned / hidden).mkdir()
        pyarrow.parquet.write_table(TABLE, partitioned / hidden / "a.parquet")
    (partitioned / "_k=2" / "empty.parquet").touch()
    assert read(partitioned, "parquet").rows == 3
    assert read_shape((partitioned / "_k=2" / "part-0.parquet").as_uri(), "parquet", {}).rows == 2
    assert read(partitioned, "parquet", {"pathGlobFilter": "x*"}).rows is None
    assert read(partitioned, "parquet", {"mergeSchema": "true"}).rows == 3


def test_rows_that_are_not_known_without_reading_all(folder: Path) -> None:
    pyarrow.parquet.write_table(TABLE, folder / "0.parquet")
    pyarrow.parquet.write_table(TABLE, folder / "sub" / "1.parquet")
    shape = read(folder, "parquet")  # Spark reads the first alone, and says nothing of the other
    assert (types(shape), shape.rows) == (TYPES, 2)
    (folder / "sub" / "1.parquet").rename(folder / "1.parquet")
    assert read(folder, "parquet").rows == 4
    (folder / "2.parquet").write_bytes(b"not that")
    assert read(folder, "parquet") == Shape()  # the run will end with Spark's own message
    (folder / "2.parquet").unlink()
    for index in range(2, MOST_FILES):
        pyarrow.parquet.write_table(TABLE, folder / f"{index}.parquet")
    assert read(folder, "parquet").rows == 2 * MOST_FILES
    pyarrow.parquet.write_table(TABLE, folder / "one more.parquet")
    shape = read(folder, "parquet")
    assert (types(shape), shape.rows) == (TYPES, None)


def test_a_delta_table_and_its_version(tmp_path: Path) -> None:
    table, folder = TABLE.drop(["u"]), tmp_path / "a bé"  # delta-rs itself cannot open a folder with "%20" in its name
    for _ in range(2):
        deltalake.write_deltalake((folder / "table").as_uri(), table, mode="append")
    shape = read(folder / "table", "delta")
    assert (types(shape), shape.table_version, shape.rows) == (
        {name: type for name, type in TYPES.items() if name != "u"},
        1,
        4,
    )
    shape = read(folder / "table", "delta", {"versionAsOf": "0"})
    assert (shape.table_version, shape.rows) == (0, 2)
    assert read(folder / "table", "delta", {"timestampAsOf": "2026-01-01"}) == Shape()


def test_rows_of_a_delta_table_that_its_log_does_not_say(tmp_path: Path) -> None:
    deltalake.write_deltalake(
        (tmp_path / "deleted").as_uri(), TABLE.drop(["u"]), configuration={"delta.enableDeletionVectors": "true"}
    )
    shape = read(tmp_path / "deleted", "delta")  # a file may hold rows that the table has no more
    assert (types(shape), shape.rows) == ({name: type for name, type in TYPES.items() if name != "u"}, None)
    deltalake.write_deltalake((tmp_path / "untold").as_uri(), pa.table({"i": [1]}))
    log = tmp_path / "untold" / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        action.get("add", {}).pop("stats", None)
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))
    assert read(tmp_path / "untold", "delta") == Shape(read(tmp_path / "untold", "delta").columns, 0, None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"header": "true"}, {"n": "string", "name": "string"}),
        ({"header": "true", "inferSchema": "true"}, {"n": "integer", "name": "string"}),
        ({}, {"_c0": "string", "_c1": "string"}),
        ({"header": "true", "sep": ";"}, {"n,name": "string"}),
        ({"header": "true", "sep": "||"}, {"n,name": "string"}),
        ({"header": "true", "multiLine": "true"}, {"n": "string", "name": "string"}),
        ({"header": "true", "samplingRatio": "0.5"}, None),
        ({"comment": "n"}, {"_c0": "string", "_c1": "string"}),
    ],
)
def test_csv(folder: Path, options: dict[str, str], expected: dict[str, str] | None) -> None:
    (folder / "a.csv").write_text("n,name\n1,x\n2,y\n")
    shape = read(folder, "csv", options)
    assert (types(shape), shape.rows) == (expected, None)


def test_merged_columns_are_those_of_all_files(folder: Path) -> None:
    pyarrow.parquet.write_table(pa.table({"id": [1]}), folder / "a.parquet")
    pyarrow.parquet.write_table(pa.table({"id": [2], "score": [20]}), folder / "b.parquet")
    assert types(read(folder, "parquet")) == {"id": "long"}
    assert types(read(folder, "parquet", {"mergeSchema": "true"})) == {"id": "long", "score": "long"}
    pyarrow.parquet.write_table(pa.table({"id": ["x"]}), folder / "c.parquet")
    shape = read(folder, "parquet", {"mergeSchema": "true"})
    assert (shape.columns, shape.rows) == (None, 3)


@pytest.mark.parametrize(
    ("rows", "type"),
    [
        (["2026-01-01 10:00:00"], "timestamp"),
        (["2026-01-01"], "date"),
        (["1"] * 400_000 + ["1.5"], "double"),  # beyond the first block of any reader
        (["3000000000"], "long"),
        (["true"], "boolean"),
        (["007"], "integer"),
        (["NA"], "string"),
        (["10:30"], None),
    ],
)
def test_inferred_types_are_sparks_of_all_values(folder: Path, rows: list[str], type: str | None) -> None:
    (folder / "a.csv").write_text("v\n" + "\n".join(rows) + "\n")
    expected = None if type is None else {"v": type}
    assert types(read(folder, "csv", {"header": "true", "inferSchema": "true"})) == expected


def test_of_a_large_csv_the_header_is_known_and_inferred_types_are_not(folder: Path) -> None:
    (folder / "a.csv").write_bytes(b"v,w\n" + b"1,2\n" * 1_100_000)
    assert types(read(folder, "csv", {"header": "true"})) == {"v": "string", "w": "string"}
    assert read(folder, "csv", {"header": "true", "inferSchema": "true"}) == Shape()
    (folder / "a.csv").write_bytes(b"v" * 5_000_000)
    assert read(folder, "csv", {"header": "true"}) == Shape()


def test_a_column_of_a_folder_over_a_files_own(folder: Path) -> None:
    pyarrow.dataset.write_dataset(
        pa.table({"k": [1, 2], "n": [1, 2]}),
        folder / "t",
        format="parquet",
        partitioning=["k"],
        partitioning_flavor="hive",
    )
    assert types(read(folder / "t", "parquet")) == {"n": "long"}
    pyarrow.parquet.write_table(pa.table({"n": [1], "k": ["a"]}), folder / "t" / "k=1" / "b.parquet")
    for old in (folder / "t").rglob("part-*"):
        old.unlink()
    assert types(read(folder / "t", "parquet")) is None


def test_json_lines(folder: Path) -> None:
    (folder / "a.json").write_text('{"z": 1, "at": "2026-01-01T00:00:00", "a": {"b": 1.5}}\n')
    fields = [{"name": "b", "type": "double", "nullable": True, "metadata": {}}]
    assert types(read(folder, "json")) == {"a": {"type": "struct", "fields": fields}, "at": "string", "z": "long"}


def test_formats_of_fixed_columns(folder: Path) -> None:
    (folder / "day=1").mkdir()
    (folder / "day=1" / "a").write_bytes(b"x")
    assert types(read(folder, "text")) == {"value": "string"}
    assert list(types(read(folder, "binary")) or ()) == ["path", "modificationTime", "length", "content"]
    assert list(types(read(folder, "image")) or ()) == ["image"]


@pytest.mark.parametrize(("format", "name"), [("text", "Value=1"), ("binary", "length=x"), ("image", "image=1")])
def test_a_column_of_a_format_that_folders_name_has_their_type(folder: Path, format: str, name: str) -> None:
    """And Spark alone knows which."""
    (folder / name).mkdir()
    (folder / name / "a").write_bytes(b"x")
    assert read(folder, format) == Shape()
    listed = [DataObject(f"{name}/a", 1)]
    assert read_shape("s3a://example-repo/main/train", format, {}, objects=listed) == Shape()


@pytest.mark.parametrize("format", ["parquet", "orc", "delta", "json", "avro"])
def test_data_that_is_not_what_its_format_says_has_no_columns(folder: Path, format: str) -> None:
    (folder / "a").write_bytes(b"\xff\xfe\x00 not that\n\n")
    assert read(folder, format) == Shape()
    assert read(folder / "absent", format) == Shape()


def test_over_a_gateway_on_a_real_store(object_store: services.ObjectStore, tmp_path: Path) -> None:

    gateway = Gateway(object_store.endpoint, object_store.access_key, object_store.secret_key)
    assert repr(gateway) == f"Gateway(endpoint='{object_store.endpoint}')"
    s3 = services.s3(object_store.endpoint, object_store.access_key, object_store.secret_key)
    s3.create_bucket(Bucket="columns-repo")
    folder = tmp_path / "data"
    deltalake.write_deltalake((folder / "a table").as_uri(), TABLE.drop(["u"]))
    pyarrow.parquet.write_table(TABLE, folder / "x=1 é%.parquet")
    csv.write_csv(TABLE.select(["i", "t"]), folder / "a.csv")
    for file in folder.rglob("*"):
        if file.is_file():
            s3.upload_file(str(file), "columns-repo", f"{COMMIT}/{file.relative_to(folder)}")
    root = f"s3a://columns-repo/{COMMIT}"
    delta = read_shape(f"{root}/a table/", "delta", {}, gateway=gateway)
    assert (types(delta), delta.table_version, delta.rows) == (
        {name: type for name, type in TYPES.items() if name != "u"},
        0,
        2,
    )
    parquet = read_shape(f"{root}/", "parquet", {}, objects=[DataObject("x=1 é%.parquet", 1)] * 20, gateway=gateway)
    assert (types(parquet), parquet.rows) == (TYPES, 40)
    # As Hive and Spark write names of partitions.
    s3.upload_file(str(folder / "x=1 é%.parquet"), "columns-repo", f"{COMMIT}/at=10%3A00/a.parquet")
    assert (
        read_shape(f"{root}/", "parquet", {}, objects=[DataObject("at=10%3A00/a.parquet", 1)], gateway=gateway).rows
        == 2
    )
    text = read_shape(f"{root}/", "csv", {"header": "true"}, objects=[DataObject("a.csv", 14)], gateway=gateway)
    assert types(text) == {"i": "string", "t": "string"}
    wrong = Gateway(object_store.endpoint, object_store.access_key, "wrong-" + object_store.secret_key)
    assert read_shape(f"{root}/a table/", "delta", {}, gateway=wrong) == Shape()


def test_a_delta_table_at_a_commit_of_a_real_lakefs(lakefs: services.LakeFS, tmp_path: Path) -> None:
    import lakefs as sdk  # a second, for this test alone

    gateway = Gateway(lakefs.endpoint, lakefs.access_key_id, lakefs.secret_access_key)
    client = sdk.Client(host=lakefs.endpoint, username=lakefs.access_key_id, password=lakefs.secret_access_key)
    repository = sdk.Repository("columns-of-delta", client).create(f"{lakefs.storage}columns-of-delta")
    branch = repository.branch("main")
    for version in range(2):
        deltalake.write_deltalake((tmp_path / "table").as_uri(), TABLE.drop(["u"]), mode="append")
        for file in (tmp_path / "table").rglob("*"):
            if file.is_file():
                name = f"data/a table/{file.relative_to(tmp_path / 'table')}"
                branch.object(name).upload(file.read_bytes(), mode="wb")
        commit = branch.commit(f"version {version}").get_commit().id
        shape = read_shape(f"s3a://columns-of-delta/{commit}/data/a table/", "delta", {}, gateway=gateway)
        assert (types(shape), shape.table_version) == (
            {name: type for name, type in TYPES.items() if name != "u"},
            version,
        )
