"""The JVM's files for a project: resolved when the lock is made, taken from the store when a run is built."""

from __future__ import annotations

from pathlib import Path

from reprolock.environment.caches import cache_folder
from reprolock.environment.jar_store import JarStore
from reprolock.environment.jars import implied_packages, resolve
from reprolock.environment.java import check_java, find_java
from reprolock.environment.maven import repositories
from reprolock.environment.python_env import ensure
from reprolock.environment.spark_home import SparkHome, spark_home
from reprolock.errors import PinError, UsageError
from reprolock.model.lock import EnvironmentPin, JarsPin
from reprolock.model.spec import Spec
from reprolock.steps.check import uses_gateway
from reprolock.steps.machine import Machine
from reprolock.steps.progress import Progress


def lock_jars(spec: Spec, environment: EnvironmentPin | None, machine: Machine, *, offline: bool) -> JarsPin:
    """Resolve what `[spark]`, the lake and the formats need, as `environment.jars.resolve`. Starts a JVM."""
    assert spec.spark is not None
    home = _spark_home(environment, machine, offline=offline)
    java = find_java(machine.environ)
    check_java(java, spec.environment.java)
    return resolve(
        spec.spark.packages,
        spark=home,
        s3a=uses_gateway(spec),
        java=java,
        store=jar_store(spec, machine),
        implied=implied_packages((dataset.format for dataset in spec.datasets.values()), home),
        offline=offline,
    )


def ready_jars(
    spec: Spec, pin: JarsPin | None, machine: Machine, pyspark: Path | None, progress: Progress, *, offline: bool
) -> tuple[Path, ...]:
    """The pinned files, every byte checked. PinError where one does not match, or Spark is not the one they are for.

    `pyspark` is the folder of the command's own; None: the one beside reprolock.
    """
    if pin is None:
        return ()
    found = spark_home(pyspark).version
    if found != pin.spark:
        raise PinError(
            f"repro.lock pins jars for Spark {pin.spark}, and pyspark {found} is installed here",
            hint=f"install it beside reprolock (`uv pip install pyspark=={pin.spark}`)",
            owner_hint="`reprolock lock --upgrade` pins what is here",
        )
    return jar_store(spec, machine).files(pin, offline=offline, progress=progress)


def _spark_home(environment: EnvironmentPin | None, machine: Machine, *, offline: bool) -> SparkHome:
    """The pinned pyspark: reprolock's own where it is the same, else that of the locked environment, built for it."""
    if environment is None:
        return spark_home()
    pinned = environment.version_of("pyspark")
    if pinned is None:
        raise UsageError(
            "[spark] needs pyspark, and environment.packages does not ask for it", hint='add "pyspark==4.2.*" to environment.packages'
        )
    own = spark_home()
    if own.version == pinned:
        return own
    built = ensure(environment, cache_folder(machine.environ), offline=offline, environ=machine.environ)
    return spark_home(built.packages / "pyspark")


def jar_store(spec: Spec, machine: Machine) -> JarStore:
    """This user's store of jars, and the repositories that fill it."""
    conf = spec.spark.conf if spec.spark else {}
    return JarStore(cache_folder(machine.environ) / "jars", repositories(machine.environ, machine.home, conf))
