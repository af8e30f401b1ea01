"""`lock`: resolve what is not pinned yet, keep the pins that still match repro.toml, write repro.lock whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from reprolock.engine.tables.run import Table, refuse_table
from reprolock.environment.python.declared.inline_metadata import inline_packages
from reprolock.errors import LakeRefused, ServiceError, UsageError
from reprolock.files.atomic_write import guard
from reprolock.files.conflict import has_markers
from reprolock.files.lock_file import NAME, read_bytes, write_lock
from reprolock.files.spec_file import read_spec
from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake
from reprolock.model.lock import DatasetPin, EnvironmentPin, JarsPin, Lock
from reprolock.model.spec import Spec
from reprolock.model.uri import LakeURI
from reprolock.steps.locking.datasets import is_staged, resolve_datasets
from reprolock.steps.locking.merge import check_nothing_lost, merged_lock, settle_datasets
from reprolock.steps.locking.options import LockOptions
from reprolock.steps.locking.staleness import dataset_problem, jars_problem
from reprolock.steps.project.code import check_script, scripts_of
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress

_OTHER_SECONDS = 3600.0
"""How long a second `lock` waits for the first, which may have a world of packages to resolve."""

Pin = DatasetPin | EnvironmentPin | JarsPin


class Change(NamedTuple):
    """One thing that `lock` did. `name` is a dataset's, "packages" or "jars"; the pins are before and after."""

    kind: Literal["Added", "Updated", "Removed"]
    name: str
    before: Pin | None
    after: Pin | None


class LockResult(NamedTuple):
    """The lock, what changed against the one before, remarks for people, and whether the file was written."""

    lock: Lock
    changes: tuple[Change, ...]
    remarks: tuple[str, ...]
    written: bool


def lock(
    root: Path, options: LockOptions = LockOptions(), machine: Machine | None = None, *, progress: Progress = SILENT
) -> LockResult:
    """Resolve and write repro.lock. Writes nothing when nothing changed, or with `dry_run`."""
    machine = machine or Machine.here()
    root = root.resolve()
    check_script(root, read_spec(root), machine)  # an invalid repro.toml is reported before anything is waited for
    with guard(root / NAME, f"writing {NAME}", seconds=_OTHER_SECONDS, step=progress.step) as waited:
        if waited:
            progress.step("Resolving")
        spec = read_spec(root)
        _check_options(spec, options)
        _check_tables(spec)
        data = read_bytes(root)
        merged = merged_lock(root, data)
        old = settle_datasets(merged, spec, options)
        datasets, remarks = _datasets(root, spec, old, options, machine)
        environment = _environment(root, spec, old.environment, options, machine, remarks.append, progress)
        check_nothing_lost(merged, environment, options)
        remarks += _inline_packages(root, spec, environment)
        jars = _jars(spec, root, environment, old.jars, options, machine)
        new = Lock(dataset=tuple(sorted(datasets, key=lambda pin: pin.name)), environment=environment, jars=jars)
        changes = changes_between(old, new)
        written = not options.dry_run and (new != old or data is None or has_markers(data))
        if written:
            write_lock(root, new, machine.scanner())
    return LockResult(new, changes, tuple(remarks), written)


def _check_options(spec: Spec, options: LockOptions) -> None:
    for name in options.upgrade_datasets:
        if name not in spec.datasets:
            raise UsageError(
                f'--upgrade-dataset {name}: repro.toml declares no dataset "{name}"',
                hint=f"it declares {', '.join(sorted(spec.datasets)) or 'none'}",
            )
    if options.as_of is not None and options.as_of.tzinfo is None:
        raise UsageError("--as-of needs a time zone", hint="write 2026-11-22T12:00:00Z, or …+01:00")


def _check_tables(spec: Spec) -> None:
    """UsageError for a table that nothing here could ever compare: a run would not be replayable, and only its auditor learn it."""
    environment = spec.environment
    named = environment.packages or (("pyspark",) if environment.locks_python or find_spec("pyspark") else ())
    spark = spec.spark is not None or any(re.match(r"pyspark\b", package) for package in named)
    for name, output in spec.outputs.items():
        table = Table.declared(output, Path(output.path))
        if output.compare == "table" and (reason := refuse_table(table, spark)) is not None:
            raise UsageError(
                f"outputs.{name}: no engine can compare it as a table: {reason}",
                hint='declare [spark], or write compare = "bytes"',
            )


def _inline_packages(root: Path, spec: Spec, environment: EnvironmentPin | None) -> Iterator[str]:
    """A remark on packages that a script names for itself (PEP 723) and that are not locked."""
    locked = {package.name for package in environment.package} if environment else set()
    for _, places in scripts_of(spec.run.command):
        for place in places:
            try:
                text = (root / place).read_text(encoding="utf-8")
            except (OSError, ValueError):
                continue
            if left := [name for name in inline_packages(text) if name not in locked]:
                yield (
                    f'{place} names {", ".join(left)} for itself ("# /// script"), and repro.toml does not: '
                    f"what is not among environment.packages is not locked"
                )


def _datasets(
    root: Path, spec: Spec, old: Lock, options: LockOptions, machine: Machine
) -> tuple[list[DatasetPin], list[str]]:
    """Kept and new pins, and remarks about staged data and about siblings of different moments."""
    anew = options.upgrade or (options.as_of is not None and not options.upgrade_datasets)
    kept: dict[str, DatasetPin] = {}
    for name, dataset in spec.datasets.items():
        pin = old.dataset_pin(name)
        if (
            pin
            and not anew
            and name not in options.upgrade_datasets
            and not dataset_problem(name, dataset, spec.lake, pin)
        ):
            kept[name] = pin
    wanted = {name: dataset for name, dataset in spec.datasets.items() if name not in kept}
    if not wanted:
        return list(kept.values()), []
    if options.offline and not (spec.lake.endpoint or "").startswith("file:"):
        raise ServiceError(
            f"--offline: {_needing_the_lake(wanted, old)}, and pinning needs the lake",
            hint="run `reprolock lock` without --offline",
        )
    lake = open_lake(spec.lake.endpoint, root, machine.environ, machine.home)
    try:
        new = resolve_datasets(lake, wanted, as_of=options.as_of)
        remarks = _check_staged(lake, spec, wanted, strict=options.strict)
    finally:
        lake.close()
    return [*kept.values(), *new], remarks + _siblings(kept.values(), new)


def _check_staged(lake: Lake, spec: Spec, names: Iterable[str], *, strict: bool) -> list[str]:
    """A branch with uncommitted changes under the path is not what gets pinned: said, or with --strict refused."""
    remarks = []
    for name in names:
        place = spec.datasets[name].place
        if is_staged(lake, place, spec.datasets[name].glob):
            sentence = f"datasets.{name}: {spec.datasets[name].uri} has uncommitted changes, which are not pinned"
            if strict:
                raise LakeRefused(
                    f"--strict: {sentence}",
                    hint=f"commit them: `reprolock data commit lakefs://{place.repository}/{place.ref} -m TEXT`",
                )
            remarks.append(sentence)
    return remarks


def _siblings(kept: Iterable[DatasetPin], new: Iterable[DatasetPin]) -> list[str]:
    """Kept pins that are of another moment than a new pin of the same repository and ref."""
    fresh = {LakeURI.parse(pin.uri)[:2]: pin for pin in new}
    remarks = []
    for pin in kept:
        repository, ref = LakeURI.parse(pin.uri)[:2]
        sibling = fresh.get((repository, ref))
        if sibling and sibling.commit != pin.commit:
            remarks.append(
                f"datasets.{pin.name} stays at {pin.commit[:12]}, while datasets.{sibling.name}, "
                f"of the same {repository}/{ref}, is now at {sibling.commit[:12]}"
            )
    return remarks


def _needing_the_lake(names: Iterable[str], old: Lock) -> str:
    """`dataset a is not pinned yet and datasets b, c are to be resolved again`."""
    missing: list[str] = []
    anew: list[str] = []
    for name in names:
        (missing if old.dataset_pin(name) is None else anew).append(name)
    told = ((missing, "not pinned yet"), (anew, "to be resolved again"))
    return " and ".join(
        f"dataset {listed[0]} is {what}" if len(listed) == 1 else f"datasets {', '.join(listed)} are {what}"
        for listed, what in told
        if listed
    )


def _environment(
    root: Path,
    spec: Spec,
    old: EnvironmentPin | None,
    options: LockOptions,
    machine: Machine,
    remark: Callable[[str], None],
    progress: Progress,
) -> EnvironmentPin | None:
    if not spec.environment.locks_python:
        return None
    from reprolock.steps.locking.python import lock_environment  # brings uv's side, needed only here

    return lock_environment(spec, root, old, options, machine, remark, progress.step)


def _jars(
    spec: Spec,
    root: Path,
    environment: EnvironmentPin | None,
    old: JarsPin | None,
    options: LockOptions,
    machine: Machine,
) -> JarsPin | None:
    """The jars' closure: kept while it matches, resolved with the JVM's own resolver otherwise."""
    if spec.spark is None:
        return None
    if old is not None and not jars_problem(spec, environment, old) and not options.upgrade:
        return old
    from reprolock.steps.locking.jars import lock_jars  # brings the JVM's resolver, needed only here

    return lock_jars(spec, root, environment, machine, offline=options.offline)


def changes_between(old: Lock, new: Lock) -> tuple[Change, ...]:
    """What differs from one lock to the next: datasets by name, then packages, then jars."""
    names = sorted({pin.name for pin in (*old.dataset, *new.dataset)})
    pairs: list[tuple[str, Pin | None, Pin | None]] = [
        (name, old.dataset_pin(name), new.dataset_pin(name)) for name in names
    ]
    pairs += [("packages", old.environment, new.environment), ("jars", old.jars, new.jars)]
    return tuple(
        Change("Added" if before is None else "Removed" if after is None else "Updated", name, before, after)
        for name, before, after in pairs
        if before != after
    )
