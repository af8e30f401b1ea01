"""`Workspace`: everything one run is given, ready to be executed. Rebuilt from a lock or from a record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

Mode = Literal["isolated", "in-place", "interactive"]
"""Where the code of a run is executed: in a folder of its own, in the project's folder, or in a session of the caller's (`record`)."""


class Copied(NamedTuple):
    """What of a dataset was copied to this machine.

    `sha256` is that of each object, by its path in the repository, whose checksum in the lake cannot be computed from its
    bytes: only its size could be checked. `whole`: all objects were copied, and no other is of that kind.
    """

    whole: bool = False
    sha256: Mapping[str, str] = MappingProxyType({})

    def merged(self, other: Copied) -> Copied:
        """What was copied by either."""
        return Copied(self.whole or other.whole, {**self.sha256, **other.sha256})


class Input(NamedTuple):
    """One dataset as the command sees it.

    `url` is what Spark reads: `s3a://…/<commit>/…`, or `file://…` of a read-only tree. `path` is the
    local tree, None while nothing has been materialised.
    """

    name: str
    url: str
    path: Path | None
    copied: Copied = Copied()


MOST_DIFFERING = 50
"""How many files that differ from the commit a record names."""
OTHERS = "./"
"""The path of the entry among leftovers that counts all that is not named."""


class CodeState(NamedTuple):
    """The code that runs. `digest` is over the sorted (path, executable, SHA-256) of every file.

    `differs` says of each file that is not as the commit has it what git says of it; `aside` of each that git lists as
    changed and that is no code.
    """

    digest: str
    files: tuple[str, ...]
    bytes: int
    commit: str | None = None
    remote: str | None = None
    branch: str | None = None
    dirty: bool = False
    differs: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()


class SparkPlan(NamedTuple):
    """How Spark is set up: `master` with its N (`local[2]`), the settings that decide, the jars' files.

    `given` is all of spark-defaults.conf, with what only says where things are. `brought` names what is not locked:
    jars of `spark.jars`, files of the caller's SPARK_CONF_DIR. `watched`: whether a listener looks on. `hook` is a folder for PYTHONPATH, None for a local master.
    """

    version: str
    master: str
    conf: Mapping[str, str]
    jars: tuple[Path, ...]
    java: str | None
    conf_dir: Path
    given: Mapping[str, str]
    brought: tuple[str, ...]
    watched: bool
    hook: Path | None = None


class Workspace(NamedTuple):
    """One run's folder and all that is in it.

    `folder` is `.reprolock/runs/<id>`; the command runs in `work` (the code's tree, or the project with
    `--in-place`). `environ` is the whole environment of the command, secrets included: it is
    never written anywhere. `secrets` are the values in it that must not appear in anything written.
    """

    run_id: str
    folder: Path
    work: Path
    mode: Mode
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    inputs: tuple[Input, ...]
    outputs: Mapping[str, Path]
    params: Mapping[str, Any]
    code: CodeState
    spark: SparkPlan | None
    timeout_seconds: int | None
