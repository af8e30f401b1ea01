"""Provide the Python and the jars of a run: build and check the locked environment, take pinned jars from the store."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from reprolock.environment.caches import cache_folder
from reprolock.environment.jvm.spark_home import spark_home
from reprolock.environment.python.installed.drift import drift, refuse_drift
from reprolock.environment.python.installed.env_store import Environment, changes_of, ensure, find, in_use
from reprolock.environment.python.interpreters.interpreter import observe, usable_cores
from reprolock.errors import PinError
from reprolock.model.lock import EnvironmentPin, JarsPin
from reprolock.model.record import EnvironmentRecord
from reprolock.model.spec import Spec
from reprolock.model.words import counted
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_context import RunContext

_MOST_NAMED = 5


class Interpreter(NamedTuple):
    """The Python that runs the command. `programs` is its folder for PATH; `built` is the locked environment, in which
    reprolock is not installed; None for reprolock's own interpreter."""

    programs: Path
    built: Environment | None
    record: EnvironmentRecord

    @property
    def pyspark(self) -> Path | None:
        """The folder of its pyspark; None: reprolock's own."""
        return self.built.packages / "pyspark" if self.built else None

    def in_use(self) -> AbstractContextManager[None]:
        """Keep a locked environment from being rebuilt while the body runs."""
        return in_use(self.built) if self.built else nullcontext()

    def describe_writes(self) -> str | None:
        """A sentence about what was written into the locked environment since it was checked, None for nothing."""
        found = changes_of(self.built) if self.built else ()
        if not found:
            return None
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        return f"the command wrote into the locked environment, which the next run builds again: {found[0]}{more}"


def ready_environment(context: RunContext, pin: EnvironmentPin | None) -> Interpreter:
    """The locked environment, whole and as it was built; or this interpreter, which must not drift from the lock.

    An environment that was changed is built again, with a warning of what was changed. PinError (exit 4) where this
    interpreter drifts.
    """
    machine = context.machine
    if pin is None or not context.spec.environment.isolated:
        return _current(pin, machine)
    from reprolock.steps.locking.python import project_indexes  # what resolves: for locked environments alone

    built = ensure(
        pin,
        cache_folder(machine.environ),
        offline=context.offline,
        no_build=context.rehearsing,
        hashing=context.hashing,
        environ=machine.environ,
        indexes=project_indexes(context.spec, context.root, machine),
        progress=context.progress.step,
        remark=context.warn,
    )
    return _to_python(built, machine)


def session_environment(context: RunContext, pin: EnvironmentPin | None) -> Interpreter:
    """The Python of this session, as it is. What of it differs from the lock is a warning: it is recorded as it was found."""
    differing = [item.name for item in drift(pin) if item.fails] if pin else []
    if differing:
        named = ", ".join(differing[:_MOST_NAMED]) + (", …" if len(differing) > _MOST_NAMED else "")
        context.warn(f"this session differs from repro.lock in {counted(len(differing), 'package')}: {named}")
    return Interpreter(context.machine.python.parent, None, observe())


def built_environment(spec: Spec, pin: EnvironmentPin | None, machine: Machine) -> Interpreter | None:
    """As `ready_environment`, where nothing has to be built for it; None where the environment is not on this machine,
    or is not as it was built."""
    if pin is None or not spec.environment.isolated:
        return _current(pin, machine)
    built = find(pin, cache_folder(machine.environ), environ=machine.environ)
    return _to_python(built, machine) if built and not changes_of(built) else None


def _current(pin: EnvironmentPin | None, machine: Machine) -> Interpreter:
    if pin is not None:
        refuse_drift(pin)
    return Interpreter(machine.python.parent, None, observe())


def _to_python(built: Environment, machine: Machine) -> Interpreter:
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
    return Interpreter(built.programs, built, record)


def ready_jars(context: RunContext, pin: JarsPin | None, pyspark: Path | None) -> tuple[Path, ...]:
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
    from reprolock.steps.locking.jars import jar_store  # what resolves: for locked jars alone

    store = jar_store(context.spec, context.machine)
    return store.files(pin, offline=context.offline, progress=context.progress)
