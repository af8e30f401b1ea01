"""A run on a real Spark Connect server: it reads the commit from a real lakeFS, and gives what one machine gives."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import services
from cluster_story import holds, watched_processes
from command_line import Cli
from project import Project

from reprolock.model.executors import executor_differences

pytestmark = [pytest.mark.live, pytest.mark.spark, pytest.mark.long]


@pytest.fixture
def on_server(on_engine: Callable[..., Project], tmp_path: Path, connect_server: services.Server) -> Project:
    """The project with its script; the server is on this machine, and sees its folder."""
    return on_engine(f'remote = "{address(connect_server)}"\nshared = ["{tmp_path}"]')


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
    on_server: Project, connect_server: services.Server, lakefs: services.LakeFS, cli: Cli
) -> None:
    assert cli("lock").code == 0
    with watched_processes(lakefs.secret_access_key) as exposed:
        said = cli("run")
    assert said.code == 0, said.err
    record = on_server.record
    assert json.loads((on_server.root / "seen.json").read_text()) == {"version": ["2.0.0 wide UTC"], "rows": 9}
    assert record.spark is not None and record.spark.server is not None
    assert (record.spark.master, record.spark.server.version) == (address(connect_server), "4.2.0")
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
        assert holds(connect_server.folder, secret) == []  # its log and its event log
        assert secret not in pages(connect_server)

    jars = f"Spark 4.2.0 and {len(record.spark.server.jars)} jars of a Connect server, not locked"
    said = cli("replay", record.run_id)
    assert said.code == 0, said.out + said.err
    assert f"REPRODUCED   3 of 3 compared   {jars}; the same names as recorded\n" in said.out
    said = cli("replay", record.run_id, "--master", "local[2]")
    assert said.code == 0, said.out + said.err
    assert "REPRODUCED   3 of 3 compared   " in said.out
    assert f"on local[2], recorded on {address(connect_server)}" in said.out
    assert f"recorded on {jars}" in said.out


def test_a_run_of_this_machine_replayed_on_the_server(
    on_engine: Callable[..., Project], tmp_path: Path, connect_server: services.Server, cli: Cli
) -> None:
    project = on_engine(f'master = "local[2]"\nshared = ["{tmp_path}"]')
    assert cli("lock").code == 0
    said = cli("run")
    assert said.code == 0, said.err
    said = cli("replay", project.record.run_id, "--master", address(connect_server))
    assert said.code == 0, said.out + said.err
    verdict = rf"REPRODUCED   3 of 3 compared   on {address(connect_server)}, recorded on local\[2\]   "
    assert re.search(verdict + r"Spark 4\.2\.0 and \d+ jars of a Connect server, not locked$", said.out, re.M), said.out


def test_a_server_that_is_not_as_it_is_declared(on_server: Project, connect_server: services.Server, cli: Cli) -> None:
    assert cli("lock").code == 0
    on_server.edit("[spark]", '[spark]\nserver = "4.1.1"')
    said = cli("run")
    assert (said.code, said.out, said.err.splitlines()[-2:]) == (
        4,
        "",
        [
            f"error: the Spark Connect server {address(connect_server)} runs Spark 4.2.0, and spark.server says 4.1.1",
            'hint: use a server of that version; lock pyspark 4.2.0, or declare it: server = "4.2.0" in [spark]',
        ],
    )
    on_server.edit('server = "4.1.1"', "")
    on_server.edit("conf = {", 'conf = { "spark.sql.warehouse.dir" = "/elsewhere",')
    said = cli("run")
    error, problem, hint = said.err.splitlines()[-3:]
    assert (said.code, error, hint) == (
        4,
        f"error: sessions of the Spark Connect server {address(connect_server)} do not take the settings of this run",
        "hint: start the server with them; or declare in [spark] conf what the server has",
    )
    assert problem.startswith('  spark.sql.warehouse.dir is "') and problem.endswith(
        '" there, and "/elsewhere" is needed'
    )


def test_doctor_asks_the_server(on_server: Project, connect_server: services.Server, cli: Cli) -> None:
    assert ["ok", "spark", "connect", address(connect_server)] in [
        line.split() for line in cli("doctor").out.splitlines()
    ]
    on_server.edit(address(connect_server), "sc://127.0.0.1:1")
    assert "no answer from the Spark Connect server at sc://127.0.0.1:1: Connection refused" in cli("doctor").out
