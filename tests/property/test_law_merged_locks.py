"""Law: two branches' locks merge to one that fits the merged repro.toml, holds what either side changed, and has no set of
packages or jars that neither side nor a resolver made. What cannot be merged is named as out of date."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

import pytest

from reprolock.model.lock import DatasetPin, EnvironmentPin, JarPin, JarsPin, Lock, PackagePin
from reprolock.model.lock_merge import MergedLock, merge_locks
from reprolock.model.spec import Spec
from reprolock.steps.locking.staleness import Stale, stale_pins

pytestmark = pytest.mark.property

DATASETS = [f"data{number}" for number in range(5)]
PACKAGES = [f"package{number}" for number in range(5)]
JARS = ["g:one:1", "g:two:1"]
KINDS = ["dataset", "upgrade", "remove", "package", "bump", "drop", "jars", "release", "param"]
TIME = datetime(2026, 1, 1, tzinfo=UTC)
EXPLORES = os.environ.get("REPROLOCK_LAWS") == "explore"
SEEDS: list[object] = [Random().random() for _ in range(5000)] if EXPLORES else list(range(1000))
T = TypeVar("T")


class Conflict(Exception):
    """repro.toml itself is a conflict, which a person settles."""


class Branch(NamedTuple):
    """What a branch declares, and what its lock pins for it: folders and commits, versions, jars and their release."""

    datasets: Mapping[str, tuple[str, str]]
    packages: Mapping[str, int]
    jars: tuple[str, ...] | None
    release: int
    params: Mapping[str, int]

    def edited(self, random: Random, changes: int) -> Branch:
        """This branch after some commits."""
        datasets, packages, params = dict(self.datasets), dict(self.packages), dict(self.params)
        jars, release = self.jars, self.release
        for _ in range(random.randrange(changes + 1)):
            name, package = random.choice(DATASETS), random.choice(PACKAGES)
            folder, commit = f"folder{random.randrange(3)}", f"{random.randrange(16**8):08x}" * 5
            match random.choice([*KINDS, "bump", "bump"]):
                case "dataset":
                    datasets[name] = (folder, commit)
                case "upgrade" if name in datasets:
                    datasets[name] = (datasets[name][0], commit)
                case "remove":
                    datasets.pop(name, None)
                case "package":
                    packages.setdefault(package, 1)
                case "bump" if package in packages:
                    packages[package] += random.randrange(1, 3)
                case "drop":
                    packages.pop(package, None)
                case "jars":
                    jars = random.choice([None, (), tuple(JARS[:1]), tuple(JARS)])
                case "release":
                    release += 1
                case "param":
                    params[random.choice("abc")] = random.randrange(9)
        return Branch(datasets, packages, jars, release, params)

    @property
    def lock(self) -> Lock:
        datasets = tuple(_dataset(name, *self.datasets[name]) for name in sorted(self.datasets))
        return Lock(dataset=datasets, environment=self.environment, jars=self.closure)

    @property
    def environment(self) -> EnvironmentPin | None:
        if not self.packages:
            return None
        found = sorted(self.packages.items())
        pins = tuple(PackagePin(name=name, version=f"{number}.0", hashes=("ab" * 32,)) for name, number in found)
        return EnvironmentPin.sealed(requirements=tuple(sorted(self.packages)), python="3.11", java="17", package=pins)

    @property
    def closure(self) -> JarsPin | None:
        if self.jars is None:
            return None
        names = (*self.jars, f"io.openlineage:openlineage-spark_2.13:1.{self.release}")
        pins = tuple(JarPin(coordinate=name, sha256="cd" * 32, bytes=1) for name in names)
        return JarsPin.sealed(packages=self.jars, spark="4.0.0", jar=pins)


def _dataset(name: str, folder: str, commit: str) -> DatasetPin:
    return DatasetPin.sealed(
        name=name, kind="git", uri=f"lakefs://example/main/{folder}/", commit=commit, time=TIME,
        resolved=f"lakefs://example/{commit}/{folder}/", objects=1, bytes=1, digest="git-blob-v1:" + "cd" * 32,
    )  # fmt: skip


def three_way(base: T, ours: T, theirs: T) -> T:
    """What git makes of one value. Conflict where both sides changed it differently."""
    if ours != theirs and base not in (ours, theirs):
        raise Conflict
    return theirs if ours == base else ours


def merged_spec(base: Branch, ours: Branch, theirs: Branch) -> Spec:
    """repro.toml after the merge, key by key."""
    sides = (base, ours, theirs)
    folders = {name: three_way(*(side.datasets.get(name, (None,))[0] for side in sides)) for name in DATASETS}
    packages = [name for name in PACKAGES if three_way(*(name in side.packages for side in sides))]
    jars = three_way(*(side.jars for side in sides))
    params = {name: three_way(*(side.params.get(name) for side in sides)) for name in "abc"}
    document: dict[str, Any] = {
        "project": {"name": "x"},
        "lake": {"endpoint": "file:lake"},
        "datasets": {
            name: {"uri": f"lakefs://example/main/{folder}/", "format": "csv"}
            for name, folder in folders.items()
            if folder is not None
        },
        "params": {name: value for name, value in params.items() if value is not None},
        "environment": {"packages": packages, "python": "3.11"} if packages else {},
        "run": {"command": ["true"]},
    }
    return Spec.model_validate(document | ({} if jars is None else {"spark": {"packages": list(jars)}}))


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Branch, Branch, Branch, Spec]]:
    """Base, ours, theirs, and the merged repro.toml; pairs whose repro.toml is a conflict are left out."""
    found = []
    for seed in SEEDS:
        random = Random(seed)
        base = Branch({}, {"package0": 1, "package1": 1, "package2": 1}, (), 1, {}).edited(random, 12)
        ours, theirs = base.edited(random, 3), base.edited(random, 3)
        try:
            found.append((base, ours, theirs, merged_spec(base, ours, theirs)))
        except Conflict:
            continue
    assert len(found) > 0.8 * len(SEEDS)
    return found


Sides = tuple[Branch, Branch, Branch, Spec]


def merge(sides: Sides) -> tuple[MergedLock, dict[str, list[Stale]]]:
    """The merge, and what is out of date in it by section."""
    base, ours, theirs, spec = sides
    merged = merge_locks(ours.lock, theirs.lock, base.lock)
    stale: dict[str, list[Stale]] = {"dataset": [], "environment": [], "jars": []}
    for item in stale_pins(Path("/nowhere"), spec, merged.lock):
        stale[item.section].append(item)
    return merged, stale


def test_what_is_out_of_date_is_what_both_sides_changed(pairs: list[Sides]) -> None:
    settled = 0
    for sides in pairs:
        base, ours, theirs, spec = sides
        merged, stale = merge(sides)
        assert {item.name for item in stale["dataset"]} <= {one.name for one, _ in merged.conflicts}
        both = {
            name: len({getattr(side.lock, name) for side in (base, ours, theirs)}) == 3
            for name in ("environment", "jars")
        }
        # A set that one side removed and the other changed stays until `lock` drops what repro.toml no longer declares.
        for section, declared in (("environment", bool(spec.environment.packages)), ("jars", spec.spark is not None)):
            assert not stale[section] or both[section]
            assert (
                bool(stale[section])
                or not (merged.packages if section == "environment" else merged.jars)
                or not declared
            )
        settled += not any(stale.values()) and not merged.conflicts
    assert settled > 0.3 * len(pairs)


def test_no_change_of_either_side_is_lost(pairs: list[Sides]) -> None:
    for sides in pairs:
        base, *branches, spec = sides
        merged, _ = merge(sides)
        open_ones = {one.name for one, _ in merged.conflicts}
        for side in branches:
            for name, (folder, commit) in side.datasets.items():
                if (
                    f"/{folder}/" in (spec.datasets[name].uri if name in spec.datasets else "")
                    and name not in open_ones
                ):
                    found = merged.lock.dataset_pin(name)
                    assert base.datasets.get(name) == (folder, commit) or (found is not None and found.commit == commit)
            for name in set(side.packages) & set(spec.environment.packages or ()):
                assert merged.lock.environment is not None
                version = int((merged.lock.environment.version_of(name) or "0").partition(".")[0])
                assert side.packages[name] == base.packages.get(name) or version >= side.packages[name]


def test_no_set_is_anybodys_but_a_sides(pairs: list[Sides]) -> None:
    for sides in pairs:
        base, ours, theirs, _ = sides
        lock = merge(sides)[0].lock
        for one, known in (
            (lock.environment, [side.environment for side in (base, ours, theirs)]),
            (lock.jars, [side.closure for side in (base, ours, theirs)]),
        ):
            assert one is None or one in known or not one.intact
