"""What this machine has and lacks for reprolock, and how to get what is missing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from reprolock.environment.caches import cache_folder
from reprolock.environment.interpreter import feature_version
from reprolock.environment.java import find_java, install_hint
from reprolock.environment.spark_home import spark_home
from reprolock.errors import ReprolockError
from reprolock.files.spec_file import NAME, read_spec
from reprolock.model.spec import Spec
from reprolock.steps.machine import Machine
from reprolock.steps.which_lake import open_the_lake
from reprolock.tracker import open_tracker
from reprolock.tracker.place import find_place

_ROOM = 2_000_000_000


class Finding(NamedTuple):
    """One thing that was looked at. `needed` is False for what only some projects or tests use."""

    name: str
    ok: bool
    needed: bool
    found: str
    hint: str | None = None


def doctor(root: Path, machine: Machine | None = None) -> list[Finding]:
    """Looks at Python, Java, Spark, git, uv, the cache, and at the services that the project names. Raises nothing."""
    machine = machine or Machine.here()
    root = root.resolve()
    spec = _spec(root)
    uses_spark = isinstance(spec, Spec) and spec.spark is not None
    findings = [
        Finding("python", sys.version_info >= (3, 11), True, feature_version(), "install Python 3.11 or later"),
        _try("java", uses_spark, lambda: str(find_java(machine.environ)), install_hint()),
        _try("spark", uses_spark, lambda: spark_home().version, "run `pip install pyspark`"),
        _program("git", False, "install git: reprolock records the commit of the code", machine),
        _program("uv", False, "run `pip install uv`: it resolves and builds locked environments", machine),
        _cache(machine),
    ]
    if isinstance(spec, ReprolockError):
        findings.append(Finding("project", False, True, spec.message, spec.hint))
    elif spec is not None:
        findings += _services(root, spec, machine)
    return findings


def _spec(root: Path) -> Spec | ReprolockError | None:
    if not (root / NAME).exists():
        return None
    try:
        return read_spec(root)
    except ReprolockError as error:
        return error


def _services(root: Path, spec: Spec, machine: Machine) -> Iterator[Finding]:
    def lake() -> str:
        opened = open_the_lake(root, None, machine)
        try:
            for dataset in spec.datasets.values():
                opened.resolve(dataset.place.repository, dataset.place.ref)
            return f"{opened.kind} at {opened.endpoint}"
        finally:
            opened.close()

    def mlflow() -> str:
        place = find_place(spec.mlflow.tracking_uri, root, machine.environ)
        tracker = open_tracker(place, machine.environ, machine.home)
        try:
            tracker.runs(spec.experiment, limit=1)
            return place.shown
        finally:
            tracker.close()

    if spec.datasets:
        yield _try("lake", True, lake, None)
    yield _try("mlflow", True, mlflow, None)


def _try(name: str, needed: bool, look: Callable[[], str], hint: str | None) -> Finding:
    try:
        return Finding(name, True, needed, look())
    except ReprolockError as error:
        return Finding(name, False, needed, error.message, hint or error.hint)


def _program(name: str, needed: bool, hint: str, machine: Machine) -> Finding:
    path = shutil.which(name, path=machine.environ.get("PATH"))
    return Finding(name, path is not None, needed, path or "not on PATH", hint)


def _cache(machine: Machine) -> Finding:
    folder = cache_folder(machine.environ)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        return Finding("cache", False, True, f"{folder} cannot be written", "let REPROLOCK_CACHE_DIR name a folder that can")
    free = shutil.disk_usage(there).free
    return Finding("cache", free > _ROOM, True, f"{folder}, {free / 1e9:.1f} GB free", "free some space, or let REPROLOCK_CACHE_DIR name a roomier disk")
