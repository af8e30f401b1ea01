"""`Swept`: what is the same for all runs of a sweep, resolved once: the lock, each value of a param, the commit of each ref."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from reprolock.lake.open import open_lake
from reprolock.model.digest import digest_of
from reprolock.model.lock import DatasetPin, Lock
from reprolock.model.record import Digests, Record
from reprolock.model.sections import digests, pinned_sections
from reprolock.model.spec import Spec
from reprolock.steps.experiments.check_grid import check_values
from reprolock.steps.experiments.grid import Grid
from reprolock.steps.experiments.parent import combination_of
from reprolock.steps.locking.overrides import WhatIf, with_data
from reprolock.steps.locking.staleness import require_fresh
from reprolock.steps.project.code import project_code
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.project import read_project

_OF_THE_GRID = ("data", "params")
"""Sections of a record in which the runs of a sweep may differ; those of the project are one for all."""


class SweepOptions(NamedTuple):
    """What `reprolock sweep` was asked for. `merge` merges what each run publishes; with `publishing_off` none does."""

    jobs: int = 1
    merge: bool = False
    publishing_off: bool = False


class Swept(NamedTuple):
    """What is swept: a project as it stood when the sweep began, and the commits that its refs named then. `publishing` is what
    is asked of the outputs that have `publish`."""

    root: Path
    spec: Spec
    grid: Grid
    base: Digests
    pins: Mapping[tuple[str, str], DatasetPin]
    publishing: Mapping[str, bool] | None

    @property
    def digest(self) -> str:
        """Over all of it: by this a further call is known for the same sweep."""
        each = self.grid.combinations()
        return digest_of(
            {
                "project": self.base.total,
                "publishing": self.publishing,
                "grid": [[combination_of(item.params, item.data), self._read(item)] for item in each],
            }
        )

    def differing(self, record: Record) -> list[str]:
        """The sections in which a run is one of another project."""
        return [
            name
            for name, digest in self.base.sections.items()
            if name not in _OF_THE_GRID and record.pinned.sections.get(name) != digest
        ]

    def has_done(self, record: Record) -> bool:
        """Whether a run that has finished is one of this project, and all that it was to publish is published."""
        return not self.differing(record) and not any(item.problem for item in record.published)

    def _read(self, what_if: WhatIf) -> list[str]:
        """By what is in them: a run that is merged moves the branch that its data is on."""
        return [self.pins[item].digest for item in what_if.data.items()]


def look(root: Path, grid: Grid, options: SweepOptions, machine: Machine) -> Swept:
    """Everything that is the same for all runs, checked."""
    project = read_project(root)
    locked, spec = require_fresh(project), project.spec
    check_values(spec, grid, machine.scanner(), merge=options.merge, publishing_off=options.publishing_off)
    pins = _pin_refs(root, spec, locked, grid, machine)
    code = project_code(root, spec, machine).state.digest
    base = digests(pinned_sections(spec, locked.dataset, locked.environment, locked.jars, code))
    publishing = {"merge": options.merge, "off": options.publishing_off} if spec.published else None
    return Swept(root, spec, grid, base, pins, publishing)


def _pin_refs(root: Path, spec: Spec, locked: Lock, grid: Grid, machine: Machine) -> dict[tuple[str, str], DatasetPin]:
    """Dataset and ref → its pin: all runs of a sweep read a branch as it was when the sweep began."""
    axes = [axis for axis in grid.axes if axis.of_data]
    if not axes:
        return {}
    found = {}
    with closing(open_lake(spec.lake.endpoint, root, machine.environ, machine.home)) as lake:
        for axis in axes:
            for ref in axis.values:
                pins = with_data(spec, locked.dataset, lake, {axis.name: ref})
                found[axis.name, ref] = next(pin for pin in pins if pin.name == axis.name)
    return found
