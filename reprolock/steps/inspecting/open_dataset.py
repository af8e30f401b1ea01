"""`reprolock.open("train")`: a dataset of the project as repro.lock pins it, without a run. What is done with it is not recorded."""

from __future__ import annotations

import os
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

from reprolock.environment.caches import cache_folder
from reprolock.errors import LockError, UsageError
from reprolock.files.atomic_write import own_folder
from reprolock.files.object_cache import ObjectCache
from reprolock.lake.open import open_lake
from reprolock.script import VARIABLE, Dataset, current
from reprolock.steps.inputs.materialise import materialise
from reprolock.steps.locking.staleness import dataset_problem
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.project import read_project


def open(name: str, root: Path = Path(), *, machine: Machine | None = None) -> Dataset:
    """The dataset at its pinned commit: `.pandas()`, `.arrow()`, `.spark()`, `.path`. Its files are copied to this disk once.

    In a process that `reprolock run` executes it is the run's own dataset, so that a notebook becomes a script unchanged; elsewhere
    `recorded` is False. UsageError for a name that repro.toml does not declare, LockError for a pin that is missing or stale.
    """
    if VARIABLE in os.environ:
        return current().dataset(name)
    machine = machine or Machine.here()
    root, spec, lock = read_project(root)
    declared = spec.datasets.get(name)
    if declared is None:
        near = get_close_matches(name, spec.datasets, n=1)
        listed = f"it declares {', '.join(sorted(spec.datasets)) or 'none'}"
        raise UsageError(
            f'repro.toml declares no dataset "{name}"', hint=f'did you mean "{near[0]}"? {listed}' if near else listed
        )
    pin = next((pin for pin in lock.dataset if pin.name == name), None) if lock else None
    problem = dataset_problem(name, declared, spec.lake, pin)
    if pin is None or problem is not None:
        raise LockError(f"repro.lock is out of date: {problem}", hint="run `reprolock lock`")
    with closing(open_lake(spec.lake.endpoint, root, machine.environ, machine.home)) as lake:
        cache = ObjectCache(cache_folder(machine.environ) / "objects")
        path = materialise(lake, pin, cache, own_folder(root) / "data")
    return Dataset(
        name=name,
        url=f"file://{path}",
        format=declared.format,
        options=MappingProxyType(declared.options),
        glob=declared.glob,
        commit=pin.commit,
        repository=pin.place.repository,
        uri=pin.uri,
        _path=str(path),
        _materialise=None,
        recorded=False,
    )
