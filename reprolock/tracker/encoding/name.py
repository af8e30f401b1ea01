"""The name of a run in MLflow where none was given: what tells it apart, in place of two words that mean nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from reprolock.model.changes import flattened
from reprolock.model.placeholders import as_argument
from reprolock.model.record import Record
from reprolock.model.uri import LakeURI
from reprolock.model.words import plain

_MOST_DATASETS, _MOST_PARAMS = 2, 3
_LONGEST_VALUE, _LONGEST = 20, 120


class NamedRef(NamedTuple):
    """A dataset as it is read: its name, the ref and the commit; `what_if` where --data named the ref."""

    name: str
    ref: str
    commit: str
    what_if: bool


def name_of(record: Record) -> str | None:
    """The name that was given, else what tells the run apart."""
    datasets = [NamedRef(item.name, LakeURI.parse(item.uri).ref, item.commit, item.what_if) for item in record.datasets]
    return record.run_name or telling_name(record.what_if, record.params, datasets)


def telling_name(what_if: Mapping[str, Any], params: Mapping[str, Any], datasets: Iterable[NamedRef]) -> str | None:
    """`depth=5, train=exp` of a what-if; else its data and its first params, `train main@6aa6b34, depth=3`. None for nothing."""
    read = list(datasets)
    changed = [f"{item.name}={item.ref}" for item in read if item.what_if]
    changed = [*_values(what_if), *changed]
    if not changed:
        changed = [f"{item.name} {item.ref}@{item.commit[:7]}" for item in read[:_MOST_DATASETS]]
        changed += list(_values(flattened(params)))[:_MOST_PARAMS]
    return plain(", ".join(changed))[:_LONGEST] or None


def _values(params: Mapping[str, Any]) -> Iterable[str]:
    for name, value in params.items():
        text = as_argument(value)
        yield f"{name}={text if len(text) <= _LONGEST_VALUE else f'{text[: _LONGEST_VALUE - 1]}…'}"
