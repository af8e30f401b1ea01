"""What tests with a real Spark share: Java, the jars of S3A and Delta, and a script run by a bare interpreter.

The jars are kept in the cache of whoever runs the tests, so that they are fetched once and not by every run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reprolock.environment.caches import cache_folder
from reprolock.environment.jvm.jar_store import JarStore
from reprolock.environment.jvm.java import Java, find_java
from reprolock.environment.jvm.lock_jars import resolve
from reprolock.environment.jvm.maven import repositories
from reprolock.environment.jvm.spark_home import SparkHome, spark_home
from reprolock.model.lock import JarsPin

DELTA = "io.delta:delta-spark_4.2_2.13:4.4.0"
ROOT = Path(__file__).parents[1]


class SparkParts(NamedTuple):
    """All that a plan needs: the pyspark, its Java, the pinned closure and its files."""

    home: SparkHome
    java: Java
    store: JarStore
    pin: JarsPin
    files: tuple[Path, ...]


@pytest.fixture(scope="session")
def spark_parts() -> SparkParts:
    """Delta and S3A, resolved for the pyspark that is installed."""
    home, java = spark_home(), find_java(os.environ)
    store = JarStore(cache_folder(os.environ) / "jars", repositories(os.environ, Path.home(), {}))
    pin = resolve((DELTA,), spark=home, s3a=True, java=java, store=store)
    return SparkParts(home, java, store, pin, store.files(pin))


def run_script(code: str, environ: Mapping[str, str], folder: Path, timeout: float = 400) -> Any:
    """Run a script as `python script.py` with these variables and little else; what it printed last, as JSON."""
    script = folder / "script.py"
    script.write_text(code)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {"PATH": path, "HOME": os.environ["HOME"], "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=given | dict(environ),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
