"""What this machine has and lacks for reprolock, and how to get what is missing."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from reprolock.environment.caches import cache_folder
from reprolock.environment.jvm.java import check_java, check_pinned, find_java
from reprolock.environment.jvm.java import install_hint as java_hint
from reprolock.environment.jvm.spark_home import spark_home
from reprolock.environment.python.installed.env_store import check, find
from reprolock.environment.python.interpreters.find_python import install_hint as python_hint
from reprolock.environment.python.interpreters.find_python import known_python
from reprolock.environment.python.interpreters.interpreter import feature_version
from reprolock.environment.python.uv import Uv
from reprolock.environment.python.uv import program as uv_program
from reprolock.errors import ReprolockError
from reprolock.files.lock_file import read_lock
from reprolock.files.spec_file import NAME, read_spec
from reprolock.model.lock import Lock
from reprolock.model.spec import Spec
from reprolock.parts import install_hint
from reprolock.steps.project.locate import open_the_lake
from reprolock.steps.project.machine import Machine
from reprolock.steps.running.cluster import check_answers
from reprolock.steps.running.mlflow_compat import check_mlflow
from reprolock.tracker import open_tracker
from reprolock.tracker.tracking_uri import find_place

T = TypeVar("T")
_ROOM = 2_000_000_000


class Finding(NamedTuple):
    """One thing that was looked at. `needed` is False for what only some projects or tests use."""

    name: str
    ok: bool
    needed: bool
    found: str
    hint: str | None = None


def doctor(root: Path, machine: Machine | None = None) -> list[Finding]:
    """Looks at Python, Java, Spark, git, uv, the cache, and at what the project names: services, environment. Raises nothing."""
    machine = machine or Machine.here()
    root = root.resolve()
    spec = _project(root, read_spec)
    lock = _project(root, read_lock)
    declared = spec if isinstance(spec, Spec) else None
    pinned = lock if isinstance(lock, Lock) else Lock()
    uses_spark = declared is not None and declared.spark is not None
    findings = [
        Finding("python", sys.version_info >= (3, 11), True, feature_version(), python_hint("3.11")),
        _try("java", uses_spark, lambda: _java(declared, pinned, machine), java_hint()),
        _try(
            "spark",
            uses_spark,
            lambda: spark_home().version,
            install_hint("spark"),
        ),
        _git(machine),
        _try(
            "uv",
            declared is not None and declared.environment.locks_python,
            uv_program,
            "reinstall reprolock; it brings uv along",
        ),
        _cache(machine),
    ]
    for found in (spec, lock):
        if isinstance(found, ReprolockError):
            findings.append(Finding("project", False, True, found.message, found.hints))
    if declared is not None:
        findings += _environment(root, declared, pinned, machine)
        findings += _services(root, declared, machine)
    return findings


def _project(root: Path, read: Callable[[Path], T]) -> T | ReprolockError | None:
    """A file of the project; its problem; None where there is no project."""
    if not (root / NAME).exists():
        return None
    try:
        return read(root)
    except ReprolockError as error:
        return error


def _java(spec: Spec | None, lock: Lock, machine: Machine) -> str:
    java = find_java(machine.environ)
    if spec is not None and spec.spark is not None:
        check_java(java, spec.environment)
        check_pinned(java, lock.environment.java if lock.environment else None)
    return str(java)


def _environment(root: Path, spec: Spec, lock: Lock, machine: Machine) -> Iterator[Finding]:
    """The Python that the project asks for, and the environment that was built with it."""
    feature = (lock.environment.python if lock.environment else None) or spec.environment.python
    if feature is None or not spec.environment.locks_python or not spec.environment.isolated:
        return

    def python() -> str | None:
        with tempfile.TemporaryDirectory(prefix="reprolock-") as folder:
            found = known_python(feature, Uv(machine.environ, offline=True), Path(folder))
        return f"{found.version} at {found.executable}" if found else None

    def built() -> str:
        environment = (
            find(lock.environment, cache_folder(machine.environ), environ=machine.environ) if lock.environment else None
        )
        if environment is None:
            return "not built here yet; the first run builds it"
        check(environment)
        check_mlflow(environment, find_place(spec.mlflow.tracking_uri, root, machine.environ), offline=False)
        return str(environment.folder)

    found = python()
    yield Finding(
        f"python {feature}", found is not None, False, found or "not here; a run lets uv fetch it", python_hint(feature)
    )
    if found:
        yield _try("environment", True, built, None)


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

    def engine() -> str:
        assert spec.spark is not None
        check_answers(spec.spark)
        return spec.spark.address

    if spec.spark is not None and spec.spark.has_cluster:
        yield _try("spark connect" if spec.spark.remote else "spark master", True, engine, None)
    if spec.datasets:
        yield _try("lake", True, lake, None)
    yield _try("mlflow", True, mlflow, None)


def _try(name: str, needed: bool, look: Callable[[], str], hint: str | None) -> Finding:
    """What was found; or the problem, with its own hint where it has one."""
    try:
        return Finding(name, True, needed, look())
    except ReprolockError as error:
        return Finding(name, False, needed, error.message, error.hints or hint)


def _git(machine: Machine, platform: str = sys.platform) -> Finding:
    path = shutil.which("git", path=machine.environ.get("PATH", os.defpath))
    how = {"darwin": "brew install git`", "win32": "winget install Git.Git`"}.get(
        platform, "apt install git` (Debian, Ubuntu)"
    )
    return Finding(
        "git", path is not None, False, path or "not on PATH", f"run `{how}: reprolock records the commit of the code"
    )


def _cache(machine: Machine) -> Finding:
    folder = cache_folder(machine.environ)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Finding(
            "cache", False, True, f"{folder} cannot be written", "set REPROLOCK_CACHE_DIR to a folder that can"
        )
    free = shutil.disk_usage(there).free
    return Finding(
        "cache",
        free > _ROOM,
        False,  # a lock, a run on small data or an audit needs little
        f"{folder}, {free / 1e9:.1f} GB free" + ("" if free > _ROOM else f", and {_ROOM / 1e9:.0f} GB are advised"),
        "free some space, or set REPROLOCK_CACHE_DIR to a roomier disk",
    )
