"""A run on a real Spark Connect server: it reads the commit from a real lakeFS, and gives what one machine gives."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest
import services
from cluster_story import SPEC, TRAIN, holds, make_repository, watched_processes
from command_line import Cli
from project import Project
from spark_session import DELTA, SparkParts

from reprolock.model.executors import executor_differences

pytestmark = [pytest.mark.live, pytest.mark.spark, pytest.mark.long]

DELTA_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, spark_parts: SparkParts) -> Iterator[services.Server]:
    """A Connect server that has the jars of S3A and Delta, and nobody's credentials."""
    started = services.start_spark_connect(tmp_path_factory.mktemp("connect"), spark_parts.files, **DELTA_SETTINGS)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def repository(lakefs: services.LakeFS, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A repository with one small table in three formats on main."""
    return make_repository(lakefs, tmp_path_factory.mktemp("tree"))


@pytest.fixture
def on_server(
    project: Project,
    repository: str,
    server: services.Server,
    lakefs: services.LakeFS,
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    """The project with its script."""
    monkeypatch.delenv("REPROLOCK_CACHE_DIR")
    for name, value in lakefs.lakectl.items():
        monkeypatch.setenv(name, value)
    engine = f'remote = "{address(server)}"\nshared = ["{project.root}"]'  # the server is on this machine
    (project.root / "repro.toml").write_text(SPEC.format(repository=repository, engine=engine, delta=DELTA, more=""))
    project.script(TRAIN)
    return project


def address(server: services.Server) -> str:
    return f"sc://127.0.0.1:{server.environ['PORT']}"


def pages(server: services.Server) -> str:
    """What the server's page says of its settings and its queries."""

    def read(path: str) -> str:
        with urllib.request.urlopen(f"{server.endpoint}{path}") as answer:
            return str(answer.read().decode())

    [application] = json.loads(read("/api/v1/applications"))
    root = f"/api/v1/applications/{application['id']}"
    return read(f"{root}/environment") + read(f"{root}/sql") + read("/SQL/execution/?id=1") + read("/connect/")


def test_a_run_on_a_connect_server(
    on_server: Project, server: services.Server, lakefs: services.LakeFS, cli: Cli
) -> None:
    assert cli("lock").code == 0
    with watched_processes(lakefs.secret_access_key) as exposed:
        said = cli("run")
    assert said.code == 0, said.err
    record = on_server.record
    assert json.loads((on_server.root / "seen.json").read_text()) == {"version": ["2.0.0 wide UTC"], "rows": 9}
    assert record.spark is not None and record.spark.server is not None
    assert (record.spark.master, record.spark.server.version) == (address(server), "4.2.0")
    assert record.spark.server.master == "local[2]"
    assert "org.apache.hadoop_hadoop-aws-3.5.0.jar" in record.spark.server.jars
    [executor] = record.spark.executors
    assert (executor.python, executor.packages["iniconfig"]) == (record.environment.python, "2.0.0")
    assert list(executor_differences(record)) == []
    assert record.lineage is not None
    assert record.lineage.coverage.startswith(
        "reads and writes of Spark were not observed: a Connect server made them; "
    )
    assert [(item.problem, item.commit is None) for item in record.published] == [(None, False)] * 2
    assert exposed == set()
    for secret in (lakefs.secret_access_key, lakefs.access_key_id):
        assert holds(on_server.root, secret) == []
        assert holds(server.folder, secret) == []  # its log and its event log
        assert secret not in pages(server)

    jars = f"Spark 4.2.0 and {len(record.spark.server.jars)} jars of a Connect server, not locked"
    said = cli("replay", record.run_id)
    assert said.code == 0, said.out + said.err
    assert f"REPRODUCED   3 of 3 compared   {jars}; the same names as recorded\n" in said.out
    said = cli("replay", record.run_id, "--master", "local[2]")
    assert said.code == 0, said.out + said.err
    assert "REPRODUCED   3 of 3 compared   " in said.out
    assert f"on local[2], recorded on {address(server)}" in said.out
    assert f"recorded on {jars}" in said.out


def test_a_server_that_is_not_as_it_is_declared(on_server: Project, server: services.Server, cli: Cli) -> None:
    assert cli("lock").code == 0
    on_server.edit("[spark]", '[spark]\nserver = "4.1.1"')
    said = cli("run")
    assert (said.code, said.out, said.err.splitlines()[-2:]) == (
        4,
        "",
        [
            f"error: the Spark Connect server {address(server)} runs Spark 4.2.0, and spark.server says 4.1.1",
            'hint: use a server of that version; lock pyspark 4.2.0, or declare it: server = "4.2.0" in [spark]',
        ],
    )
    on_server.edit('server = "4.1.1"', "")
    on_server.edit("conf = {", 'conf = { "spark.sql.warehouse.dir" = "/elsewhere",')
    said = cli("run")
    error, problem, hint = said.err.splitlines()[-3:]
    assert (said.code, error, hint) == (
        4,
        f"error: sessions of the Spark Connect server {address(server)} do not take the settings of this run",
        "hint: start the server with them; or declare in [spark] conf what the server has",
    )
    assert problem.startswith('  spark.sql.warehouse.dir is "') and problem.endswith(
        '" there, and "/elsewhere" is needed'
    )


def test_doctor_asks_the_server(on_server: Project, server: services.Server, cli: Cli) -> None:
    assert ["ok", "spark", "connect", address(server)] in [line.split() for line in cli("doctor").out.splitlines()]
    on_server.edit(address(server), "sc://127.0.0.1:1")
    assert "no answer from the Spark Connect server at sc://127.0.0.1:1: Connection refused" in cli("doctor").out
