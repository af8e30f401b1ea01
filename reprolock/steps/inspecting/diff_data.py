"""Compare the data of two locks or two runs: their commits, and the objects that the lake reports as changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import ReprolockError
from reprolock.lake.open import anchored, open_lake
from reprolock.lake.protocol import Lake
from reprolock.model.difference import Change, Objects, Section
from reprolock.model.glob import matches
from reprolock.model.spec import Spec
from reprolock.model.uri import LakeURI
from reprolock.steps.project.locate import lake_endpoint
from reprolock.steps.project.machine import Machine

FIRST = 5
"""How many objects are named where not all are asked for."""
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


class Held(NamedTuple):
    """One dataset of a side. `reading`: format and options; "" in a lock, which does not have them. `rows`: where they are known."""

    uri: str
    resolved: str
    commit: str
    digest: str
    kind: str
    glob: str | None
    reading: str = ""
    rows: int | None = None

    def is_as(self, other: Held) -> bool:
        """Rows follow from the bytes, and one of two records may not know them."""
        return self._replace(rows=None) == other._replace(rows=None)


def data_section(
    old: Mapping[str, Held],
    new: Mapping[str, Held],
    root: Path,
    given: str | None,
    spec: Spec | None,
    machine: Machine,
    all_objects: bool,
) -> Section:
    """`given` is --lake; `spec` is that of a run, whose endpoint is foreign input. A lake that is away is a remark."""
    renamed = _renamed(old, new)
    old = {renamed.get(name, name): held for name, held in old.items()}
    former = {name: was for was, name in renamed.items()}
    found = [
        change
        for name in sorted(old.keys() | new.keys())
        for change in _changes(name, old.get(name), new.get(name), former.get(name))
    ]
    pairs = {
        name: (old[name], new[name]) for name in sorted(old.keys() & new.keys()) if _comparable(old[name], new[name])
    }
    objects: list[Objects] = []
    remarks: list[str] = []
    if pairs:
        try:
            with closing(_open(root.resolve(), given, spec, machine)) as lake:
                for name, (before, after) in pairs.items():
                    objects.append(_objects(lake, name, before, after, all_objects))
        except ReprolockError as error:
            remarks.append(f"objects not compared: {error.message}")
    detail = ", ".join(f"{name} {held.commit[:12]}" for name, held in sorted(new.items()))
    return Section(name="data", detail=detail, changes=tuple(found), objects=tuple(objects), remarks=tuple(remarks))


def _renamed(old: Mapping[str, Held], new: Mapping[str, Held]) -> dict[str, str]:
    """Old name → new name of each dataset that one side alone has, where just one of the other side's is at the same address,
    or, failing that, of the same bytes."""
    found: dict[str, str] = {}
    keys: tuple[Callable[[Held], Hashable], ...] = (
        lambda held: (held.uri, held.glob),
        lambda held: (held.digest, held.glob),
    )
    for key in keys:
        gone = _single({name: key(held) for name, held in old.items() if name not in new and name not in found})
        taken = found.values()
        come = _single({name: key(held) for name, held in new.items() if name not in old and name not in taken})
        found |= {name: come[known] for known, name in gone.items() if known in come}
    return found


def _single(keys: Mapping[str, Hashable]) -> dict[Hashable, str]:
    """The name of each key that one name alone has."""
    counts = Counter(keys.values())
    return {key: name for name, key in keys.items() if counts[key] == 1}


def _changes(name: str, old: Held | None, new: Held | None, before: str | None) -> list[Change]:
    """`before` is the name that the old side has for it, if that is another."""
    if old and new and old.is_as(new) and before is None:
        return []
    if old is None or new is None:
        held = new or old
        assert held is not None
        commit = held.commit[:12]
        return [Change(name=name, old=commit if old else None, new=commit if new else None, note=held.uri)]
    moved = _place(old) != _place(new)
    notes = [f"renamed from {before}"] if before else []
    if moved:
        notes.append(f"{old.uri} → {new.uri}")
    if old.glob != new.glob:
        notes.append(f"glob {old.glob} → {new.glob}")
    if old.reading != new.reading:
        notes.append(f"read as {old.reading} → {new.reading}")
    if old.digest == new.digest and (moved or old.commit != new.commit):
        notes.append("the same bytes")
    if not notes and old.commit == new.commit:
        notes.append(f"{old.uri} → {new.uri}" if old.uri != new.uri else "another digest of the same commit")
    if old.rows is not None and new.rows is not None:
        notes.append(f"{old.rows} → {new.rows} rows" if old.rows != new.rows else f"{new.rows} rows in both")
    return [Change(name=name, old=old.commit[:12], new=new.commit[:12], note="; ".join(notes))]


def _place(held: Held) -> tuple[str, str]:
    place = LakeURI.parse(held.resolved)
    return place.repository, place.path


def _comparable(old: Held, new: Held) -> bool:
    """Whether a lake's own diff of two commits says what changed in a dataset."""
    alike = old.kind == new.kind and old.glob == new.glob and _place(old) == _place(new)
    return alike and old.commit != new.commit and old.digest != new.digest


def _open(root: Path, given: str | None, spec: Spec | None, machine: Machine) -> Lake:
    if given or spec is None:
        endpoint, declared = lake_endpoint(root, given, machine), "--lake" if given else "repro.toml"
    else:
        endpoint, declared = spec.lake.endpoint, "the record"
    return open_lake(anchored(endpoint, root), root, machine.environ, machine.home, declared_in=declared)


def _objects(lake: Lake, name: str, old: Held, new: Held, all_objects: bool) -> Objects:
    """By the lake's own diff: neither side is listed."""
    repository, path = _place(new)
    counts = dict.fromkeys(_SIGNS, 0)
    first: list[str] = []
    for change in lake.diff(repository, old.commit, new.commit, path):
        if not matches(change.path, new.glob):
            continue
        counts[change.kind] += 1
        if all_objects or len(first) < FIRST:
            first.append(f"{_SIGNS[change.kind]} {change.path}")
    return Objects(
        dataset=name, added=counts["added"], removed=counts["removed"], changed=counts["changed"], first=tuple(first)
    )
