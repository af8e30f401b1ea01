"""Compose Spark's configuration and the driver's variables for a session on a cluster, in addition to those of a local one.

Executors are processes on other machines. They have none of the driver's variables, so the lake's credentials reach
them as executor variables (`spark.executorEnv.*`). These are set inside of the driver's JVM by a hook in the
command's Python (hook.py): a value in spark-defaults.conf would be a secret in a file, and one on spark-submit's
command line would be a secret in the list of processes.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from reprolock.model.spec_spark import SparkSpec

SHIPPED = "reprolock-python"
"""The folder that the locked environment has in an executor's working folder."""
EXECUTOR_VARIABLES = "REPROLOCK_EXECUTOR_VARIABLES"
"""Names, separated by blanks, of the driver's variables that executors are given. hook.py reads it."""
PATIENCE_SECONDS = 300
"""How long a cluster is waited for that gives no executor, before the command and in it."""
WAITING = "spark.scheduler.maxRegisteredResourcesWaitingTime"
"""Spark's own setting for how long executors may take to register. A longer one than PATIENCE_SECONDS counts."""
_DURATION = re.compile(r"(\d{1,9})(us|ms|s|m|min|h|d)?", re.IGNORECASE)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
"""As Spark reads this setting: a number alone is of milliseconds."""
_LONGEST_SECONDS = 7 * 86400
_PATIENCE = "REPROLOCK_EXECUTOR_PATIENCE"
_NO_EXECUTOR = "reprolock-no-executor"
VARIABLES = "reprolock-variables"
"""The file beside the hook that sessions on a Connect server ship: lines of a shell."""
_PORTS = {"spark": 7077, "sc": 15002}
_PREFIX = "spark.executorEnv."
_REDACTION = "spark.redaction.regex"
# Spark's own expression, and the names of our variables: an access key ID is not to be shown either.
_REDACTED = "(?i)secret|password|token|access[.]?key|reprolock_s3a"


class Cluster(NamedTuple):
    """`archive` is the locked environment, packed for executors; None: they run their own Python. `env` is `[run] env`."""

    archive: Path | None
    env: Mapping[str, str]


def settings(cluster: Cluster, conf: Mapping[str, str]) -> dict[str, str]:
    """Settings of spark-defaults.conf. What the user has set in `conf` stays.

    Python on an executor turns time stamps into its own time zone, so the run's is set there too.
    """
    found = {f"{_PREFIX}{name}": value for name, value in executor_variables(cluster.env).items()} | {
        _REDACTION: _REDACTED
    }
    if cluster.archive is not None:
        theirs = [conf["spark.archives"]] if conf.get("spark.archives") else []
        found["spark.archives"] = ",".join([f"{cluster.archive.as_uri()}#{SHIPPED}", *theirs])
    return {name: value for name, value in found.items() if name == "spark.archives" or name not in conf}


def executor_variables(env: Mapping[str, str]) -> dict[str, str]:
    """What Python on executors is given of `[run] env`, beside its time zone."""
    return {"TZ": "UTC", **env}


def patience(conf: Mapping[str, str]) -> int:
    """The seconds after which a cluster without an executor is given up."""
    found = _DURATION.fullmatch(conf.get(WAITING, ""))
    asked = int(found[1]) * _SECONDS[(found[2] or "").lower()] if found else 0
    return max(PATIENCE_SECONDS, int(min(asked, _LONGEST_SECONDS)))


def environ(cluster: Cluster, conf: Mapping[str, str], secrets: tuple[str, ...]) -> dict[str, str]:
    """Variables of the driver. `secrets` names those of its variables that executors are given as well."""
    found = {_PATIENCE: str(patience(conf))}
    if secrets:
        found[EXECUTOR_VARIABLES] = " ".join(secrets)
    if cluster.archive is not None:
        found["PYSPARK_PYTHON"] = f"./{SHIPPED}/bin/python"
    return found


def write_hook(folder: Path, variables: Mapping[str, str] | None = None) -> Path:
    """Put the hook into a folder of its own, for PYTHONPATH; the folder. `variables` is what Python on a Connect server's
    executors is given: the shipped environment reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    if variables is not None:
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())]
        (folder / VARIABLES).write_text("".join(lines), "utf-8")
    shutil.copyfile(Path(__file__).with_name("hook.py"), folder / "sitecustomize.py")
    return folder


def seconds_without_executor(hook: Path) -> int | None:
    """After how many seconds jobs of the command were cancelled because no executor came; None where none were."""
    try:
        return int((hook / _NO_EXECUTOR).read_text("utf-8"))
    except (OSError, ValueError):  # the command may write there, too
        return None


def master_address(spec: SparkSpec) -> tuple[str, int] | None:
    """Host and port of a Connect server or a standalone master, the first where several are named; None for other masters."""
    first = urlsplit(spec.address.partition(",")[0])
    port = _PORTS.get(first.scheme)
    return (first.hostname or "", first.port or port) if port else None
