"""The Spark that people have, each in a locked environment of its own, on a real lakeFS by S3A: one table has one digest."""

from __future__ import annotations

import os
import secrets
import tomllib
from contextlib import closing
from pathlib import Path

import deltalake
import pandas
import pytest
import services
from command_line import Cli
from lake_project import Repository
from project import Project

from reprolock.engine.tables.run import Spark, Table, digest_tables
from reprolock.lake.open import open_lake
from reprolock.model.table import TableDigest

pytestmark = [pytest.mark.live, pytest.mark.spark, pytest.mark.long]

VERSIONS = {
    "3.5.9": "io.delta:delta-spark_2.12:3.3.2",
    "4.0.5": "io.delta:delta-spark_2.13:4.0.1",
    "4.1.4": "io.delta:delta-spark_4.1_2.13:4.1.0",
}
"""pyspark, and the Delta that is made for it; 4.2 is what all other tests run on."""
FRAME = pandas.DataFrame({"a": [1, 2, 3], "x": [0.5, None, -0.0], "name": ["one", None, "drei ü"]})
SPEC = """\
[project]
name = "versions"

[datasets.rows]
uri = "lakefs://{repository}/main/csv/"
format = "csv"
options = {{ header = true }}

[datasets.table]
uri = "lakefs://{repository}/main/delta/"
format = "delta"

[environment]
python = "3.11"
packages = ["pyspark=={version}", "setuptools<80"]

[spark]
master = "local[2]"
packages = ["{delta}"]
conf = {{ "spark.sql.shuffle.partitions" = "2", "spark.driver.host" = "127.0.0.1", "spark.databricks.delta.snapshotPartitions" = "2" }}

[run]
command = ["python", "train.py"]
code = ["train.py"]

[outputs.table]
path = "out"
compare = "table"
format = "parquet"
"""
TRAIN = """
    import reprolock
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import col, udf
    run = reprolock.current()
    spark = SparkSession.builder.getOrCreate()
    length = udf(lambda text: None if text is None else len(text), "int")
    rows = run.dataset("rows").spark()
    assert rows.count() == 3, rows.collect()
    table = run.dataset("table").spark()
    table.withColumn("length", length(col("name"))).coalesce(1).write.parquet(run.output("table").url)
    spark.stop()
"""


@pytest.fixture(scope="module")
def repository(lakefs: services.LakeFS, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A repository with one small table as CSV and Delta on main."""
    name, tree = f"versions-{secrets.token_hex(4)}", tmp_path_factory.mktemp("tree")
    (tree / "csv").mkdir()
    FRAME.to_csv(tree / "csv" / "part.csv", index=False)
    deltalake.write_deltalake(tree / "delta", FRAME)
    with closing(open_lake(None, tree, lakefs.lakectl, tree)) as lake:
        Repository(lake, name, tree.parent, f"{lakefs.storage}{name}/").commit_folder(tree)
    return name


FIRST, *OTHERS = VERSIONS
ON_REQUEST = pytest.mark.skipif(
    "REPROLOCK_MATRIX" not in os.environ, reason="minutes each; `make test-matrix` runs them"
)


@pytest.mark.parametrize("version", [FIRST, *(pytest.param(each, marks=ON_REQUEST) for each in OTHERS)])
def test_a_run_on_each_spark(
    version: str,
    project: Project,
    repository: str,
    lakefs: services.LakeFS,
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in lakefs.lakectl.items():
        monkeypatch.setenv(name, value)
    project.spec(SPEC.format(repository=repository, version=version, delta=VERSIONS[version]))
    project.script(TRAIN)
    for arguments in (["lock"], ["run"]):
        said = cli(*arguments)
        assert said.code == 0, said.err
    locked = tomllib.loads((project.root / "repro.lock").read_text())
    assert sum(jar["bytes"] for jar in locked["jar"]) < 80_000_000  # Amazon's whole SDK alone has 280 to 686 MB
    [output] = project.record.outputs
    assert project.record.spark is not None
    assert project.record.spark.version == version
    expected = FRAME.assign(length=FRAME["name"].str.len().astype("Int32"))
    expected.to_parquet(tmp_path / "expected.parquet", index=False)
    here = digest_tables(
        {"t": Table(tmp_path / "expected.parquet", "parquet")}, Spark(Path("/nowhere/bin/python"), {}, tmp_path, False)
    )["t"]
    assert isinstance(here, TableDigest)
    assert output.compared == here.digest
