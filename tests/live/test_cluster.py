"""A run on a real standalone cluster: executors without any of the driver's variables read the commit from a real lakeFS."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import services
from cluster_story import TRAIN, holds, watched_processes
from command_line import Cli
from project import Project, wait_for

from reprolock.model.executors import executor_differences

pytestmark = [pytest.mark.live, pytest.mark.spark, pytest.mark.long]

LONG_SPEC = """\
[project]
name = "flights"

[environment]
python = "3.11"
packages = ["pyspark==4.2.0"]

[spark]
master = "{master}"
conf = {{ "spark.driver.host" = "127.0.0.1", "spark.executor.memory" = "512m" }}

[run]
command = ["python", "train.py"]
code = ["train.py"]
env = {{ BEGUN = "{begun}" }}

[outputs.sum]
path = "sum.json"
compare = "json"
"""
LONG = """\
import json
import os
import time

import reprolock
from pyspark.sql import SparkSession


def slowly(part, rows):
    with open(f"{os.environ['BEGUN']}/{part}", "a") as file:
        print(os.getcwd(), file=file)
    time.sleep(1.5)
    yield sum(rows)


context = SparkSession.builder.getOrCreate().sparkContext
sums = context.parallelize(range(80), 8).mapPartitionsWithIndex(slowly).collect()
reprolock.current().output("sum").path.write_text(json.dumps(sum(sums)))
"""


@pytest.fixture
def on_cluster(on_engine: Callable[..., Project], spark_cluster: services.SparkCluster) -> Project:
    """The project with its script."""
    more = ', "spark.driver.host" = "127.0.0.1", "spark.executor.memory" = "512m"'
    return on_engine(f'master = "{spark_cluster.address}"', more)


def test_a_run_on_a_cluster(
    on_cluster: Project, spark_cluster: services.SparkCluster, lakefs: services.LakeFS, cli: Cli
) -> None:
    assert cli("lock").code == 0
    with watched_processes(lakefs.secret_access_key) as exposed:
        said = cli("run")
    assert said.code == 0, said.err
    record = on_cluster.record
    assert json.loads((on_cluster.root / "seen.json").read_text()) == {"version": ["2.0.0 wide UTC"], "rows": 9}
    assert record.spark is not None and record.spark.master == spark_cluster.address
    [executor] = record.spark.executors
    assert (executor.python, executor.packages["iniconfig"]) == (record.environment.python, "2.0.0")
    assert list(executor_differences(record)) == []
    assert record.lineage is not None and (record.lineage.unlocked, record.lineage.undeclared) == ((), ())
    assert [(item.problem, item.commit is None) for item in record.published] == [(None, False)] * 2
    assert exposed == set()
    assert holds(on_cluster.root, lakefs.secret_access_key) == []
    assert (
        holds(spark_cluster.master.folder.parent, lakefs.secret_access_key) == []
    )  # the cluster's logs and work folders
    said = cli("replay", record.run_id)
    assert (said.code, said.err.splitlines()[-1]) == (
        7,
        "hint: replay in a folder that spark.shared names, or on this machine alone: `reprolock replay --master 'local[*]'`",
    )
    said = cli("replay", record.run_id, "--master", "local[2]")
    assert said.code == 0, said.out + said.err
    assert f"REPRODUCED   3 of 3 compared   on local[2], recorded on {spark_cluster.address}\n" in said.out


def test_a_cluster_without_room(
    on_cluster: Project, spark_cluster: services.SparkCluster, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reprolock.engine.cluster.settings.PATIENCE_SECONDS", 20)
    on_cluster.edit('"spark.executor.memory" = "512m"', '"spark.executor.memory" = "900g"')  # no worker has as much
    assert cli("lock").code == 0
    said = cli("run")
    assert (said.code, said.out) == (5, "")
    assert said.err.splitlines()[-2:] == [
        f"error: {spark_cluster.address} gave no executor within 20 s",
        "hint: are its workers running, and do they have cores and memory to spare? the master's page shows them; "
        "spark.scheduler.maxRegisteredResourcesWaitingTime in [spark] conf gives them longer",
    ]


def test_a_master_that_is_gone_before_the_tables_are_digested(
    on_cluster: Project, spark_cluster: services.SparkCluster, cli: Cli
) -> None:
    """What is left to do with a run's outputs needs no executor."""
    assert spark_cluster.master.process is not None
    on_cluster.script(f"{TRAIN}os.killpg({spark_cluster.master.process.pid}, 9)\n")
    assert cli("lock").code == 0
    try:
        said = cli("run")
    finally:
        spark_cluster.master.stop(signal.SIGKILL)
        spark_cluster.master.start()
    assert said.code == 0, said.err
    record = on_cluster.record
    assert record.status == "FINISHED"
    assert {item.name: item.table.rows if item.table else None for item in record.outputs} == {
        "sums": 9,
        "lines": 9,
        "seen": None,
    }
    assert [(item.problem, item.commit is None) for item in record.published] == [(None, False)] * 2


@contextmanager
def stopped_in_the_middle(server: services.Server, begun: Path, where: str) -> Iterator[None]:
    """Kill a server of the cluster once a task has begun below a folder; start it again at the end."""
    for old in begun.iterdir():
        old.unlink()

    over = threading.Event()

    def kill() -> None:
        wait_for(lambda: over.is_set() or any(where in file.read_text() for file in begun.iterdir()), 600)
        server.stop(signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        server.start()


def test_what_is_lost_in_the_middle_of_a_run(
    project: Project, spark_cluster: services.SparkCluster, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark does the work of a lost worker again, and needs no master for what is under way; without any worker the run fails."""
    monkeypatch.delenv("REPROLOCK_CACHE_DIR")
    monkeypatch.setattr("reprolock.engine.cluster.settings.PATIENCE_SECONDS", 120)
    (begun := project.root / ".begun").mkdir()
    (project.root / "repro.toml").write_text(LONG_SPEC.format(master=spark_cluster.address, begun=begun))
    project.script(LONG)
    assert cli("lock").code == 0
    first, second = spark_cluster.workers

    with stopped_in_the_middle(first, begun, "/work0/"):
        said = cli("run")
        assert said.code == 0, said.err
        assert (project.root / "sum.json").read_text() == "3160"
        attempts = {file.name: file.read_text().splitlines() for file in begun.iterdir()}
        again = [lines for lines in attempts.values() if len(lines) > 1]
        assert again and all("/work0/" in lines[0] and "/work1/" in lines[-1] for lines in again)

        with stopped_in_the_middle(second, begun, "/work1/"):
            said = cli("run")
        record = project.record
        assert (said.code, record.status) == (1, "FAILED")
        assert said.err.splitlines()[-2:] == [
            f"error: the command failed: exit code 1, after {spark_cluster.address} gave no executor for 120 s",
            f"hint: `reprolock show {record.run_id[:8]}` shows the record; its folder is .reprolock/runs/{record.run_id}",
        ]
        assert not (project.root / "sum.json").exists()  # that of the run before is moved aside

    with stopped_in_the_middle(spark_cluster.master, begun, "/work"):
        said = cli("run")
    assert (said.code, project.record.status) == (0, "FINISHED"), said.err
