"""A run's environment for tests of tables: Delta's jars, and settings of the user's that must not decide a digest."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from spark_session import DELTA, SparkParts

from reprolock.engine.spark import plan_spark
from reprolock.model.spec_spark import SparkSpec

QUICK = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}
"""A JVM that compiles little, for it will not live long."""


@pytest.fixture(scope="module")
def spark_environ(spark_parts: SparkParts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A run's environment: Delta's jars, and settings that must not decide a digest."""
    conf = {"spark.sql.session.timeZone": "Asia/Tokyo", "spark.extraListeners": "no.such.Listener", **QUICK}
    _, environ = plan_spark(
        SparkSpec(packages=(DELTA,), conf=conf),
        version=spark_parts.home.version,
        jars=spark_parts.files,
        cores=2,
        folder=tmp_path_factory.mktemp("conf"),
    )
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"PATH": path, "HOME": os.environ["HOME"], "LANG": "C.UTF-8", **environ}
