"""Python's packages for a project: resolved when the lock is made; built, or compared, when a run is made ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from reprolock.environment.caches import cache_folder
from reprolock.environment.drift import refuse_drift
from reprolock.environment.interpreter import feature_version, observe, usable_cores
from reprolock.environment.java import check_java, find_java
from reprolock.environment.python_env import Environment, check, ensure, find
from reprolock.environment.python_lock import resolve
from reprolock.environment.runtime import runtime_folder
from reprolock.model.lock import EnvironmentPin
from reprolock.model.record import EnvironmentRecord
from reprolock.model.spec import Spec
from reprolock.steps.check import accepts_java, environment_fault
from reprolock.steps.machine import Machine
from reprolock.steps.options import LockOptions


class Interpreter(NamedTuple):
    """The Python that runs the command. `programs` is its folder for PATH; `built` is the locked environment, None for
    reprolock's own interpreter; `runtime` goes on PYTHONPATH where reprolock is not installed in it."""

    programs: Path
    built: Environment | None
    runtime: Path | None
    record: EnvironmentRecord

    @property
    def pyspark(self) -> Path | None:
        """The folder of its pyspark; None: reprolock's own."""
        return self.built.packages / "pyspark" if self.built else None


def lock_environment(
    spec: Spec,
    root: Path,
    old: EnvironmentPin | None,
    options: LockOptions,
    machine: Machine,
    remark: Callable[[str], None],
    say: Callable[[str], None] | None = None,
) -> EnvironmentPin | None:
    """The pin of `[environment]`, kept while it answers; None where no packages are declared."""
    if not spec.environment.locks_python:
        return None
    asked = options.upgrade or options.upgrade_packages or (options.as_of and not options.upgrade_datasets)
    if old is not None and not environment_fault(spec, root, old) and not asked:
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


def ready_environment(
    spec: Spec,
    pin: EnvironmentPin | None,
    machine: Machine,
    *,
    offline: bool,
    hashing: bool = False,
    say: Callable[[str], None] | None = None,
) -> Interpreter:
    """The locked environment, whole and as it was built; or this interpreter, which must not drift from the lock.

    `hashing`: what its packages list is hashed, whatever sizes and times say.

    PinError (exit 4) where an environment was changed, or this interpreter drifts.
    """
    if pin is None or not spec.environment.isolated:
        return _current(pin, machine)
    built = ensure(pin, cache_folder(machine.environ), offline=offline, environ=machine.environ, progress=say)
    return _locked(built, machine, hashing=hashing)


def built_environment(spec: Spec, pin: EnvironmentPin | None, machine: Machine) -> Interpreter | None:
    """As `ready_environment`, where nothing has to be built for it; None where the environment is not on this machine."""
    if pin is None or not spec.environment.isolated:
        return _current(pin, machine)
    built = find(pin, cache_folder(machine.environ), environ=machine.environ)
    return _locked(built, machine) if built else None


def _current(pin: EnvironmentPin | None, machine: Machine) -> Interpreter:
    if pin is not None:
        refuse_drift(pin)
    return Interpreter(machine.python.parent, None, None, observe())


def _locked(built: Environment, machine: Machine, *, hashing: bool = False) -> Interpreter:
    check(built, hashing=hashing)
    manifest = built.manifest
    record = EnvironmentRecord(
        python=manifest.python,
        implementation=manifest.implementation,
        platform=manifest.platform,
        cores=usable_cores(),
        isolated=True,
        packages={item.name: item.version for item in manifest.distribution},
        wheels={item.name: item.digest for item in manifest.distribution},
    )
    return Interpreter(built.programs, built, runtime_folder(cache_folder(machine.environ)), record)


def _java(spec: Spec, old: EnvironmentPin | None, options: LockOptions, machine: Machine) -> str | None:
    """Java's feature version: the pinned one stays while it answers, else the one that is here. MachineError where that does not."""
    if spec.spark is None:
        return None
    asked = spec.environment.java
    if old is not None and old.java is not None and accepts_java(asked, old.java) and not options.upgrade:
        return old.java
    java = find_java(machine.environ)
    check_java(java, asked)
    return java.feature
