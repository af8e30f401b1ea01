"""Ask a cluster's executors, or a Connect server, what they run. A script for the command's Python, which needs only pyspark.

    python probe_task.py VERSION ANSWER LOG

ANSWER: `{"executors": [{"python": "3.11.7", "java": "17.0.15", "packages": {NAME: VERSION}}], "server": null}`, an executor for
each combination that was met, or `{"error": …}`. Of a Connect server, `server` is `{"version", "master", "jars", "settings"}`:
`settings` are those among the run's that its sessions do not have, name → value there or null.
All that Spark says goes to LOG. A server of another version than VERSION is not asked for more: `executors` is empty.
"""

from __future__ import annotations

import json
import os
import posixpath
import sys
import time
from typing import Any

SETTINGS = {
    "spark.extraListeners": "",
    "spark.sql.queryExecutionListeners": "",
    "spark.plugins": "",
    "spark.eventLog.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.extensions": "",
    "spark.api.mode": "classic",
}
"""No part of the run: what this session reads is not observed."""
_SETTINGS = "REPROLOCK_CONNECT_SETTINGS"
"""Set where the run uses a Connect server."""
_TASKS = 8
_SETTLE_SECONDS = 2.0
_TASK_SECONDS = 0.2


def main(tasks_file: str, answer_file: str, log_file: str) -> None:
    """Write the answer, whatever it is."""
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        with open(tasks_file, encoding="utf-8") as stream:
            answer: Any = ask_server(json.load(stream)) if _SETTINGS in os.environ else ask()
    except Exception as error:  # no master, no executor, another Python: whatever it is, it is the answer
        lines = str(error).strip().splitlines() or [type(error).__name__]
        answer = {"error": lines[0] if _SETTINGS in os.environ else lines[-1]}  # a server adds its own stack
    with open(answer_file, "w", encoding="utf-8") as stream:
        json.dump(answer, stream)


def ask() -> dict[str, Any]:
    """Start a session, wait until the number of executors stays, and give each of them tasks."""
    from pyspark.sql import SparkSession  # here, so that its absence is an answer

    builder = SparkSession.builder.appName("reprolock: what executors run")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        context = spark.sparkContext
        tasks = max(2, context.defaultParallelism)
        context.parallelize(range(tasks), tasks).count()  # returns once an executor is there
        time.sleep(_SETTLE_SECONDS)
        tasks = 4 * max(2, context.defaultParallelism)
        pythons = context.parallelize(range(tasks), tasks).mapPartitions(_python).collect()
        version = "java_method('java.lang.System', 'getProperty', 'java.version')"
        javas = spark.range(0, tasks, 1, tasks).selectExpr(f"{version} as java").distinct().collect()
    finally:
        spark.stop()
    return {"executors": _combinations(set(pythons), {row.java for row in javas}), "server": None}


def ask_server(version: str) -> dict[str, Any]:
    """What a Connect server says of itself, and what its executors run."""
    from pyspark.sql import SparkSession  # as above
    from pyspark.sql.functions import col, udf

    spark = SparkSession.builder.getOrCreate()
    try:
        server: dict[str, Any] = {"version": spark.version, "master": _setting(spark, "spark.master")}
        wanted = json.loads(os.environ[_SETTINGS])
        there = {name: _setting(spark, name) for name in wanted}
        server["settings"] = {  # of Hadoop's the names alone: the values may be secrets of the server's
            name: there[name] if name.startswith("spark.") else None for name in wanted if there[name] != wanted[name]
        }
        tasks = spark.range(0, _TASKS, 1, _TASKS)
        classes = "java_method('java.lang.System', 'getProperty', 'java.class.path')"
        javas = "java_method('java.lang.System', 'getProperty', 'java.version')"
        found = tasks.selectExpr(f"{javas} AS java", f"{classes} AS classes").distinct().collect()
        paths = [path for row in found for path in row.classes.split(":")]
        paths += (_setting(spark, "spark.jars") or "").split(",")
        server["jars"] = sorted({posixpath.basename(path) for path in paths if path.endswith(".jar")})
        if server["version"] != version:
            return {"executors": [], "server": server}
        # A function of this script, which is shipped as it is: executors have no such module.
        rows = tasks.select(udf(lambda _: _python(_)[0], "string")(col("id")).alias("found")).distinct().collect()
        return {"executors": _combinations({row.found for row in rows}, {row.java for row in found}), "server": server}
    finally:
        spark.stop()


def _setting(spark: Any, name: str) -> str | None:
    try:
        value: str = spark.conf.get(name)
    except Exception:  # not set there, and without a default
        return None
    return value


def _combinations(pythons: set[str], javas: set[str]) -> list[dict[str, Any]]:
    return [json.loads(text) | {"java": java} for text in sorted(pythons) for java in sorted(javas)]


def _python(_: object) -> list[str]:
    """What one task finds, as text that can be compared."""
    from importlib.metadata import distributions  # where the task runs

    time.sleep(_TASK_SECONDS)  # so that no executor takes all of them
    version = ".".join(map(str, sys.version_info[:3]))
    packages: dict[str, str] = {}
    for item in distributions():  # in the order in which Python looks for modules: the first is what it imports
        packages.setdefault(item.metadata["Name"], item.version)
    return [json.dumps({"python": version, "packages": packages}, sort_keys=True)]


if __name__ == "__main__":
    main(*sys.argv[1:])
