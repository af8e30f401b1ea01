"""Merge two versions of a lock, with the version that both came from where it is known. No IO.

A pin carries the declaration that it answers and a seal, so it is taken whole from one side or not at all. The rule
is that of a three-way merge, pin by pin: what one side alone changed is taken from that side. A set of packages or
jars that both sides changed was never resolved: it is returned with the versions that a new resolution should
prefer, and its seal is broken, so that every reader sees it as stale until it has been resolved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from packaging.version import InvalidVersion, Version

from reprolock.model.lock import DatasetPin, EnvironmentPin, JarsPin, Lock, PackagePin

_BROKEN = "0" * 64
T = TypeVar("T", EnvironmentPin, JarsPin)


class Preference(NamedTuple):
    """A package or jar that a side changed, and the version that the merged set has to have."""

    name: str
    version: str


class MergedLock(NamedTuple):
    """`lock` is what could be merged. `conflicts`: datasets that both sides changed differently, as (ours, theirs).

    `packages` and `jars` say whether that set has to be resolved again; `preferences` are the changes of either side
    that a resolution must not lose.
    """

    lock: Lock
    conflicts: tuple[tuple[DatasetPin, DatasetPin], ...] = ()
    packages: bool = False
    jars: bool = False
    preferences: tuple[Preference, ...] = ()


def merge_locks(ours: Lock, theirs: Lock, base: Lock | None) -> MergedLock:
    """The merge. `base` is None where nothing is known of it: then pins that differ were changed by both sides."""
    names = sorted({pin.name for pin in (*ours.dataset, *theirs.dataset)})
    found = [
        _dataset(ours.dataset_pin(name), theirs.dataset_pin(name), base.dataset_pin(name) if base else None, base)
        for name in names
    ]
    was = base or Lock()
    environment, packages = _closure(ours.environment, theirs.environment, was.environment, base)
    jars, again = _closure(ours.jars, theirs.jars, was.jars, base)
    preferences: tuple[Preference, ...] = ()
    if packages and ours.environment and theirs.environment:
        before = _versions(was.environment.package) if was.environment else {}
        environment, preferences = _merge_packages(ours.environment, theirs.environment, before)
    datasets = tuple(item for item in found if isinstance(item, DatasetPin))
    conflicts = tuple(item for item in found if isinstance(item, tuple))
    return MergedLock(
        Lock(dataset=datasets, environment=environment, jars=jars), conflicts, packages, again, preferences
    )


def _dataset(
    one: DatasetPin | None, other: DatasetPin | None, was: DatasetPin | None, base: Lock | None
) -> DatasetPin | tuple[DatasetPin, DatasetPin] | None:
    """The pin; both, where they conflict; None where it was removed, also where the other side resolved it again."""
    if one == other or (base is not None and other == was):
        return one
    if base is not None and one == was:
        return other
    if one is not None and other is not None:
        return one, other
    return None if was is not None else one or other


def _closure(one: T | None, other: T | None, was: T | None, base: Lock | None) -> tuple[T | None, bool]:
    """A whole set, and whether both sides changed it. One that only one side removed stays: repro.toml decides on it."""
    if one == other or (base is not None and other == was):
        return one, False
    if base is not None and one == was:
        return other, False
    if one is None or other is None:
        return one or other, False
    return None, True


def _merge_packages(
    ours: EnvironmentPin, theirs: EnvironmentPin, before: Mapping[str, str]
) -> tuple[EnvironmentPin, tuple[Preference, ...]]:
    """Both sides' packages, each at the version that its change asks for: the newer one where both changed it."""
    one, other = ({pin.name: pin for pin in side.package} for side in (ours, theirs))
    chosen, preferences = [], []
    for name in sorted(one.keys() | other.keys()):
        sides = [side[name] for side in (one, other) if name in side]
        changed = [pin for pin in sides if pin.version != before.get(name)]
        pin = max(changed or sides, key=lambda pin: _comparable(pin.version))
        chosen.append(pin)
        if changed and name in before:
            preferences.append(Preference(name, pin.version))
    requirements = tuple(dict.fromkeys((*ours.requirements, *theirs.requirements)))
    merged = ours.replaced({"package": tuple(chosen), "requirements": requirements, "seal": _BROKEN})
    return merged, tuple(preferences)


def _versions(packages: Iterable[PackagePin]) -> dict[str, str]:
    return {pin.name: pin.version for pin in packages}


def _comparable(version: str) -> tuple[int, Version | str]:
    try:
        return (1, Version(version))
    except InvalidVersion:
        return (0, version)
