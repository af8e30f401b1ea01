"""`env`: the locked Python environment: where it is, how this interpreter differs from it, its export, its pruning."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from reprolock.environment.caches import cache_folder
from reprolock.environment.python.installed.drift import Difference, drift
from reprolock.environment.python.installed.env_store import Environment, Pruned, find
from reprolock.environment.python.installed.env_store import prune as prune_environments
from reprolock.environment.python.resolving.export import hashed_requirements, pylock
from reprolock.errors import UsageError
from reprolock.model.lock import EnvironmentPin
from reprolock.steps.locking.python import project_indexes
from reprolock.steps.locking.staleness import require_fresh
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.project import read_project


class EnvironmentView(NamedTuple):
    """The pin, the environment that was built from it here (None: not built yet), and this interpreter's differences."""

    pin: EnvironmentPin
    built: Environment | None
    differences: tuple[Difference, ...]


def env(root: Path, machine: Machine | None = None) -> EnvironmentView:
    """LockError where the lock is out of date, UsageError where no packages are locked."""
    machine = machine or Machine.here()
    pin = _pin(root)
    return EnvironmentView(pin, find(pin, cache_folder(machine.environ), environ=machine.environ), tuple(drift(pin)))


def export_environment(
    root: Path, form: Literal["requirements", "pylock"], *, offline: bool = False, machine: Machine | None = None
) -> str:
    """The locked packages as hashed requirements, or as a PEP 751 pylock.toml without addresses."""
    machine = machine or Machine.here()
    pin = _pin(root)
    if form == "requirements":
        return hashed_requirements(pin)
    indexes = project_indexes(read_project(root).spec, root, machine)
    return pylock(pin, offline=offline, environ=machine.environ, indexes=indexes)


def prune(*, days: float = 30, machine: Machine | None = None) -> Pruned:
    """Remove environments that no run has used for `days`, and what killed builders left."""
    machine = machine or Machine.here()
    return prune_environments(cache_folder(machine.environ), days=days)


def _pin(root: Path) -> EnvironmentPin:
    pin = require_fresh(read_project(root)).environment
    if pin is None:
        raise UsageError(
            "repro.toml locks no Python packages", hint='declare them: packages = ["pandas<3"] under [environment]'
        )
    return pin
