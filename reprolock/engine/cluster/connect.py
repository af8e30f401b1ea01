"""Compose the variables that a command needs for a session on a Spark Connect server; the hook in its Python (hook.py) reads them.

The server is not ours: its Spark, its jars and its static settings stay as they are. A session of the command's has settings
of its own, the lake's credentials among them: they cross the network once, as its settings, and stand in no file, log or
process list. Spark redacts them on its page. The locked environment is shipped as an artifact of the session.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from reprolock.engine.cluster.settings import SHIPPED

SETTINGS = "REPROLOCK_CONNECT_SETTINGS"
"""JSON: each setting of a session on the server. It holds secrets."""
ARCHIVE = "REPROLOCK_CONNECT_ARCHIVE"
"""What a session ships: the path of an archive, and after `#` the folder that it becomes."""
_HADOOP = "spark.hadoop."
_REFERENCE = re.compile(r"\$\{env[.:](\w+)\}")
# The server keeps an opened file system for all of its sessions: with the credentials of the one that came first.
_OWN_FILE_SYSTEM = {"fs.s3a.impl.disable.cache": "true"}
_NOT_OF_A_SESSION = ("spark.master", "spark.jars", "spark.app.name")


class Connect(NamedTuple):
    """`archive` is the locked environment, packed for executors; None: they run their own Python. `env` is `[run] env`."""

    archive: Path | None
    env: Mapping[str, str]


def environ(connect: Connect, address: str, conf: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Variables of the command. `conf` is as for spark-defaults.conf; `variables` has the secrets that it refers to."""
    given = {name.removeprefix(_HADOOP): _filled(value, variables) for name, value in conf.items()}
    settings = {name: value for name, value in given.items() if name not in _NOT_OF_A_SESSION}
    if any(name.startswith("fs.s3a.bucket.") for name in settings):
        settings = _OWN_FILE_SYSTEM | settings
    found = {"SPARK_REMOTE": address, "SPARK_CONNECT_MODE_ENABLED": "1"}
    if connect.archive is not None:
        settings["spark.sql.execution.pyspark.python"] = f"./{SHIPPED}/bin/python"
        found[ARCHIVE] = f"{connect.archive}#{SHIPPED}"
    return found | {SETTINGS: json.dumps(settings, sort_keys=True)}


def _filled(value: str, variables: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda match: variables.get(match[1], match[0]), value)
