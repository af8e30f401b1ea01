"""Lock the Python packages of a project: declared requirements become pins, pins that still match are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reprolock.environment.jvm.java import check_java, find_java
from reprolock.environment.python.interpreter import feature_version
from reprolock.environment.python.lock import resolve
from reprolock.model.lock import EnvironmentPin
from reprolock.model.spec import Spec
from reprolock.steps.locking.options import LockOptions
from reprolock.steps.locking.staleness import environment_problem
from reprolock.steps.project.machine import Machine


def lock_environment(
    spec: Spec,
    root: Path,
    old: EnvironmentPin | None,
    options: LockOptions,
    machine: Machine,
    remark: Callable[[str], None],
    say: Callable[[str], None] | None = None,
) -> EnvironmentPin | None:
    """The pin of `[environment]`, kept while it matches; None where no packages are declared."""
    if not spec.environment.locks_python:
        return None
    asked = options.upgrade or options.upgrade_packages or (options.as_of and not options.upgrade_datasets)
    if old is not None and not environment_problem(spec, root, old) and not asked:
        return old
    return resolve(
        spec.environment,
        root,
        python=spec.environment.python or (old.python if old else feature_version()),
        java=_java(spec, old, options, machine),
        keep=old,
        upgrade=options.upgrade,
        upgrade_packages=options.upgrade_packages,
        as_of=options.as_of,
        offline=options.offline,
        environ=machine.environ,
        remark=remark,
        progress=say,
    )


def _java(spec: Spec, old: EnvironmentPin | None, options: LockOptions, machine: Machine) -> str | None:
    """Java's feature version: the pinned one stays while it matches, else the one that is here. MachineError where that does not match."""
    if spec.spark is None:
        return None
    if old is not None and old.java is not None and spec.environment.accepts_java(old.java) and not options.upgrade:
        return old.java
    java = find_java(machine.environ)
    check_java(java, spec.environment)
    return java.feature
