"""What `lock` changed, as rows: a whole closure where it is new or gone, its packages and jars one by one where it was updated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reprolock.model.lock import DatasetPin, EnvironmentPin, JarPin, JarsPin
from reprolock.model.words import counted, short, size
from reprolock.steps.locking.lock import Change

Versions = dict[str, tuple[str, object]]
"""By name: the versions in words, and all that is pinned under the name."""


def change_rows(change: Change) -> list[list[str]]:
    """One change as rows for people; of an updated closure one row for each part that moved."""
    before, after = change.before, change.after
    match after or before:
        case DatasetPin() as pin:
            return [_dataset(change.kind, pin, before if isinstance(before, DatasetPin) and after else None)]
        case JarsPin() as jars:
            moved = list(_jars(before, after)) if isinstance(before, JarsPin) and isinstance(after, JarsPin) else []
            return moved or [[change.kind, counted(len(jars.jar), "jar"), size(jars.bytes)]]
        case EnvironmentPin() as packages:
            both = isinstance(before, EnvironmentPin) and isinstance(after, EnvironmentPin)
            moved = list(_packages(before, after)) if both else []  # type: ignore[arg-type]
            return moved or [[change.kind, counted(len(packages.package), "package"), f"python {packages.python}"]]
    return []


def _dataset(kind: str, pin: DatasetPin, before: DatasetPin | None) -> list[str]:
    repository, ref = pin.uri.removeprefix("lakefs://").split("/")[:2]
    start = short(before.commit) if before and before.commit != pin.commit else f"{repository} {ref}"
    return [
        kind,
        f"dataset {pin.name}",
        f"{start} → {short(pin.commit)}",
        f"{counted(pin.objects, 'object')}, {size(pin.bytes)}",
    ]


def _packages(before: EnvironmentPin, after: EnvironmentPin) -> Iterator[list[str]]:
    for name in ("python", "java"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield ["Updated", name, f"{old or 'none'} → {new or 'none'}"]
    old_versions, new_versions = (
        _versions((item.name, item.version, *item.hashes) for item in pin.package) for pin in (before, after)
    )
    yield from _version_changes("package", old_versions, new_versions)


def _jars(before: JarsPin, after: JarsPin) -> Iterator[list[str]]:
    if before.spark != after.spark:
        yield ["Updated", "jars", f"Spark {before.spark} → {after.spark}"]
    old_versions, new_versions = (_versions(_jar(item) for item in pin.jar) for pin in (before, after))
    yield from _version_changes("jar", old_versions, new_versions)


def _jar(pin: JarPin) -> tuple[str, str, str]:
    """GROUP:ARTIFACT[:CLASSIFIER], version, hash."""
    group, artifact, version, *classifier = pin.coordinate.split(":")
    return ":".join([group, artifact, *classifier]), version, pin.sha256


def _versions(items: Iterable[tuple[str, ...]]) -> Versions:
    """Parts by name; one name may stand for several versions, each for some platforms."""
    grouped: dict[str, list[tuple[str, ...]]] = {}
    for name, *rest in items:
        grouped.setdefault(name, []).append(tuple(rest))
    return {name: (", ".join(sorted(version for version, *_ in parts)), parts) for name, parts in grouped.items()}


def _version_changes(what: str, before: Versions, after: Versions) -> Iterator[list[str]]:
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield ["Added", f"{what} {name}", after[name][0]]
        elif name not in after:
            yield ["Removed", f"{what} {name}", before[name][0]]
        elif before[name][0] != after[name][0]:
            yield ["Updated", f"{what} {name}", f"{before[name][0]} → {after[name][0]}"]
        elif before[name][1] != after[name][1]:
            yield ["Updated", f"{what} {name}", f"{after[name][0]}, other files"]
