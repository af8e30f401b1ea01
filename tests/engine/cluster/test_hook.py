"""The hook in the command's Python: which Connect server is given the lake's credentials, and which jobs are given up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from spark_session import run_script

from reprolock.engine.cluster.connect import SETTINGS
from reprolock.engine.cluster.settings import seconds_without_executor, write_hook

SECRET = "s3cr3t-of-the-lake"
OPEN = """\
import json
import os
from pyspark.sql.connect.session import SparkSession

for address in os.environ["OPENED"].split():
    SparkSession(address)
print(json.dumps(None))
"""
WAIT = """\
import json
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
try:
    spark.sparkContext._jvm.java.lang.Thread.sleep(4000)  # no job, and so nothing to give up
    spark.range(1, 2, 1, 1).selectExpr("java_method('java.util.concurrent.locks.LockSupport', 'parkNanos', 300000000000L)").collect()
    answer = "done"
except Exception as error:
    answer = str(error)
spark.stop()
print(json.dumps(answer))
"""


@contextmanager
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers no request and keeps each: its port, and what it was sent."""
    received: list[bytes] = []

    class Keep(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
                received.append(request)
                context.abort(grpc.StatusCode.UNIMPLEMENTED, "keeps what it is sent")
                raise AssertionError

            return grpc.unary_unary_rpc_method_handler(refuse)

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Keep()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port, received
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("form", ["sc://127.0.0.1:{}", "sc://127.0.0.1:{}/;user_id=ann"])
def test_only_the_named_server_is_given_credentials(tmp_path: Path, form: str) -> None:
    """Not another one on the same host."""
    with listening() as (named, given), listening() as (other, kept):
        environ = {
            "PYTHONPATH": str(write_hook(tmp_path / "hook")),
            "SPARK_REMOTE": form.format(named),
            SETTINGS: json.dumps({"fs.s3a.bucket.flights.secret.key": SECRET}),
            "OPENED": f"sc://127.0.0.1:{other} sc://127.0.0.1:{named}",
        }
        run_script(OPEN, environ, tmp_path)
    assert [SECRET.encode() in request for request in given] == [True]
    assert not any(SECRET.encode() in request for request in kept)


@pytest.mark.spark
def test_jobs_without_an_executor_are_given_up(tmp_path: Path) -> None:
    """A local master has none but the driver: its job stands for one that waits on a cluster."""
    hook = write_hook(tmp_path / "hook")
    assert seconds_without_executor(hook) is None
    answer = run_script(WAIT, {"PYTHONPATH": str(hook), "REPROLOCK_EXECUTOR_PATIENCE": "3"}, tmp_path)
    assert "cancelled" in answer
    assert seconds_without_executor(hook) == 3
