"""`diff`: compare two locks, two git revisions of a lock, or two runs, into a `Difference`.

The values themselves are compared. Where they agree and a section's digests do not, the
section is said to differ all the same: nothing is called equal that reprolock did not find equal.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reprolock.errors import UsageError
from reprolock.model.changes import differing, flattened
from reprolock.model.difference import Change, Comparison, Difference, Section, joined
from reprolock.model.lock import EnvironmentPin, JarsPin, Lock, PackagePin
from reprolock.model.record import CodeRecord, OutputRecord, Record
from reprolock.model.sections import deciding_settings
from reprolock.model.spec import Spec
from reprolock.model.words import command_line
from reprolock.steps.inspecting.diff_data import Held, data_section
from reprolock.steps.inspecting.operands import LockSide, RunSide, Sides
from reprolock.steps.project.machine import Machine

_LARGEST = 2**20
"""A larger file is named, and not shown line by line."""


def diff(
    root: Path,
    left: str,
    right: str,
    *,
    tracking_uri: str | None = None,
    lake: str | None = None,
    all_objects: bool = False,
    machine: Machine | None = None,
) -> Difference:
    """Compare two lock files, two git revisions of repro.lock, or two runs (IDs, or folders of artifacts).

    `lake` is an endpoint to use instead of the declared one; a lake that does not answer is a remark. UsageError for a
    side that is nothing, or a lock beside a run.
    """
    machine = machine or Machine.here()
    with Sides(root, machine, tracking_uri) as sides:
        old, new = sides.find(left), sides.find(right)
        asked = _Asked(root, lake, machine, all_objects)
        if isinstance(old, LockSide) and isinstance(new, LockSide):
            sections = _of_locks(old.lock, new.lock)
            data = asked.data(_collect_held(old.lock), _collect_held(new.lock))
            return Difference(
                kind="lock", left=old.label, right=new.label, sections=tuple(filter(_is_there, (data, *sections)))
            )
        if isinstance(old, RunSide) and isinstance(new, RunSide):
            return _of_two_runs(old, new, asked)
    words = {LockSide: "a lock", RunSide: "a run"}
    raise UsageError(
        f"{left} is {words[type(old)]} and {right} {words[type(new)]}",
        hint="compare two locks or two runs; a run's own repro.lock is among its artifacts",
    )


def compare(
    root: Path,
    runs: Sequence[str],
    *,
    tracking_uri: str | None = None,
    lake: str | None = None,
    machine: Machine | None = None,
) -> Comparison:
    """Several runs, each compared with the first, as one table of what not all of them have alike. Errors as of `diff`."""
    machine = machine or Machine.here()
    with Sides(root, machine, tracking_uri) as sides:
        found = [sides.run(name) for name in runs]
        asked = _Asked(root, lake, machine, False)
        names = [side.record.run_name or "" for side in found]
        labels = [
            name if name and names.count(name) == 1 else side.record.run_id[:8]
            for name, side in zip(names, found, strict=True)
        ]
        differences = [_of_two_runs(found[0], side, asked) for side in found[1:]]
        return joined(labels, [side.record.run_id for side in found], differences)


class _Asked(NamedTuple):
    """What a comparison of data may ask, and how much of it is named."""

    root: Path
    lake: str | None
    machine: Machine
    all_objects: bool

    def data(self, old: Mapping[str, Held], new: Mapping[str, Held], spec: Spec | None = None) -> Section:
        """The section of the data."""
        return data_section(old, new, self.root, self.lake, spec, self.machine, self.all_objects)


def _of_two_runs(old: RunSide, new: RunSide, asked: _Asked) -> Difference:
    data = asked.data(_read(old.record), _read(new.record), new.spec)
    sections = (_add_notes(section, old.record, new.record) for section in (data, *_of_runs(old, new)))
    return Difference(kind="run", left=old.label, right=new.label, sections=tuple(filter(_is_there, sections)))


def _collect_held(lock: Lock) -> dict[str, Held]:
    return {pin.name: Held(pin.uri, pin.resolved, pin.commit, pin.digest, pin.kind, pin.glob) for pin in lock.dataset}


def _read(record: Record) -> dict[str, Held]:
    return {
        item.name: Held(
            item.uri,
            item.resolved,
            item.commit,
            item.digest,
            item.kind,
            item.glob,
            " ".join([item.format, *_options(item.options)]),
            item.rows,
        )
        for item in record.datasets
    }


def _options(options: Mapping[str, str]) -> Iterator[str]:
    return (f"{name}={value}" for name, value in sorted(options.items()))


def _is_there(section: Section) -> bool:
    """Sections that neither side has are not spoken of."""
    return bool(section.detail or section.changes or section.remarks)


def _add_notes(section: Section, old: Record, new: Record) -> Section:
    """A section whose digests differ is never called the same."""
    if section.same and section.name in differing(new, old):
        note = "the digests differ, in something that is not shown here"
        return section.replaced({"changes": (Change(name=section.name, note=note),)})
    return section


def _of_locks(old: Lock, new: Lock) -> Iterator[Section]:
    before, after = old.environment, new.environment
    packages = [*_closure(before, after), *changes(_requirements(before), _requirements(after), "requirement ")]
    if not packages and before != after and (before and before.java) == (after and after.java):
        packages = [Change(name="packages", note="pinned otherwise")]
    detail = f"{len(after.package)} for Python {after.python}" if after else ""
    pythons = [{"Python": side.python} if side else {} for side in (before, after)]
    javas = [{"Java": side.java} if side and side.java else {} for side in (before, after)]
    jars = _jars(old.jars, new.jars)
    if not jars and old.jars != new.jars:
        jars = [Change(name="jars", note="pinned otherwise")]
    found = (
        Section(name="packages", detail=detail, changes=(*changes(pythons[0], pythons[1]), *packages)),
        Section(
            name="jars",
            detail=f"{len(new.jars.jar)} for Spark {new.jars.spark}" if new.jars else "",
            changes=tuple(jars),
        ),
        Section(
            name="java",
            detail=(after and after.java) or "",
            changes=tuple(changes(javas[0], javas[1])),
        ),
    )
    return iter(found)


def _requirements(environment: EnvironmentPin | None) -> dict[str, str]:
    return dict.fromkeys(environment.requirements, "") if environment else {}


def _closure(old: EnvironmentPin | None, new: EnvironmentPin | None) -> Iterator[Change]:
    yield from _packages(old.package if old else (), new.package if new else ())
    yield from _packages(old.build if old else (), new.build if new else (), "build: ")


def _packages(old: Iterable[PackagePin], new: Iterable[PackagePin], prefix: str = "") -> Iterator[Change]:
    before, after = _by_name(old), _by_name(new)
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        versions = [side.version if side else None for side in (was, now)]
        note = (
            ""
            if versions[0] != versions[1]
            else "other files"
            if was and now and was.hashes != now.hashes
            else "installed elsewhere"
        )
        yield Change(name=prefix + name, old=versions[0], new=versions[1], note=note)


def _by_name(packages: Iterable[PackagePin]) -> dict[str, PackagePin]:
    """By name; with its marker where one name is pinned more than once."""
    pins = list(packages)
    names = [pin.name for pin in pins]
    return {pin.name if names.count(pin.name) == 1 else f"{pin.name} ({pin.marker})": pin for pin in pins}


def _jars(old: JarsPin | None, new: JarsPin | None) -> list[Change]:
    before, after = ({_artifact(jar.coordinate): jar for jar in side.jar} if side else {} for side in (old, new))
    found = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was != now:
            versions = [jar.coordinate.removeprefix(f"{name}:") if jar else None for jar in (was, now)]
            found.append(
                Change(
                    name=name,
                    old=versions[0],
                    new=versions[1],
                    note="other bytes" if versions[0] == versions[1] else "",
                )
            )
    return found


def _artifact(coordinate: str) -> str:
    return ":".join(coordinate.split(":")[:2])


def _of_runs(old: RunSide, new: RunSide) -> Iterator[Section]:
    was, now = old.record, new.record
    yield _compare_installed(was, now)
    yield _given_jars(old, new)
    javas = [{"Java": side.spark.java} if side.spark and side.spark.java else {} for side in (was, now)]
    detail = (now.spark and now.spark.java) or ""
    yield Section(name="java", detail=detail, changes=tuple(changes(javas[0], javas[1])))
    detail = f"{now.spark.version} {now.spark.master}" if now.spark else ""
    yield Section(name="spark", detail=detail, changes=tuple(changes(_spark_settings(was), _spark_settings(now))))
    yield _code(old, new)
    params = [display_params(side.params) for side in (was, now)]
    yield Section(
        name="params",
        detail=", ".join(f"{name} {value}" for name, value in params[1].items()),
        changes=tuple(changes(params[0], params[1])),
    )
    seeds = [{"seed": str(side.seed)} if side.seed is not None else {} for side in (was, now)]
    detail = "" if now.seed is None else str(now.seed)
    yield Section(name="seed", detail=detail, changes=tuple(changes(seeds[0], seeds[1])))
    before, after = _command(old), _command(new)
    yield Section(name="command", detail=after["command"], changes=tuple(changes(before, after)))
    metrics = [{name: number(value) for name, value in side.metrics.items()} for side in (was, now)]
    yield Section(
        name="metrics",
        detail=", ".join(f"{name} {value}" for name, value in sorted(metrics[1].items())),
        changes=tuple(changes(metrics[0], metrics[1])),
    )
    yield _outputs(was, now)


def _spark_settings(record: Record) -> dict[str, str]:
    spark = record.spark
    return {"version": spark.version, "master": spark.master, **deciding_settings(spark.conf)} if spark else {}


def _compare_installed(old: Record, new: Record) -> Section:
    """Python and every package that was there; wheels tell two builds of one version apart."""
    before, after = ({"Python": side.environment.python} | side.environment.packages for side in (old, new))
    found = list(changes(before, after))
    if old.environment.isolated and new.environment.isolated:
        names = [name for name, version in before.items() if after.get(name) == version]
        found += [
            Change(name=name, old=before[name], new=after[name], note="other files")
            for name in sorted(names)
            if old.environment.wheels.get(name) != new.environment.wheels.get(name)
        ]
    platforms = old.environment.platform, new.environment.platform
    remarks = (f"on {platforms[1]}, before on {platforms[0]}",) if platforms[0] != platforms[1] else ()
    detail = f"{len(new.environment.packages)} on Python {new.environment.python}"
    return Section(name="packages", detail=detail, changes=tuple(found), remarks=remarks)


def _given_jars(old: RunSide, new: RunSide) -> Section:
    counts = [side.record.spark.jars if side.record.spark else 0 for side in (old, new)]
    detail = str(counts[1]) if counts[1] else ""
    if old.lock is not None and new.lock is not None:
        return Section(name="jars", detail=detail, changes=tuple(_jars(old.lock.jars, new.lock.jars)))
    remarks = ("repro.lock of one of the runs is not at hand, so single jars are not compared",) if any(counts) else ()
    found = (Change(name="jars", old=str(counts[0]), new=str(counts[1])),) if counts[0] != counts[1] else ()
    return Section(name="jars", detail=detail, changes=found, remarks=remarks)


def _command(side: RunSide) -> dict[str, str]:
    """As declared, where that is known: the executed one names paths on its machine."""
    record = side.record
    outputs = {f"outputs.{output.name}": output.path for output in record.outputs}
    variables = {f"env.{name}": value for name, value in record.env.items()}
    command = command_line(side.spec.run.command if side.spec else record.command)
    return {"command": command, **variables, **{f"pass_env {name}": "" for name in record.pass_env}, **outputs}


def _code_version(old: CodeRecord, new: CodeRecord) -> str:
    """`commit 13c0ebf`, `commits 13c0ebf and 8aa1b02`, or the digest where there is no commit."""
    dirty = " with changes" if new.commit and new.dirty else ""
    if old.commit and new.commit and old.commit != new.commit:
        return f"commits {old.commit[:7]} and {new.commit[:7]}{dirty}"
    return f"commit {new.commit[:7]}{dirty}" if new.commit else f"digest {new.digest[:7]}"


def _code(old: RunSide, new: RunSide) -> Section:
    before, after = old.record.code.tree, new.record.code.tree
    found = tuple(
        Change(
            name=path,
            old=before[path][-12:] if path in before else None,
            new=after[path][-12:] if path in after else None,
        )
        for path in sorted({path for path, _ in before.items() ^ after.items()})
    )
    section = Section(name="code", detail=_code_version(old.record.code, new.record.code), changes=found)
    if not found:
        return section
    if old.code is None or new.code is None:
        return section.replaced(
            {"remarks": ("code.tar.gz of one of the runs is not at hand, so no lines are compared",)}
        )
    lines = [
        line for change in found for line in _patch(change.name, old.code.get(change.name), new.code.get(change.name))
    ]
    return section.replaced({"patch": tuple(lines)})


def _patch(path: str, old: tuple[str, bytes] | None, new: tuple[str, bytes] | None) -> Iterator[str]:
    """A unified diff of one file, as git writes it."""
    names = f"a/{path}" if old else "/dev/null", f"b/{path}" if new else "/dev/null"
    if old and new and old[0] != new[0]:
        yield f"{path}: mode {old[0]} → {new[0]}"
    sides = [side[1] if side else b"" for side in (old, new)]
    if any(b"\0" in data or len(data) > _LARGEST for data in sides):
        yield f"{names[0]} and {names[1]} differ; binary, or too large to show"
        return
    before, after = (data.decode("utf-8", "replace").splitlines() for data in sides)
    yield from difflib.unified_diff(before, after, names[0], names[1], lineterm="")


def _outputs(old: Record, new: Record) -> Section:
    before, after = ({output.name: output for output in side.outputs} for side in (old, new))
    found = []
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        digests = [_digest(output) for output in (was, now)]
        if digests[0] != digests[1]:
            found.append(Change(name=name, old=digests[0], new=digests[1], note=_rows(was, now)))
    detail = ", ".join(f"{output.name} {_digest(output) or 'missing'}" for output in new.outputs)
    return Section(name="outputs", detail=detail, changes=tuple(found))


def _digest(output: OutputRecord | None) -> str | None:
    """By what a replay compares: `table 4c7e91aa`."""
    digest = output.decisive if output else None
    return None if output is None or digest is None else f"{output.compare} {digest.rpartition(':')[2][:12]}"


def _rows(old: OutputRecord | None, new: OutputRecord | None) -> str:
    if not (old and new and old.table and new.table):
        return ""
    return (
        f"{old.table.rows} → {new.table.rows} rows"
        if old.table.rows != new.table.rows
        else f"{new.table.rows} rows in both"
    )


def display_params(params: Mapping[str, Any]) -> dict[str, str]:
    """Params by their whole names, as text in which two values are equal only if they are."""
    return {name: _display(value) for name, value in flattened(params).items()}


def changes(old: Mapping[str, str], new: Mapping[str, str], prefix: str = "") -> Iterator[Change]:
    """One change a name whose text differs, sorted."""
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Change(name=prefix + name, old=old.get(name), new=new.get(name))


def number(value: float) -> str:
    """Every digit that tells two values apart; 336776 for 336776.0."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _display(value: Any) -> str:
    """A param as JSON writes it, so that 1, 1.0 and "1" are told apart."""
    return json.dumps(value, ensure_ascii=False, default=lambda item: item.isoformat())
