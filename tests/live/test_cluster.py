"""A run on a real standalone cluster: executors without any of the driver's variables read the commit from a real lakeFS."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import deltalake
import pandas
import pytest
import services
from command_line import Cli
from project import Project
from spark_session import DELTA

from reprolock.lake.open import open_lake

pytestmark = [pytest.mark.live, pytest.mark.spark]

SPEC = """\
[project]
name = "flights"

[datasets.train]
uri = "lakefs://{repository}/main/csv/"
format = "csv"
options = {{ header = true }}

[datasets.columns]
uri = "lakefs://{repository}/main/parquet/"
format = "parquet"

[datasets.table]
uri = "lakefs://{repository}/main/delta/"
format = "delta"

[environment]
python = "3.11"
packages = ["pyspark==4.2.0", "pandas<3", "pyarrow", "iniconfig==2.1.0"]

[spark]
master = "{master}"
packages = ["{delta}"]
conf = {{ "spark.sql.shuffle.partitions" = "2", "spark.driver.host" = "127.0.0.1", "spark.executor.memory" = "512m", "spark.databricks.delta.snapshotPartitions" = "2" }}

[run]
command = ["python", "train.py"]
code = ["train.py"]
env = {{ TRAINING_MODE = "wide" }}

[outputs.sums]
path = "out/sums"
compare = "table"
format = "parquet"
publish = "lakefs://{repository}/main/sums/"

[outputs.seen]
path = "seen.json"
compare = "json"
"""
TRAIN = """\
import json
import os

import pandas
import reprolock
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, pandas_udf, udf

run = reprolock.current()
spark = SparkSession.builder.getOrCreate()


@udf("string")
def version(_):
    import iniconfig  # a package of the locked environment alone

    return f"{iniconfig.__file__.rpartition('/site-packages/')[0].rpartition('/')[2]} {os.environ['TRAINING_MODE']} {os.environ['TZ']}"


@pandas_udf("long")
def doubled(values: pandas.Series) -> pandas.Series:
    return values * 2


frames = [run.dataset(name).spark().selectExpr("bigint(a) AS a") for name in ("train", "columns", "table")]
found = frames[0].union(frames[1]).union(frames[2])
found = found.withColumn("b", doubled(col("a"))).repartition(2)
seen = sorted(row[0] for row in found.select(version(col("a"))).distinct().collect())
found.write.parquet(run.output("sums").url)
run.output("seen").path.write_text(json.dumps({"version": seen, "rows": found.count()}))
spark.stop()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.SparkCluster]:
    """A master and two workers."""
    started = services.start_spark_cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def repository(lakefs: services.LakeFS, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A repository with one small table in three formats on main."""
    name, tree = f"cluster-{secrets.token_hex(4)}", tmp_path_factory.mktemp("tree")
    frame = pandas.DataFrame({"a": [1, 2, 3]})
    for folder in ("csv", "parquet"):
        (tree / folder).mkdir()
    frame.to_csv(tree / "csv" / "part.csv", index=False)
    frame.to_parquet(tree / "parquet" / "part.parquet")
    deltalake.write_deltalake(tree / "delta", frame)
    lake = open_lake(None, tree, lakefs.lakectl, tree)
    try:
        lake.create_repository(name, storage=f"{lakefs.storage}{name}/")
        files = [(file.relative_to(tree).as_posix(), file) for file in tree.rglob("*") if file.is_file()]
        for _ in lake.put_many(name, "main", files):
            pass
        lake.commit(name, "main", "Put the data")
    finally:
        lake.close()
    return name


@pytest.fixture
def on_cluster(
    project: Project,
    repository: str,
    cluster: services.SparkCluster,
    lakefs: services.LakeFS,
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    """The project, locked."""
    monkeypatch.delenv("REPROLOCK_CACHE_DIR")
    for name, value in lakefs.lakectl.items():
        monkeypatch.setenv(name, value)
    text = SPEC.format(repository=repository, master=cluster.address, delta=DELTA)
    (project.root / "repro.toml").write_text(text)
    project.script(TRAIN)
    return project


def test_a_run_on_a_cluster(
    on_cluster: Project, cluster: services.SparkCluster, lakefs: services.LakeFS, cli: Cli
) -> None:
    assert cli("lock").code == 0
    said = cli("run")
    print(said.err)
    assert said.code == 0, said.err
    print(on_cluster.record.spark)
