"""An unmodified PySpark script on a real lakeFS: it reads the commit through the S3 gateway, whatever the branch does."""

from __future__ import annotations

import json
from pathlib import Path

import deltalake
import pandas
import pytest
import services
from lake_project import Repository
from spark_session import DELTA, SparkParts, run_script

from reprolock.engine.spark import S3Access, plan_spark
from reprolock.lake.open import open_lake
from reprolock.model.spec_spark import SparkSpec

pytestmark = [pytest.mark.live, pytest.mark.spark, pytest.mark.long]

REPOSITORY = "spark-reads"
ODD = "blank [x] {y} ünïcode %20+#"

SCRIPT = """
import json
import mlflow
import reprolock
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("plain").getOrCreate()
base = "s3a://{repository}/{commit}/"
found = {{
    "csv": spark.read.csv(base + "csv", header=True).count(),
    "parquet": spark.read.parquet(base + "parquet/").count(),
    "delta": spark.read.format("delta").load(base + "delta").count(),
    "branch": spark.read.csv("s3a://{repository}/main/csv", header=True).count(),
    "current": reprolock.current().dataset("odd").spark().count(),
}}
source = mlflow.data.load_delta(path="s3://{repository}/{commit}/delta")
found["source"] = [source.source.path, source.source.delta_table_version]
print(json.dumps(found))
"""


def test_spark_reads_the_commit_and_not_the_branch(
    lakefs: services.LakeFS, spark_parts: SparkParts, tmp_path: Path
) -> None:
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "ü"]})
    tree = tmp_path / "tree"
    for name in ("csv", "parquet", ODD):
        (tree / name).mkdir(parents=True)
    frame.to_csv(tree / "csv" / "part.csv", index=False)
    frame.to_csv(tree / ODD / "part.csv", index=False)
    frame.to_parquet(tree / "parquet" / "part.parquet")
    deltalake.write_deltalake(tree / "delta", frame)
    lake = open_lake(None, tmp_path, lakefs.lakectl, tmp_path)
    try:
        repository = Repository(lake, REPOSITORY, tmp_path, f"{lakefs.storage}{REPOSITORY}/")
        commit = repository.commit_folder(tree)
        (tree / "csv" / "more.csv").write_text("a,b\n4,z\n")
        deltalake.write_deltalake(tree / "delta", frame, mode="append")
        repository.commit_folder(tree)
        lake.remove(REPOSITORY, "main", "parquet/part.parquet")
        lake.commit(REPOSITORY, "main", "Remove a table")
    finally:
        lake.close()
    made, environ = plan_spark(
        SparkSpec(packages=(DELTA,)),
        version=spark_parts.pin.spark,
        jars=spark_parts.files,
        cores=2,
        folder=tmp_path / "conf",
        s3=S3Access(lakefs.endpoint, (REPOSITORY,), lakefs.access_key_id, lakefs.secret_access_key),
    )
    odd = {"url": f"s3a://{REPOSITORY}/{commit}/{ODD}/", "path": None, "format": "csv", "options": {"header": "true"}}
    odd |= {
        "glob": None,
        "commit": commit,
        "repository": REPOSITORY,
        "uri": f"lakefs://{REPOSITORY}/main/{ODD}/",
        "materialise": None,
    }
    context = {
        "version": 1,
        "run_id": "0" * 32,
        "project": "p",
        "seed": None,
        "params": {},
        "datasets": {"odd": odd},
        "outputs": {},
    }
    (tmp_path / "context.json").write_text(json.dumps(context))

    script = SCRIPT.format(repository=REPOSITORY, commit=commit)
    found = run_script(script, environ | {"REPROLOCK_CONTEXT": str(tmp_path / "context.json")}, tmp_path)

    assert found == {
        "csv": 3,
        "parquet": 3,
        "delta": 3,
        "branch": 4,
        "current": 3,
        "source": [f"s3://{REPOSITORY}/{commit}/delta", 0],
    }
    written = (made.conf_dir / "spark-defaults.conf").read_text() + str(made)
    assert lakefs.access_key_id not in written
    assert lakefs.secret_access_key not in written
