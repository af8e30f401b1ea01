"""Say why a run differs from the run before it, by comparing their records. No IO."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from reprolock.model.record import DatasetRecord, Record
from reprolock.model.sections import SECTIONS, deciding_settings

FIRST = "first run of this project"
_NAMED = 3
_READ_BY = ("uri", "glob", "format", "options")


def why(record: Record, before: Record | None) -> tuple[str, ...]:
    """One sentence a difference, in the order of the sections; `FIRST`, or that nothing changed."""
    if before is None:
        return (FIRST,)
    found = tuple(sentence for section in differing(record, before) for sentence in _section(section, before, record))
    return found or (f"nothing changed since run {before.run_id[:8]}",)


def differing(record: Record, before: Record) -> tuple[str, ...]:
    """The sections whose pinned or observed digest differs."""
    return tuple(
        name
        for name in SECTIONS
        if record.pinned.sections.get(name) != before.pinned.sections.get(name)
        or record.observed.sections.get(name) != before.observed.sections.get(name)
    )


def _section(section: str, old: Record, new: Record) -> Iterator[str]:
    match section:
        case "data":
            yield from list(_data(old, new)) or ["data changed"]
        case "packages":
            yield _packages(old, new)
        case "java":
            found = [one.spark.java if one.spark else None for one in (old, new)]
            yield (
                "Java: what is asked for"
                if found[0] == found[1]
                else f"Java {found[0] or 'none'} → {found[1] or 'none'}"
            )
        case "spark":
            settings = [
                deciding_settings(one.spark.conf) | {"master": one.spark.master} if one.spark else {}
                for one in (old, new)
            ]
            yield _some("spark", list(_changes("", *settings)))
        case "code":
            yield _some("code", sorted({path for path, _ in old.code.tree.items() ^ new.code.tree.items()}))
        case "params":
            values = [flattened(_as_json(one, "params")) for one in (old, new)]
            yield from list(_changes("params.", *values)) or ["params: the type of a value"]
        case "seed":
            yield f"seed {_display(old.seed)} → {_display(new.seed)}"
        case "command":
            yield from list(_command(old, new)) or ["the declared outputs"]
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


def _data(old: Record, new: Record) -> Iterator[str]:
    """Commits; and for what stands at the same commit, how it is addressed and read."""
    datasets: list[dict[str, DatasetRecord]] = [{item.name: item for item in one.datasets} for one in (old, new)]
    yield from _changes("", *({name: item.commit[:12] for name, item in found.items()} for found in datasets))
    before, after = datasets
    for name in sorted(before.keys() & after.keys()):
        read = [{field: getattr(found[name], field) or "" for field in _READ_BY} for found in datasets]
        if before[name].resolved.replace(before[name].commit, "") == after[name].resolved.replace(
            after[name].commit, ""
        ):
            read = [{**fields, "uri": ""} for fields in read]  # another branch, and the same path on it
        yield from _changes(f"datasets.{name}.", *map(flattened, read))


def _packages(old: Record, new: Record) -> str:
    versions = [{"Python": one.environment.python, **one.environment.packages} for one in (old, new)]
    if changes := list(_changes("", *versions)):
        return _some("packages", changes)
    other = {name for name, _ in old.environment.wheels.items() ^ new.environment.wheels.items()}
    return _some(
        "packages", [f"{name} has other files" for name in sorted(other)] or ["what is locked, not what is installed"]
    )


def _command(old: Record, new: Record) -> Iterator[str]:
    """Arguments and variables. Of a run that only starts, the outputs are not in its record yet."""
    arguments = [" ".join(one.command).replace(one.run_id, "RUN") for one in (old, new)]  # its own folder may be named
    if arguments[0] != arguments[1]:
        yield f"command {arguments[0]} → {arguments[1]}"
    yield from _changes("env.", old.env, new.env)
    if passed := {*old.pass_env} ^ {*new.pass_env}:
        yield _some("pass_env", sorted(passed))


def _as_json(record: Record, field: str) -> dict[str, Any]:
    """A field as record.json has it, where NaN and dates are text: the run before was read from there."""
    value: dict[str, Any] = json.loads(record.model_dump_json(include={field}))[field]
    return value


def _changes(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield f"{prefix}{name} is new"
        elif name not in new:
            yield f"{prefix}{name} is gone"
        elif _with_type(old[name]) != _with_type(new[name]):
            before, after = _display(old[name]), _display(new[name])
            if before == after:
                before, after = _with_type(old[name]), _with_type(new[name])
            yield f"{prefix}{name} {before} → {after}"


def _with_type(value: Any) -> str:
    """1, 1.0, true and "1" differ here, as they do in the digests."""
    return json.dumps(value, ensure_ascii=False)


def _display(value: Any) -> str:
    if value in (None, ""):
        return "none"
    return value if isinstance(value, str) else _with_type(value)


def _some(section: str, items: list[str]) -> str:
    shown = ", ".join(items[:_NAMED])
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return f"{section}: {shown}{more}" if items else f"{section} changed"
