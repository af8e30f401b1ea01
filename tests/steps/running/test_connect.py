"""What a run on a Spark Connect server is refused for, and what is said of the server beside a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from reprolock.engine.cluster.probe import Probed
from reprolock.errors import ReprolockError
from reprolock.model.record import EnvironmentRecord, ServerRecord
from reprolock.model.spec import Spec
from reprolock.model.workspace import SparkPlan
from reprolock.steps.running.connect import check_client, check_server

REMOTE = "sc://spark.example.com"


def spec(**spark: object) -> Spec:
    return Spec.model_validate(
        {"project": {"name": "x"}, "spark": {"remote": REMOTE, **spark}, "run": {"command": ["python", "train.py"]}}
    )


def plan(**conf: str) -> SparkPlan:
    return SparkPlan("4.2.0", REMOTE, conf, (), None, Path(), {}, (), False)


def probed(version: str = "4.2.0", **refused: str | None) -> Probed:
    return Probed((), ServerRecord(version=version), refused)


def environment(isolated: bool, **packages: str) -> EnvironmentRecord:
    return EnvironmentRecord(
        python="3.11.7", implementation="CPython", platform="Linux-x86_64", isolated=isolated, packages=packages
    )


def refusal(check: object, *arguments: object) -> tuple[int, str, str | None]:
    with pytest.raises(ReprolockError) as caught:
        check(*arguments)  # type: ignore[operator]
    return caught.value.exit_code, str(caught.value), caught.value.hints


def test_a_server_of_another_spark() -> None:
    assert refusal(check_server, spec(), plan(), probed("4.1.1")) == (
        4,
        "the Spark Connect server sc://spark.example.com runs Spark 4.1.1, and pyspark is locked at 4.2.0",
        'use a server of that version; lock pyspark 4.1.1, or declare it: server = "4.1.1" in [spark]',
    )
    check_server(spec(server="4.1.1"), plan(), probed("4.1.1"))
    assert refusal(check_server, spec(server="4.1.1"), plan(), probed())[1] == (
        "the Spark Connect server sc://spark.example.com runs Spark 4.2.0, and spark.server says 4.1.1"
    )


def test_a_server_that_does_not_take_settings() -> None:
    wanted = {"spark.sql.extensions": "a.B", "spark.sql.warehouse.dir": "/w"}
    refused: dict[str, str | None] = {"spark.sql.extensions": None, "spark.sql.warehouse.dir": "/x", "fs.s3.impl": None}
    assert refusal(check_server, spec(), plan(**wanted), probed(**refused)) == (
        4,
        "sessions of the Spark Connect server sc://spark.example.com do not take the settings of this run\n"
        "fs.s3.impl is not taken\n"
        'spark.sql.extensions is not set there, and "a.B" is needed\n'
        'spark.sql.warehouse.dir is "/x" there, and "/w" is needed',
        "start the server with them; or declare in [spark] conf what the server has",
    )


def test_a_python_without_the_client() -> None:
    said = "spark.remote is sc://spark.example.com, and the command's Python lacks grpcio, which Spark Connect needs"
    assert refusal(check_client, spec(), environment(True)) == (
        2,
        said,
        'write "pyspark[connect]==…" in environment.packages, and run `reprolock lock`',
    )
    assert refusal(check_client, spec(), environment(False)) == (
        2,
        said,
        'run `pip install "reprolock[connect]"`, or with uv `uv pip install "reprolock[connect]"`',
    )
    check_client(spec(), environment(True, grpcio="1.85.3"))


@pytest.mark.parametrize("address", ["sc://", "sc://h:x", "sc://h/path", "http://h", "sc://ann:pw@h"])
def test_what_is_no_address_of_a_server(address: str) -> None:
    with pytest.raises(ValueError, match="Spark Connect server|user name"):
        spec(remote=address)


def test_another_engine_keeps_all_but_the_address() -> None:
    spark = spec(server="4.1.1", conf={"spark.a": "b"}).spark
    assert spark is not None
    local = spark.on("local[2]")
    assert (local.address, local.remote, local.server, local.conf) == ("local[2]", None, None, {"spark.a": "b"})
    assert local.on(REMOTE).address == REMOTE
