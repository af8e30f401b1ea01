"""Spark's configuration for one run: a folder for SPARK_CONF_DIR, and the variables that go with it.

In: `[spark]`, local jars, the lake's S3 gateway and credentials, cores. Out: a `SparkPlan` and variables. With these
a script written for plain spark-submit runs unchanged: `SparkSession.builder.getOrCreate()` finds all
of it. What does not decide a result (the UI, the progress bar, logging, memory) is left to Spark and the user.

Later sources win: 1. spark-defaults.conf in a SPARK_CONF_DIR of the user's own, 2. what decides
results (below), so that one machine's file does not, 3. `[spark] conf`, 4. master, jars and S3A.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import javaproperties

from reprolock.engine.cluster.connect import Connect
from reprolock.engine.cluster.connect import environ as connect_environ
from reprolock.engine.cluster.settings import (
    Cluster,
    executor_variables,
    write_hook,
)
from reprolock.engine.cluster.settings import (
    environ as cluster_environ,
)
from reprolock.engine.cluster.settings import (
    settings as cluster_settings,
)
from reprolock.engine.spark_listener import Watch
from reprolock.errors import MachineError, UsageError
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.model.secrecy import is_secret_name
from reprolock.model.spec_spark import SparkSpec
from reprolock.model.workspace import SparkPlan

ACCESS_KEY_ID = "REPROLOCK_S3A_ACCESS_KEY_ID"
SECRET_ACCESS_KEY = "REPROLOCK_S3A_SECRET_ACCESS_KEY"
DEFAULTS = "spark-defaults.conf"

RESULT_DECIDING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.shuffle.partitions": "200",
}
"""Spark 4's own defaults, but for the time zone, which is the machine's unless it is set."""

_DELTA = "io.delta:delta-spark_"
_EXTENSIONS = "spark.sql.extensions"
_DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_DELTA_CATALOG = {"spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog"}
_S3A = "org.apache.hadoop.fs.s3a.S3AFileSystem"
_REFUSED = {
    "spark.master": "write it as master = … in [spark]",
    "spark.remote": "write it as remote = … in [spark]",
    "spark.jars.packages": "write them as packages = […] in [spark], so that they are locked",
    "spark.jars.excludes": "declare the packages that are wanted; the lock's closure is resolved without this setting",
    "spark.pyspark.python": "the command's python is that of its environment",
    "spark.pyspark.driver.python": "the command's python is that of its environment",
    "spark.openlineage.transport.type": "`reprolock run --openlineage URL`, or OPENLINEAGE_URL, sends on what was seen",
    "spark.jars.ivySettings": "name the repository in REPROLOCK_MAVEN_REPOSITORY, or in spark.jars.repositories",
}


class S3Access(NamedTuple):
    """A lake's S3 gateway: `endpoint` as http(s)://HOST[:PORT], the repositories that are read, the credentials for it."""

    endpoint: str
    repositories: tuple[str, ...]
    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"S3Access({self.endpoint!r}, {self.repositories!r})"


class EffectiveSettings(NamedTuple):
    """`master` with its N, every setting by name, and variables instead of the secrets among them."""

    master: str
    conf: dict[str, str]
    environ: dict[str, str]


def check(spec: SparkSpec) -> None:
    """UsageError (exit 2) for a setting in `[spark] conf` that would bypass the lock, or that Spark cannot read back."""
    for name, value in spec.conf.items():
        if name in _REFUSED:
            raise UsageError(f"spark.conf.{name} cannot be set in [spark] conf", hint=_REFUSED[name])
        if value != value.strip():
            raise UsageError(
                f"spark.conf.{name} starts or ends with white space, which Spark removes", hint="remove the white space"
            )


def plan_spark(
    spec: SparkSpec,
    *,
    version: str,
    jars: Sequence[Path],
    cores: int,
    folder: Path,
    java: str | None = None,
    user_conf: Path | None = None,
    s3: S3Access | None = None,
    watch: Watch | None = None,
    cluster: Cluster | Connect | None = None,
) -> tuple[SparkPlan, dict[str, str]]:
    """Make `folder` and answer with the plan and the variables of the command; secrets are only in the latter.

    `version` is pyspark's, `jars` absolute paths, `cores` the N of `local[*]`, `java` what is recorded,
    `user_conf` the caller's own SPARK_CONF_DIR, `watch` the listener, `cluster` what executors on other machines, or
    a Connect server, are given. UsageError (exit 2) for settings that go
    outside the lock.
    """
    settings = effective_settings(spec, cores, user_conf)
    conf, environ = settings.conf, settings.environ
    if s3 is not None:
        conf |= _s3a(s3)
        environ |= {ACCESS_KEY_ID: s3.access_key_id, SECRET_ACCESS_KEY: s3.secret_access_key}
    listed = [_address(path) for path in jars if watch is None or path != watch.jar]
    theirs = [name.strip() for name in conf.get("spark.jars", "").split(",") if name.strip()]  # they stay, after ours
    written = conf | {"spark.jars": ",".join([*listed, *theirs])} if listed or theirs else conf
    try:
        written = {**written, **(watch.settings(conf) if watch else {})}
        if isinstance(cluster, Connect):
            environ |= connect_environ(cluster, settings.master, conf, environ)
        elif cluster is not None:
            written |= cluster_settings(cluster, conf)
            environ |= cluster_environ(cluster, conf, (ACCESS_KEY_ID, SECRET_ACCESS_KEY) if s3 else ())
        brought = _make_folder(folder, user_conf, written)
        shipped = executor_variables(cluster.env) if isinstance(cluster, Connect) and cluster.archive else None
        hook = write_hook(folder.with_name("spark-hook"), shipped) if cluster is not None else None
        if watch and not any(folder.glob("log4j*")) and (logging := watch.logging()):
            (folder / "log4j2.properties").write_text(logging, "utf-8")
    except OSError as error:
        raise cannot_write(folder, error) from error
    ordered = dict(sorted(conf.items()))
    plan = SparkPlan(
        version,
        settings.master,
        ordered,
        tuple(jars),
        java,
        folder,
        written,
        (*theirs, *brought),
        watch is not None,
        hook,
    )
    return plan, environ | {"SPARK_CONF_DIR": str(folder)}


def effective_settings(spec: SparkSpec, cores: int, user_conf: Path | None = None) -> EffectiveSettings:
    """What a session finds, but for jars and the lake. Reads the user's own folder and writes nothing. Errors as `plan_spark`."""
    check(spec)
    theirs, environ = _user_settings(user_conf, spec.packages)
    master = local_master(spec.address, cores)
    conf = theirs | RESULT_DECIDING | _delta(spec, theirs, master) | spec.conf | {"spark.master": master}
    return EffectiveSettings(master, conf, environ)


def local_master(master: str, cores: int) -> str:
    """`local[*]` as `local[N]`, `local` as `local[1]`, any other master as it is."""
    if master == "local":
        return "local[1]"
    return re.sub(r"^local\[\*", f"local[{cores}", master)


def settings_text(conf: Mapping[str, str]) -> str:
    """spark-defaults.conf, sorted: Java's properties in ASCII, which Spark reads back exactly."""
    return javaproperties.dumps(dict(conf), sort_keys=True, timestamp=False, separator=" ")


def _address(jar: Path) -> str:
    """A jar as Spark's lists of jars want it: blanks and letters beyond ASCII pass in an address, patterns and commas never."""
    if found := re.search(r"[,\[\]{}*?\\]", jar.as_posix()):
        raise MachineError(
            f'{jar.parent} has "{found[0]}" in its path, and Spark cannot load a jar from there',
            hint="set REPROLOCK_CACHE_DIR to another folder",
        )
    return jar.as_uri()


def _delta(spec: SparkSpec, theirs: Mapping[str, str], master: str) -> dict[str, str]:
    """What a declared Delta package needs to be of use; `[spark] conf` overrides it."""
    if not any(package.startswith(_DELTA) for package in spec.packages):
        return {}
    extensions = [name for name in theirs.get(_EXTENSIONS, "").split(",") if name.strip() not in ("", _DELTA_EXTENSION)]
    conf = {_EXTENSIONS: ",".join([*extensions, _DELTA_EXTENSION]), **_DELTA_CATALOG}
    if cores := re.match(r"local\[(\d+)", master):
        # A table's log is replayed in 50 tasks by default: tens of seconds for a small table on few cores.
        conf["spark.databricks.delta.snapshotPartitions"] = cores[1]
    return conf


def _s3a(s3: S3Access) -> dict[str, str]:
    """Settings of these buckets alone: other buckets keep their own. Hadoop fills in the variables when it reads them."""
    endpoint = s3.endpoint.rstrip("/").removesuffix(
        "/api/v1"
    )  # lakectl's endpoint may name the API; the gateway is beside it
    conf = {"spark.hadoop.fs.s3.impl": _S3A}
    for repository in s3.repositories:
        bucket = f"spark.hadoop.fs.s3a.bucket.{repository}"
        conf |= {
            f"{bucket}.endpoint": endpoint,
            f"{bucket}.endpoint.region": "us-east-1",
            f"{bucket}.path.style.access": "true",
            f"{bucket}.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
            f"{bucket}.access.key": f"${{env.{ACCESS_KEY_ID}}}",
            f"{bucket}.secret.key": f"${{env.{SECRET_ACCESS_KEY}}}",
        }
    return conf


def _user_settings(folder: Path | None, packages: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The user's own spark-defaults.conf, and variables instead of the secrets in it."""
    if folder is None:
        return {}, {}
    if not folder.is_dir():
        raise UsageError(f"SPARK_CONF_DIR is {folder}, which is not a folder", hint="unset it, or set it to a folder")
    file = folder / DEFAULTS
    try:
        text = file.read_text("utf-8") if file.exists() else ""
        conf = {name: value.strip() for name, value in javaproperties.loads(text).items()}
    except OSError as error:
        raise cannot_read(file, error) from error
    except ValueError as error:
        raise UsageError(
            f"{file} is not a file of Java properties: {error}", hint="correct it, or unset SPARK_CONF_DIR"
        ) from None
    for name in ("spark.pyspark.python", "spark.pyspark.driver.python"):
        conf.pop(name, None)  # an interpreter that is not the command's
    brought = [name.strip() for name in conf.pop("spark.jars.packages", "").split(",") if name.strip()]
    if unlocked := [name for name in brought if name not in packages]:
        raise UsageError(
            f"{file}: spark.jars.packages would bring {unlocked[0]} from outside the lock",
            hint="declare it in spark.packages of repro.toml, or unset SPARK_CONF_DIR",
        )
    environ: dict[str, str] = {}
    for name, value in conf.items():
        if is_secret_name(name) and not value.startswith("${"):
            variable = f"REPROLOCK_SPARK_SECRET_{len(environ)}"
            environ[variable] = value
            # Hadoop and Spark write a reference to a variable differently.
            conf[name] = f"${{env.{variable}}}" if name.startswith("spark.hadoop.") else f"${{env:{variable}}}"
    return conf, environ


def _make_folder(folder: Path, user_conf: Path | None, conf: Mapping[str, str]) -> list[str]:
    """Fill SPARK_CONF_DIR; the names of what came from the user's own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DEFAULTS).write_text(settings_text(conf), "ascii")
    brought = []
    for entry in sorted(user_conf.iterdir()) if user_conf else ():
        # Spark's programs take variables out of spark-env.sh, which would then be written down nowhere.
        if entry.name in (DEFAULTS, "spark-env.sh", "spark-env.cmd") or entry.name.endswith(".template"):
            continue
        brought.append(entry.name)
        try:
            # A link and no copy: core-site.xml and the like may hold secrets.
            os.symlink(entry.resolve(), folder / entry.name, target_is_directory=entry.is_dir())
        except OSError:
            if os.name != "nt":
                raise
            copy = shutil.copytree if entry.is_dir() else shutil.copy2
            copy(entry, folder / entry.name)
    return brought
