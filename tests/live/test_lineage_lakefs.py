"""Spark on a real lakeFS, reading in place: what is seen of it, a server that restarts meanwhile, and the replay years later.

The servers are the module's own, for one is killed. Few runs, since each starts a JVM.
"""

from __future__ import annotations

import io
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import deltalake
import pandas
import pytest
import services
from command_line import Cli
from project import Project, lines_of, wait_for
from spark_session import DELTA

from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake
from reprolock.model.lineage import Read

pytestmark = [pytest.mark.live, pytest.mark.spark, pytest.mark.long]

ODD = "blank [x] {y} ünïcode %20+#&=;"
SPEC = """\
[project]
name = "flights"

[datasets.odd]
uri = 'lakefs://{repository}/main/{odd}/'
format = "csv"
options = {{ header = true }}

[datasets.globbed]
uri = "lakefs://{repository}/main/mixed/"
format = "csv"
glob = "*.csv"
options = {{ header = true }}

[datasets.single]
uri = "lakefs://{repository}/main/notes/read mé.csv"
format = "csv"
options = {{ header = true }}

[datasets.versions]
uri = "lakefs://{repository}/main/delta tåble/"
format = "delta"

[datasets.days]
uri = "lakefs://{repository}/main/days/"
format = "parquet"

[spark]
master = "local[2]"
packages = ["{delta}"]
conf = {{ "spark.ui.enabled" = "false", "spark.driver.memory" = "512m", "spark.sql.shuffle.partitions" = "2", "spark.databricks.delta.snapshotPartitions" = "2" }}

[run]
command = ["python", "train.py"]
code = ["train.py"]

[outputs.sums]
path = "out/sums"
compare = "table"
format = "parquet"
"""
TRAIN = """\
import os
import time
from pathlib import Path

import reprolock
from pyspark.sql import SparkSession

run = reprolock.current()
spark = SparkSession.builder.getOrCreate()
spark.range(3).count()
if "TEST_SIGNS" in os.environ:
    signs = Path(os.environ["TEST_SIGNS"])
    (signs / "ready").touch()
    while not (signs / "go").exists():
        time.sleep(0.05)
found = run.dataset("odd").spark().select("a")
for name in ("globbed", "single", "versions", "days"):
    found = found.union(run.dataset(name).spark().select("a"))
found.selectExpr("sum(int(a)) AS total").coalesce(1).write.parquet(str(run.output("sums").path))
"""
MOVING = """
place = f"s3a://{run.dataset('odd').repository}/main/mixed"
print("moving", spark.read.csv(place, header=True).count())
"""
NOTHING_ELSE = """
import reprolock
from pyspark.sql import SparkSession

run = reprolock.current()
spark = SparkSession.builder.getOrCreate()
spark.read.csv(f"s3a://{run.dataset('odd').repository}/main/mixed").write.parquet(str(run.output("sums").path))
"""
RDD = """
print("rdd", spark.sparkContext.textFile(run.dataset("days").url.replace("days", "mixed") + "*.csv").count())
"""


class Scene(Project):
    """The project, its repository with five datasets, and an MLflow that outlives the project."""

    def __init__(self, root: Path, lake: Lake) -> None:
        self.root = root / "made"
        self.top = root
        self.lake = lake
        self.repository = f"lineage-{secrets.token_hex(4)}"
        lake.create_repository(self.repository, storage="s3://lake/")
        frame = pandas.DataFrame({"a": ["1", "2", "3"]})
        tree = root / "tree"
        for name in (ODD, "mixed", "notes", "days/day=1"):
            (tree / name).mkdir(parents=True)
        frame.to_csv(tree / ODD / "pärt 1.csv", index=False)
        for name in ("one.csv", "two.csv", "three.txt"):
            frame.to_csv(tree / "mixed" / name, index=False)
        frame.to_csv(tree / "notes" / "read mé.csv", index=False)
        frame.to_parquet(tree / "days" / "day=1" / "part.parquet")
        deltalake.write_deltalake(tree / "delta tåble", frame)
        files = [(file.relative_to(tree).as_posix(), file) for file in sorted(tree.rglob("*")) if file.is_file()]
        assert len(list(lake.put_many(self.repository, "main", files))) == len(files)
        self.first = lake.commit(self.repository, "main", "First").id
        self.root.mkdir()
        self.spec(SPEC.format(repository=self.repository, odd=ODD, delta=DELTA))
        self.script(TRAIN)

    def move_on(self) -> None:
        self.lake.remove(self.repository, "main", "mixed")
        self.lake.put(self.repository, "main", "mixed/other.csv", io.BytesIO(b"a\n100\n"))
        self.lake.commit(self.repository, "main", "Second")

    @property
    def expected(self) -> tuple[Read, ...]:
        """Each dataset at the commit that was locked, sorted by address."""
        places = {
            "odd": f"{ODD}/",
            "globbed": "mixed/",
            "single": "notes/read mé.csv",
            "versions": "delta tåble/",
            "days": "days/",
        }
        reads = (
            Read(uri=f"lakefs://{self.repository}/{self.first}/{path}", kind="dataset", dataset=name)
            for name, path in places.items()
        )
        return tuple(sorted(reads, key=lambda read: read.uri))


@pytest.fixture(scope="module")
def server(
    lakefs: services.LakeFS, object_store: services.ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[services.LakeFS]:
    own = services.start_lakefs(tmp_path_factory.mktemp("lakefs-lineage"), object_store)
    yield own
    own.server.stop()


@pytest.fixture
def scene(
    server: services.LakeFS, tmp_path: Path, empty_mlflow: Path, bare: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    for name, value in {**server.lakectl, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}.items():
        monkeypatch.setenv(name, value)
    lake = open_lake(None, tmp_path, server.lakectl, tmp_path)
    yield Scene(tmp_path, lake)
    lake.close()


def test_what_was_read_in_place_and_its_replay(scene: Scene, cli: Cli) -> None:
    for command in (("lock",), ("run", "-q")):
        said = cli(*command, root=scene.root)
        assert said.code == 0, said.err
    assert lines_of(said.err, "warning") == []
    record = scene.record
    assert record.lineage.reads == scene.expected
    assert not (scene.root / ".reprolock" / "data").exists()  # nothing was copied

    scene.move_on()
    shutil.rmtree(scene.root)
    audit = scene.top / "audit"
    audit.mkdir()
    said = cli("replay", record.run_id, "--tracking-uri", f"sqlite:///{scene.top}/mlflow.db", root=audit)
    assert said.code == 0, said.err
    [verdict] = lines_of(said.out, "REPRODUCED")
    assert verdict.startswith("REPRODUCED   1 of 1 compared")


def test_a_restart_while_it_runs_and_a_branch_that_moves(scene: Scene, server: services.LakeFS, cli: Cli) -> None:
    scene.script(TRAIN + MOVING + RDD)
    scene.move_on()
    signs = scene.top / "signs"
    signs.mkdir()
    scene.edit("[run]", f'[run]\nenv = {{ TEST_SIGNS = "{signs}" }}')
    scene.edit("/main/", f"/{scene.first}/")
    assert cli("lock", root=scene.root).code == 0

    def restart() -> None:
        wait_for((signs / "ready").exists, 120)
        server.server.stop(signal.SIGKILL)
        (signs / "go").touch()  # Spark asks while nobody answers, and asks again
        server.server.start()

    restarting = threading.Thread(target=restart)
    restarting.start()
    try:
        said = cli("run", root=scene.root)
    finally:
        restarting.join()
    assert said.code == 0, said.err
    assert lines_of(said.out, "moving", "rdd") == ["moving 1", "rdd 8"]
    moving = f"lakefs://{scene.repository}/main/mixed"
    assert lines_of(said.err, "warning") == [f"warning: Spark read {moving}, a ref that moves and no dataset pins"]
    assert scene.record.lineage.reads == tuple(
        sorted((*scene.expected, Read(uri=moving, kind="moving")), key=lambda read: read.uri)
    )

    scene.edit("[run]", '[run]\nundeclared_reads = "error"')
    scene.script(NOTHING_ELSE)
    said = cli("run", root=scene.root)
    reason = (
        f'exit code 0, but Spark read {moving}, a ref that moves and no dataset pins; run.undeclared_reads is "error"'
    )
    assert said.code == 1
    assert lines_of(said.err, "error") == [f"error: the command failed: {reason}"]
    assert (scene.record.status, scene.record.ending.reason) == ("FAILED", reason)
