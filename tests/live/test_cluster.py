"""A run on a real standalone cluster: executors without any of the driver's variables read the commit from a real lakeFS."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import deltalake
import pandas
import psutil
import pytest
import services
from command_line import Cli
from lake_project import Repository
from project import Project
from spark_session import DELTA

from reprolock.lake.open import open_lake
from reprolock.model.executors import executor_differences

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
packages = ["pyspark==4.2.0", "pandas<3", "pyarrow", "iniconfig==2.0.0"]

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
    from importlib.metadata import version

    return f"{version('iniconfig')} {os.environ['TRAINING_MODE']} {os.environ['TZ']}"


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
    with closing(open_lake(None, tree, lakefs.lakectl, tree)) as lake:
        Repository(lake, name, tree.parent, f"{lakefs.storage}{name}/").commit_folder(tree)
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


@contextmanager
def watched_processes(secret: str) -> Iterator[set[str]]:
    """The names of processes whose command line held the secret at any time."""
    found: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            for process in psutil.process_iter(["cmdline", "name"]):
                if any(secret in part for part in process.info["cmdline"] or ()):
                    found.add(process.info["name"])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def holds(folder: Path, secret: str) -> list[str]:
    """Files below a folder that hold the secret."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return [str(file) for file in files if secret.encode() in file.read_bytes()]


def test_a_run_on_a_cluster(
    on_cluster: Project, cluster: services.SparkCluster, lakefs: services.LakeFS, cli: Cli
) -> None:
    assert cli("lock").code == 0
    with watched_processes(lakefs.secret_access_key) as exposed:
        said = cli("run")
    assert said.code == 0, said.err
    record = on_cluster.record
    assert json.loads((on_cluster.root / "seen.json").read_text()) == {"version": ["2.0.0 wide UTC"], "rows": 9}
    assert record.spark is not None and record.spark.master == cluster.address
    [executor] = record.spark.executors
    assert (executor.python, executor.packages["iniconfig"]) == (record.environment.python, "2.0.0")
    assert list(executor_differences(record)) == []
    assert record.lineage is not None and (record.lineage.unlocked, record.lineage.undeclared) == ((), ())
    [published] = record.published
    assert published.problem is None and published.commit is not None
    assert exposed == set()
    assert holds(on_cluster.root, lakefs.secret_access_key) == []
    assert holds(cluster.master.folder.parent, lakefs.secret_access_key) == []  # the cluster's logs and work folders
    said = cli("replay", record.run_id)
    assert (said.code, said.err.splitlines()[-1]) == (
        7,
        "hint: replay in a folder that spark.shared names, or on this machine alone: `reprolock replay --master 'local[*]'`",
    )
    said = cli("replay", record.run_id, "--master", "local[2]")
    assert said.code == 0, said.out + said.err
    assert f"REPRODUCED   2 of 2 compared   on local[2], recorded on {cluster.address}\n" in said.out


def test_a_cluster_without_room(
    on_cluster: Project, cluster: services.SparkCluster, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reprolock.engine.cluster.probe.PATIENCE_SECONDS", 20)
    on_cluster.edit('"spark.executor.memory" = "512m"', '"spark.executor.memory" = "900g"')  # no worker has as much
    assert cli("lock").code == 0
    said = cli("run")
    assert (said.code, said.out) == (5, "")
    assert said.err.splitlines()[-2:] == [
        f"error: {cluster.address} gave no executor within 20 s",
        "hint: are its workers running, and do they have cores and memory to spare? the master's page shows them",
    ]
