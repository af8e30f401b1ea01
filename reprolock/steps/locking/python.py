"""Lock the Python packages of a project: declared requirements become pins, pins that still match are kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from reprolock.environment.jvm.java import check_java, find_java
from reprolock.environment.python.declared.pyproject_file import folder_of
from reprolock.environment.python.declared.requirement_line import IndexOption
from reprolock.environment.python.declared.requirements import read_declared
from reprolock.environment.python.indexes import Indexes, read_indexes
from reprolock.environment.python.interpreters.find_python import choose_python
from reprolock.environment.python.interpreters.interpreter import feature_version
from reprolock.environment.python.resolving.lock import resolve
from reprolock.environment.python.uv import Uv
from reprolock.model.lock import EnvironmentPin
from reprolock.model.python_version import accepts_python, is_range
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
    indexes = project_indexes(spec, root, machine)
    return resolve(
        spec.environment,
        root,
        python=_choose(spec, root, old, Uv(machine.environ, options.offline, say, indexes), options),
        java=_java(spec, old, options, machine),
        keep=old,
        upgrade=options.upgrade,
        upgrade_packages=options.upgrade_packages,
        as_of=options.as_of,
        offline=options.offline,
        no_build=options.no_build or machine.environ.get("UV_NO_BUILD", "").lower() in ("1", "true"),
        environ=machine.environ,
        indexes=indexes,
        remark=remark,
        progress=say,
    )


def project_indexes(spec: Spec, root: Path, machine: Machine) -> Indexes:
    """Where the project's packages come from, beside its user's own settings. `root` need not hold the files it could."""
    environment = spec.environment
    options: tuple[IndexOption, ...] = ()
    if environment.requirements is not None and (root / environment.requirements).is_file():
        options = read_declared(environment, root, machine.environ).index_options
    folder = root / folder_of(environment.pyproject) if environment.pyproject is not None else root
    return read_indexes(machine.environ, folder, options)


def _choose(spec: Spec, root: Path, old: EnvironmentPin | None, uv: Uv, options: LockOptions) -> str:
    """The version of Python to pin: the declared one; of a range the pinned one while it is accepted, else one that is here."""
    declared = spec.environment.python
    if declared is not None and not is_range(declared):
        return declared
    asked = ",".join(filter(None, (declared, str(read_declared(spec.environment, root).requires_python))))
    if old is not None and not options.upgrade and (not asked or accepts_python(asked, old.python)):
        return old.python
    if not asked:
        return old.python if old else feature_version()
    with tempfile.TemporaryDirectory(prefix="reprolock-") as folder:
        return choose_python(asked, uv, Path(folder))


def _java(spec: Spec, old: EnvironmentPin | None, options: LockOptions, machine: Machine) -> str | None:
    """Java's feature version: the pinned one stays while it matches, else the one that is here. MachineError where that does not match."""
    if spec.spark is None:
        return None
    if old is not None and old.java is not None and spec.environment.accepts_java(old.java) and not options.upgrade:
        return old.java
    java = find_java(machine.environ)
    check_java(java, spec.environment)
    return java.feature
