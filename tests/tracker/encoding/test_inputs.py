"""The JSON that we write for an input against what MLflow's own classes write for the same."""

from __future__ import annotations

import json

import mlflow.data
import pandas
import pytest
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.types import Schema
from mlflow.types.utils import _infer_schema
from recorded import COMMIT

from reprolock.model.record import DatasetRecord
from reprolock.tracker.dataset_source import LakeDatasetSource
from reprolock.tracker.encoding.inputs import input_of

COLUMNS = """
    yes boolean, b byte, s short, i int, l long, f float, d double, t string, x binary, day date, at timestamp,
    list array<int>, deep array<struct<a: double, b: array<string>>>, pair struct<a: int, b: string>
"""


def test_a_delta_table_has_the_source_of_load_delta(dataset: DatasetRecord) -> None:
    delta = dataset.model_copy(update={"format": "delta", "options": {}, "table_version": 7})
    entry = input_of(delta)
    assert entry.schema is not None
    path = f"s3://example-repo/{COMMIT}/training_dataset"
    schema = Schema.from_json(json.dumps(json.loads(entry.schema)["mlflow_colspec"]))
    mlflows = MetaDataset(
        DeltaDatasetSource(path, delta_table_version=7), name=entry.name, digest=entry.digest, schema=schema
    )
    assert entry._asdict() == {**mlflows.to_dict(), "profile": None, "context": "training"}


def test_rows_stand_where_mlflows_own_datasets_have_them(dataset: DatasetRecord) -> None:
    profile = input_of(dataset.model_copy(update={"rows": 3})).profile
    assert profile is not None
    assert (
        json.loads(profile)["num_rows"]
        == mlflow.data.from_pandas(pandas.DataFrame({"x": [1, 2, 3]})).profile["num_rows"]
    )


def test_version_0_of_a_table_is_named(dataset: DatasetRecord) -> None:
    entry = input_of(dataset.model_copy(update={"format": "delta", "options": {}, "table_version": 0}))
    assert DeltaDatasetSource.from_json(entry.source).delta_table_version == 0


@pytest.mark.parametrize("kind", ["lakefs", "git"])
def test_everything_else_has_a_source_of_our_own(dataset: DatasetRecord, kind: str) -> None:
    entry = input_of(dataset.model_copy(update={"kind": kind, "glob": "*.csv"}))
    assert entry.source_type == "lakefs"
    assert json.loads(entry.source) == {
        "uri": f"lakefs://example-repo/{COMMIT}/training_dataset/",
        "kind": kind,
        "format": "csv",
        "options": {"header": "true"},
        "glob": "*.csv",
        "digest": "lakefs-etag-v1:" + "ab" * 32,
    }
    assert LakeDatasetSource.from_json(entry.source).to_json() == entry.source


def test_a_delta_table_in_an_embedded_lake_keeps_its_version(dataset: DatasetRecord) -> None:
    entry = input_of(dataset.model_copy(update={"kind": "git", "format": "delta", "table_version": 2}))
    assert LakeDatasetSource.from_json(entry.source).delta_table_version == 2


def test_the_digest_begins_with_ours_and_follows_source_and_schema(dataset: DatasetRecord) -> None:
    digests = [
        input_of(dataset.model_copy(update=change)).digest
        for change in ({}, {"name": "other"}, {"resolved": f"lakefs://example-repo/{'e' * 64}/x"}, {"columns": None})
    ]
    assert all(digest.startswith("ababababababababa-") and len(digest) == 35 for digest in digests)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_a_schema_that_mlflow_refuses_is_left_out(dataset: DatasetRecord) -> None:
    column = {"name": "x" * 2000, "type": "long", "nullable": True, "metadata": {}}
    assert input_of(dataset.model_copy(update={"columns": (column,) * 600})).schema is None


def test_types_that_mlflow_has_no_name_for(dataset: DatasetRecord) -> None:
    types = (
        "decimal(10,2)",
        {"type": "map", "keyType": "string", "valueType": "double", "valueContainsNull": True},
        {"type": "udt"},
    )
    columns = tuple(
        {"name": f"c{index}", "type": type, "nullable": True, "metadata": {}} for index, type in enumerate(types)
    )
    schema = input_of(dataset.model_copy(update={"columns": columns})).schema
    assert schema is not None
    assert json.loads(schema)["mlflow_colspec"] == [
        {"type": "any", "name": "c0", "required": True},
        {"type": "map", "values": {"type": "double"}, "name": "c1", "required": True},
        {"type": "any", "name": "c2", "required": True},
    ]
    assert str(Schema.from_json(json.dumps(json.loads(schema)["mlflow_colspec"]))).count("(required)") == 3


@pytest.mark.spark
@pytest.mark.long
def test_columns_have_the_types_that_mlflow_gives_a_spark_frame(dataset: DatasetRecord) -> None:
    from pyspark.sql import SparkSession  # a JVM for this test alone

    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        frame = spark.createDataFrame([], COLUMNS)
        schema = input_of(dataset.model_copy(update={"columns": tuple(frame.schema.jsonValue()["fields"])})).schema
        assert schema is not None
        assert json.loads(schema)["mlflow_colspec"] == json.loads(_infer_schema(frame).to_json())
    finally:
        spark.stop()
