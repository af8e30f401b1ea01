"""Lock the jars of a project: what `[spark]`, the lake and the formats need, resolved to files."""

from __future__ import annotations

from pathlib import Path

from reprolock.environment.caches import cache_folder
from reprolock.environment.jvm.jar_store import JarStore
from reprolock.environment.jvm.java import check_java, find_java
from reprolock.environment.jvm.lock_jars import implied_packages, resolve
from reprolock.environment.jvm.maven import repositories
from reprolock.environment.jvm.spark_home import SparkHome, spark_home
from reprolock.environment.python.installed.env_store import ensure
from reprolock.errors import UsageError
from reprolock.model.lock import EnvironmentPin, JarsPin
from reprolock.model.spec import Spec
from reprolock.steps.locking.python import project_indexes
from reprolock.steps.project.machine import Machine


def lock_jars(
    spec: Spec, root: Path, environment: EnvironmentPin | None, machine: Machine, *, offline: bool
) -> JarsPin:
    """Resolve what `[spark]`, the lake and the formats need, as `environment.jars.resolve`. Starts a JVM."""
    assert spec.spark is not None
    home = _spark_home(spec, root, environment, machine, offline=offline)
    java = find_java(machine.environ)
    check_java(java, spec.environment)
    return resolve(
        spec.spark.packages,
        spark=home,
        s3a=spec.uses_gateway,
        java=java,
        store=jar_store(spec, machine),
        implied=implied_packages((dataset.format for dataset in spec.datasets.values()), home),
        offline=offline,
    )


def _spark_home(
    spec: Spec, root: Path, environment: EnvironmentPin | None, machine: Machine, *, offline: bool
) -> SparkHome:
    """The pinned pyspark: reprolock's own where it is the same, else that of the locked environment, built for it."""
    if environment is None:
        return spark_home()
    pinned = environment.version_of("pyspark")
    if pinned is None:
        raise UsageError(
            "[spark] needs pyspark, and environment.packages does not ask for it",
            hint='add "pyspark==4.2.*" to environment.packages',
        )
    own = spark_home()
    if own.version == pinned:
        return own
    store, indexes = cache_folder(machine.environ), project_indexes(spec, root, machine)
    built = ensure(environment, store, offline=offline, environ=machine.environ, indexes=indexes)
    return spark_home(built.packages / "pyspark")


def jar_store(spec: Spec, machine: Machine) -> JarStore:
    """This user's store of jars, and the repositories that fill it."""
    conf = spec.spark.conf if spec.spark else {}
    return JarStore(cache_folder(machine.environ) / "jars", repositories(machine.environ, machine.home, conf))
