"""`status`: compare the pins with the lake: what is stale, which branches moved on and by how much; and with the last run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import LockError, NotFound
from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake
from reprolock.model.glob import matches
from reprolock.model.lock import DatasetPin
from reprolock.model.uri import LakeURI
from reprolock.steps.inspecting.since import Since, since_last_run
from reprolock.steps.locking.datasets import is_staged
from reprolock.steps.locking.staleness import Stale, stale_pins
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.project import read_project
from reprolock.steps.recording.recover import close_abandoned

COMMITS_COUNTED = 1000
"""How far back a pinned commit is looked for from a branch's head."""


class DatasetStatus(NamedTuple):
    """One pin and what its ref stands for now.

    `head` is None when the lake no longer has the repository, ref or path; `gone` then says so. `behind` counts the
    commits from the pin to the head, None when the pin is not among the head's ancestors. `changes` counts the
    objects that were added, removed and changed under the path, and that the glob lets pass.
    """

    name: str
    ref: str
    pinned: str
    head: str | None
    behind: int | None = 0
    changes: dict[str, int] = {}
    uncommitted: bool = False
    gone: str | None = None

    @property
    def moved(self) -> bool:
        """Whether the ref now stands for another commit."""
        return self.head is not None and self.head != self.pinned


class Status(NamedTuple):
    """What is stale, each pinned dataset against its lake, and what differs from the last run of this folder."""

    stale: tuple[Stale, ...]
    datasets: tuple[DatasetStatus, ...]
    since: Since | None = None


def status(root: Path, machine: Machine | None = None) -> Status:
    """LockError when there is no lock; ServiceError when the lake does not answer."""
    machine = machine or Machine.here()
    root, spec, lock = read_project(root)
    close_abandoned(root, machine)
    if lock is None:
        raise LockError("no repro.lock beside repro.toml", hint="run `reprolock lock` and commit repro.lock")
    stale = stale_pins(root, spec, lock)
    since = since_last_run(root, spec, lock, machine)
    if not lock.dataset:
        return Status(stale, (), since)
    lake = open_lake(spec.lake.endpoint, root, machine.environ, machine.home)
    try:
        return Status(stale, tuple(_against(lake, pin) for pin in lock.dataset if pin.kind == lake.kind), since)
    finally:
        lake.close()


def _against(lake: Lake, pin: DatasetPin) -> DatasetStatus:
    place = LakeURI.parse(pin.uri)
    try:
        head = lake.resolve(place.repository, place.ref)
        uncommitted = is_staged(lake, place, pin.glob)
        if head.id == pin.commit:
            return DatasetStatus(pin.name, place.ref, pin.commit, head.id, uncommitted=uncommitted)
        found = lake.diff(place.repository, pin.commit, head.id, place.path)
        changes: Counter[str] = Counter(change.kind for change in found if matches(change.path, pin.glob))
    except NotFound as error:
        return DatasetStatus(pin.name, place.ref, pin.commit, None, None, gone=error.message)
    behind = _distance(lake, place, pin.commit)
    return DatasetStatus(pin.name, place.ref, pin.commit, head.id, behind, dict(changes), uncommitted)


def _distance(lake: Lake, place: LakeURI, commit: str) -> int | None:
    for distance, ancestor in enumerate(lake.ancestors(place.repository, place.ref)):
        if ancestor.id == commit:
            return distance
        if distance >= COMMITS_COUNTED:
            break
    return None
