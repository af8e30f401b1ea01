"""Asks a cluster's executors what they run. A script, for the command's Python: only pyspark is needed.

    python probe_task.py ANSWER LOG

ANSWER: `[{"python": "3.11.7", "java": "17.0.15", "packages": {NAME: VERSION}}]`, one for each combination that was met, or
`{"error": …}`. All that Spark says goes to LOG.
"""

from __future__ import annotations

import json
import os
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
_SETTLE_SECONDS = 2.0
_TASK_SECONDS = 0.2


def main(answer_file: str, log_file: str) -> None:
    """Write the answer, whatever it is."""
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        answer: Any = ask()
    except Exception as error:  # no master, no executor, another Python: whatever it is, it is the answer
        answer = {"error": str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__}
    with open(answer_file, "w", encoding="utf-8") as stream:
        json.dump(answer, stream)


def ask() -> list[dict[str, Any]]:
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
    found = [json.loads(text) for text in sorted(set(pythons))]
    return [item | {"java": java} for item in found for java in sorted(row.java for row in javas)]


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
