"""Two branches' locks, merged: the cases that need a person or a resolver. tests/property has the law over random pairs."""

from __future__ import annotations

from datetime import UTC, datetime

from reprolock.model.lock import DatasetPin, EnvironmentPin, Lock, PackagePin
from reprolock.model.lock_merge import Preference, merge_locks


def pin(name: str, folder: str, commit: str) -> DatasetPin:
    return DatasetPin.sealed(
        name=name, kind="git", uri=f"lakefs://example/main/{folder}/", commit=commit, time=datetime(2026, 1, 1, tzinfo=UTC),
        resolved=f"lakefs://example/{commit}/{folder}/", objects=1, bytes=1, digest="git-blob-v1:" + "cd" * 32,
    )  # fmt: skip


def with_packages(**versions: str) -> Lock:
    pins = tuple(PackagePin(name=name, version=version, hashes=("ab" * 32,)) for name, version in versions.items())
    return Lock(environment=EnvironmentPin.sealed(requirements=tuple(versions), python="3.11", package=pins))


def test_one_commit_on_both_sides_is_no_conflict() -> None:
    both = Lock(dataset=(pin("a", "x", "11" * 20),))
    assert merge_locks(both, both, Lock()).lock == both


def test_two_commits_of_one_dataset_are_a_conflict() -> None:
    ours, theirs = (Lock(dataset=(pin("a", "x", digit * 40),)) for digit in "12")
    merged = merge_locks(ours, theirs, Lock(dataset=(pin("a", "x", "3" * 40),)))
    assert merged.lock == Lock()
    assert [(one.commit[0], other.commit[0]) for one, other in merged.conflicts] == [("1", "2")]


def test_packages_of_both_sides_are_preferred_and_their_seal_is_broken() -> None:
    base = with_packages(numpy="1.0", pandas="1.0", six="1.0")
    merged = merge_locks(
        with_packages(numpy="2.0", pandas="9.0", six="1.0"), with_packages(numpy="1.0", pandas="10.0", six="1.0"), base
    )
    assert merged.packages and merged.lock.environment is not None and not merged.lock.environment.intact
    assert merged.preferences == (Preference("numpy", "2.0"), Preference("pandas", "10.0"))
