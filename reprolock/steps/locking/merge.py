"""Read a repro.lock that git could not merge, and merge it pin by pin.

1. The three versions: as git has them beside the conflict (`:1:`, `:2:`, `:3:`), else out of the conflict markers.
2. Pins that one side changed are taken from it (`model.lock_merge`).
3. `lock` resolves what both changed, with both sides' versions preferred; what is lost then is an error here.
"""

from __future__ import annotations

from pathlib import Path

from reprolock.environment.code.git import blob_at
from reprolock.errors import LockError
from reprolock.files.conflict import Sides, has_markers, split_markers
from reprolock.files.lock_file import NAME, parse_lock
from reprolock.model.lock import DatasetPin, EnvironmentPin, Lock
from reprolock.model.lock_merge import MergedLock, merge_locks
from reprolock.model.spec import Spec
from reprolock.steps.locking.options import LockOptions
from reprolock.steps.locking.staleness import dataset_problem


def merged_lock(root: Path, data: bytes | None) -> MergedLock:
    """What the bytes of repro.lock pin, merged where they have conflict markers; None pins nothing. LockError."""
    if data is None:
        return MergedLock(Lock())
    if not has_markers(data):
        return MergedLock(parse_lock(data))
    return merge_sides(_staged(root) or split_markers(data))


def merge_sides(sides: Sides) -> MergedLock:
    """The merge of a file's versions. LockError names the version that is not a lock."""
    base = parse_lock(sides.base, f"the common ancestor of {NAME}") if sides.base is not None else None
    ours, theirs = (parse_lock(data, f"one side of {NAME}") for data in (sides.ours, sides.theirs))
    return merge_locks(ours, theirs, base)


def settle_datasets(merged: MergedLock, spec: Spec, options: LockOptions) -> Lock:
    """The lock with the pins of datasets that both sides changed, where repro.toml decides between them.

    LockError (exit 3) names those that it does not decide; `--upgrade` and `--upgrade-dataset NAME` resolve them.
    """
    settled, open_ones = [], []
    for ours, theirs in merged.conflicts:
        if ours.name not in spec.datasets or options.upgrade or ours.name in options.upgrade_datasets:
            continue
        fitting = [
            pin for pin in (ours, theirs) if not dataset_problem(pin.name, spec.datasets[pin.name], spec.lake, pin)
        ]
        settled += fitting if len(fitting) == 1 else []
        open_ones += [(ours, theirs)] if len(fitting) == 2 else []
    if open_ones:
        names = " ".join(f"--upgrade-dataset {ours.name}" for ours, _ in open_ones)
        raise LockError(
            f"{NAME} has a conflict that is yours to decide: both sides pinned "
            f"{'a dataset' if len(open_ones) == 1 else 'datasets'} at different commits",
            problems=tuple(_told(ours, theirs) for ours, theirs in open_ones),
            hint=f"`reprolock lock {names}` pins what the branch holds now; or take a side whole with `git checkout --ours {NAME}`",
        )
    pins = sorted((*merged.lock.dataset, *settled), key=lambda pin: pin.name)
    return Lock(dataset=tuple(pins), environment=merged.lock.environment, jars=merged.lock.jars)


def check_nothing_lost(merged: MergedLock, resolved: EnvironmentPin | None, options: LockOptions) -> None:
    """LockError (exit 3) where a package that a side upgraded is resolved to another version."""
    if not merged.packages or resolved is None or options.upgrade:
        return
    lost = [
        f"{item.name} {item.version} was pinned by one side, and {found} is what all requirements together allow"
        for item in merged.preferences
        if (found := resolved.version_of(item.name)) not in (None, item.version)
    ]
    if lost:
        raise LockError(
            f"{NAME} cannot hold the package versions of both sides",
            problems=tuple(lost),
            hint="change the requirements so that they allow them, or run `reprolock lock --upgrade`",
        )


def _staged(root: Path) -> Sides | None:
    """The versions that git keeps beside a conflict; None without git, or where the conflict is marked as resolved."""
    try:
        base, ours, theirs = (blob_at(root, f":{stage}", f"./{NAME}") for stage in (1, 2, 3))
    except FileNotFoundError:
        return None
    # In place of a version there may be a conflict of its own: a rebase of a branch with merges.
    if ours is None or theirs is None or has_markers(ours) or has_markers(theirs):
        return None
    return Sides(ours, theirs, base)


def _told(ours: DatasetPin, theirs: DatasetPin) -> str:
    return f"datasets.{ours.name}: ours {ours.commit[:12]} ({ours.time:%Y-%m-%d}), theirs {theirs.commit[:12]} ({theirs.time:%Y-%m-%d})"
