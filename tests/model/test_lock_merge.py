"""Two branches' locks, merged: a thousand random pairs of branches, and the cases that need a person or a resolver."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from random import Random

from reprolock.model.lock import DatasetPin, EnvironmentPin, Lock, PackagePin
from reprolock.model.lock_merge import Preference, merge_locks
from reprolock.model.spec import Spec
from reprolock.steps.locking.staleness import stale_pins

NAMES = [f"data{number}" for number in range(6)]
PACKAGES = [f"package{number}" for number in range(5)]
TIME = datetime(2026, 1, 1, tzinfo=UTC)


class Branch:
    """What one branch has: declared datasets with the commit that is pinned, and packages with their version."""

    def __init__(self, datasets: dict[str, tuple[str, str]], packages: dict[str, int]) -> None:
        self.datasets, self.packages = datasets, packages

    def edited(self, random: Random, changes: int) -> Branch:
        """This branch after some commits: datasets added, removed, moved or upgraded, packages upgraded."""
        datasets, packages = dict(self.datasets), dict(self.packages)
        for _ in range(random.randrange(changes + 1)):
            name, commit = random.choice(NAMES), f"{random.randrange(16**8):08x}" * 5
            match random.choice(["upgrade", "move", "remove", "package"]):
                case "upgrade" if name in datasets:
                    datasets[name] = (datasets[name][0], commit)
                case "move" | "upgrade":
                    datasets[name] = (f"folder{random.randrange(3)}", commit)
                case "remove":
                    datasets.pop(name, None)
                case "package":
                    packages[random.choice(PACKAGES)] += random.randrange(1, 3)
        return Branch(datasets, packages)

    @property
    def lock(self) -> Lock:
        return Lock(
            dataset=tuple(pin(name, *self.datasets[name]) for name in sorted(self.datasets)),
            environment=self.environment,
        )

    @property
    def environment(self) -> EnvironmentPin:
        pins = tuple(
            PackagePin(name=name, version=f"{v}.0", hashes=("ab" * 32,)) for name, v in sorted(self.packages.items())
        )
        return EnvironmentPin.sealed(requirements=tuple(PACKAGES), python="3.11", package=pins)


def pin(name: str, folder: str, commit: str) -> DatasetPin:
    return DatasetPin.sealed(
        name=name, kind="git", uri=f"lakefs://example/main/{folder}/", commit=commit, time=TIME,
        resolved=f"lakefs://example/{commit}/{folder}/", objects=1, bytes=1, digest="git-blob-v1:" + "cd" * 32,
    )  # fmt: skip


def spec(folders: dict[str, str]) -> Spec:
    datasets = {name: {"uri": f"lakefs://example/main/{folder}/", "format": "csv"} for name, folder in folders.items()}
    document = {"project": {"name": "x"}, "lake": {"endpoint": "file:lake"}, "datasets": datasets}
    return Spec.model_validate(
        document | {"environment": {"packages": PACKAGES, "python": "3.11"}, "run": {"command": ["true"]}}
    )


def merged_folders(base: Branch, ours: Branch, theirs: Branch) -> dict[str, str] | None:
    """What git makes of the declarations; None where repro.toml itself is a conflict."""
    found = {}
    for name in NAMES:
        was, one, other = (side.datasets.get(name, (None, ""))[0] for side in (base, ours, theirs))
        if one not in (other, was) and other != was:
            return None
        folder = other if one == was else one
        if folder is not None:
            found[name] = folder
    return found


def test_a_thousand_pairs_of_branches() -> None:
    settled = 0
    for seed in range(1000):
        random = Random(seed)
        base = Branch({}, dict.fromkeys(PACKAGES, 1)).edited(random, 12)
        ours, theirs = base.edited(random, 3), base.edited(random, 3)
        folders = merged_folders(base, ours, theirs)
        if folders is None:
            continue
        merged = merge_locks(ours.lock, theirs.lock, base.lock)
        stale = stale_pins(Path("/nowhere"), spec(folders), merged.lock)
        both_changed = {one.name for one, _ in merged.conflicts}
        assert {item.name for item in stale if item.section == "dataset"} <= both_changed
        assert merged.packages == (len({side.environment.seal for side in (base, ours, theirs)}) == 3)
        assert [item.section for item in stale if item.section != "dataset"] == ["environment"] * merged.packages
        for side in (ours, theirs):  # no upgrade of either side is lost
            for name, (folder, commit) in side.datasets.items():
                if folders.get(name) == folder and base.datasets.get(name) != (folder, commit):
                    found = merged.lock.dataset_pin(name)
                    assert name in both_changed or (found is not None and found.commit == commit)
            for name, version in side.packages.items():
                assert merged.lock.environment is not None
                if version != base.packages[name]:
                    assert int((merged.lock.environment.version_of(name) or "0").partition(".")[0]) >= version
        settled += not merged.conflicts and not merged.packages
    assert settled > 400


def test_one_commit_on_both_sides_is_no_conflict() -> None:
    both = Lock(dataset=(pin("a", "x", "11" * 20),))
    assert merge_locks(both, both, Lock()).lock == both


def test_two_commits_of_one_dataset_are_a_conflict() -> None:
    ours, theirs = (Lock(dataset=(pin("a", "x", digit * 40),)) for digit in "12")
    merged = merge_locks(ours, theirs, Lock(dataset=(pin("a", "x", "3" * 40),)))
    assert merged.lock == Lock()
    assert [(one.commit[0], other.commit[0]) for one, other in merged.conflicts] == [("1", "2")]


def test_packages_of_both_sides_are_preferred_and_their_seal_is_broken() -> None:
    base = Branch({}, dict.fromkeys(PACKAGES, 1))
    ours = Branch({}, {**base.packages, "package0": 2, "package1": 9})
    theirs = Branch({}, {**base.packages, "package1": 10})
    merged = merge_locks(ours.lock, theirs.lock, base.lock)
    assert merged.packages and merged.lock.environment is not None and not merged.lock.environment.intact
    assert merged.preferences == (Preference("package0", "2.0"), Preference("package1", "10.0"))
