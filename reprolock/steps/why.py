"""Why a run is not the run before it: two records in, sentences out. No IO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reprolock.model.record import Record
from reprolock.model.sections import SECTIONS

FIRST = "first run of this project"
_NAMED = 3


def why(record: Record, before: Record | None) -> tuple[str, ...]:
    """One sentence a difference, in the order of the sections; `FIRST`, or that nothing changed."""
    if before is None:
        return (FIRST,)
    found = tuple(sentence for section in SECTIONS for sentence in _section(section, record, before))
    return found or (f"nothing changed since run {before.run_id[:8]}",)


def differing(record: Record, before: Record) -> tuple[str, ...]:
    """The sections whose pinned or observed digest differs."""
    return tuple(
        name
        for name in SECTIONS
        if record.pinned.sections[name] != before.pinned.sections[name]
        or record.observed.sections[name] != before.observed.sections[name]
    )


def _section(section: str, record: Record, before: Record) -> Iterator[str]:
    if section not in differing(record, before):
        return
    match section:
        case "data":
            old, new = ({item.name: item.commit[:12] for item in one.datasets} for one in (before, record))
            yield from list(_changes("", old, new)) or ["data: how a dataset is read"]
        case "packages":
            old, new = before.environment.packages, record.environment.packages
            yield _some("packages", list(_changes("", old, new)))
        case "java":
            old, new = ((one.spark.java if one.spark else None) for one in (before, record))
            yield f"Java {old} → {new}"
        case "spark":
            old, new = ((one.spark.conf | {"master": one.spark.master} if one.spark else {}) for one in (before, record))
            yield _some("spark", list(_changes("", old, new)))
        case "code":
            yield _some("code", sorted({path for path, _ in before.code.tree.items() ^ record.code.tree.items()}))
        case "params":
            yield from _changes("params.", flattened(before.params), flattened(record.params))
        case "seed":
            yield f"seed {before.seed} → {record.seed}"
        case "command":
            old, new = " ".join(before.command), " ".join(record.command)
            yield f"command {old} → {new}" if old != new else "command: variables or outputs"
        case _:
            yield f"{section} changed"


def flattened(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{above}{name}.")
        else:
            flat[above + name] = value
    return flat


def _changes(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        # 1 and 1.0 differ, as they do in the digests
        if name not in old:
            yield f"{prefix}{name} is new"
        elif name not in new:
            yield f"{prefix}{name} is gone"
        elif (type(old[name]), old[name]) != (type(new[name]), new[name]):
            yield f"{prefix}{name} {old[name]} → {new[name]}"


def _some(section: str, items: list[str]) -> str:
    shown = ", ".join(items[:_NAMED])
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return f"{section}: {shown}{more}" if items else f"{section} changed"
