"""A run on a real standalone cluster: executors without any of the driver's variables read the commit from a real lakeFS."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import services
from cluster_story import SPEC, TRAIN, holds, make_repository, watched_processes
from command_line import Cli
from project import Project
from spark_session import DELTA

from reprolock.model.executors import executor_differences

pytestmark = [pytest.mark.live, pytest.mark.spark, pytest.mark.long]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.SparkCluster]:
    """A master and two workers."""
    started = services.start_spark_cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def repository(lakefs: services.LakeFS, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A repository with one small table in three formats on main."""
    return make_repository(lakefs, tmp_path_factory.mktemp("tree"))


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
    more = ', "spark.driver.host" = "127.0.0.1", "spark.executor.memory" = "512m"'
    engine = f'master = "{cluster.address}"'
    text = SPEC.format(repository=repository, engine=engine, delta=DELTA, more=more)
    (project.root / "repro.toml").write_text(text)
    project.script(TRAIN)
    return project


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
    assert [(item.problem, item.commit is None) for item in record.published] == [(None, False)] * 2
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
    assert f"REPRODUCED   3 of 3 compared   on local[2], recorded on {cluster.address}\n" in said.out


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
