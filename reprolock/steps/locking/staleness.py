"""List what is stale in a lock, given the spec. Asks no lake, no network and no clock.

A lock is stale when repro.toml no longer matches it or a seal is broken; never because the world
moved on. Decided pin by pin, so that one changed line of repro.toml re-resolves one pin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from reprolock.errors import LockError
from reprolock.model.lock import DatasetPin, EnvironmentPin, JarsPin, Lock
from reprolock.model.spec import DatasetSpec, LakeSpec, Spec
from reprolock.steps.project.project import Project, read_project


class Stale(NamedTuple):
    """One stale pin: which, and a sentence about it."""

    section: Literal["dataset", "environment", "jars"]
    name: str
    sentence: str


def check(root: Path) -> Lock:
    """`lock --check`: the lock, when it is up to date; else LockError. No lake, no network."""
    return require_fresh(read_project(root))


def stale_pins(root: Path, spec: Spec, lock: Lock) -> tuple[Stale, ...]:
    """Everything about `lock` that is stale for `spec`, datasets first. Empty: the lock is up to date.

    `root` is where the files stand that `[environment]` names.
    """
    found: list[Stale] = []
    for name, dataset in spec.datasets.items():
        pin = lock.dataset_pin(name)
        sentence = dataset_problem(name, dataset, spec.lake, pin)
        if sentence:
            found.append(Stale("dataset", name, sentence))
    for pin in lock.dataset:
        if pin.name not in spec.datasets:
            found.append(
                Stale("dataset", pin.name, f'dataset "{pin.name}" is pinned, and repro.toml does not declare it')
            )
    if sentence := environment_problem(spec, root, lock.environment):
        found.append(Stale("environment", "environment", sentence))
    if sentence := jars_problem(spec, lock.environment, lock.jars):
        found.append(Stale("jars", "jars", sentence))
    return tuple(found)


def require_fresh(project: Project) -> Lock:
    """The lock, when there is one and it answers; else LockError (exit 3) naming what does not."""
    root, spec, lock = project
    if lock is None:
        raise LockError("no repro.lock beside repro.toml", hint="run `reprolock lock` and commit repro.lock")
    stale = stale_pins(root, spec, lock)
    if not stale:
        return lock
    hint = "run `reprolock lock` and commit repro.lock"
    if len(stale) == 1:
        raise LockError(f"repro.lock is out of date: {stale[0].sentence}", hint=hint)
    raise LockError(
        f"repro.lock is out of date: {len(stale)} entries do not match repro.toml",
        problems=tuple(item.sentence for item in stale),
        hint=hint,
    )


def dataset_problem(name: str, dataset: DatasetSpec, lake: LakeSpec, pin: DatasetPin | None) -> str | None:
    """Why a pin is stale for its declaration, None when it is not."""
    if pin is None:
        return f"datasets.{name} is not pinned"
    if pin.uri != dataset.uri:
        return f'datasets.{name}.uri is "{dataset.uri}", pinned for "{pin.uri}"'
    if pin.glob != dataset.glob:
        return f"datasets.{name}.glob is {_quote(dataset.glob)}, pinned for {_quote(pin.glob)}"
    if pin.kind != lake.kind:
        return f"datasets.{name} is pinned on a {pin.kind} lake, and lake.endpoint names a {lake.kind} one"
    if not pin.intact:
        return f'the pin of dataset "{name}" was edited by hand: its seal is broken'
    return None


def jars_problem(spec: Spec, environment: EnvironmentPin | None, pin: JarsPin | None) -> str | None:
    """Why the jars are stale for `[spark]` and the pyspark that is pinned, None when they are not."""
    if spec.spark is None:
        return None if pin is None else "jars are pinned, and repro.toml has no [spark]"
    if pin is None:
        return "the jars of [spark] are not pinned"
    if pin.packages != spec.spark.packages:
        return f"spark.packages is {_join(spec.spark.packages)}, pinned for {_join(pin.packages)}"
    pyspark = environment.version_of("pyspark") if environment else None
    if pyspark is not None and pyspark != pin.spark:
        return f"pyspark is pinned at {pyspark}, and the jars for Spark {pin.spark}"
    if spec.uses_gateway and not pin.brings("hadoop-aws"):
        return "the jars lack hadoop-aws, which reads from a lakeFS lake"
    if any(dataset.format == "avro" for dataset in spec.datasets.values()) and not pin.reads_avro:
        return "the jars lack spark-avro, which reads a dataset's Avro files"
    if not pin.brings("openlineage-spark"):
        return "the jars lack openlineage-spark, which sees what Spark reads"
    if not pin.intact:
        return "the jars were edited or merged by hand: their seal is broken"
    return None


def environment_problem(spec: Spec, root: Path, pin: EnvironmentPin | None) -> str | None:
    """Why the packages are stale for `[environment]` and the files it names, None when they are not."""
    environment = spec.environment
    if not environment.locks_python:
        return None if pin is None else "packages are pinned, and [environment] declares none"
    if pin is None:
        return "the packages of [environment] are not pinned"
    from reprolock.environment.python.declared.requirement_line import without_hashes  # as below
    from reprolock.environment.python.declared.requirements import (
        read_declared,  # brings a parser that other projects need not load
        with_other_hashes,
    )

    lines = read_declared(environment, root).lines
    if pin.requirements != lines and without_hashes(pin.requirements) == without_hashes(lines):
        names = ", ".join(sorted(with_other_hashes(lines, pin.requirements)))
        return f"the hashes that {environment.requirements} gives for {names} have changed"
    if pin.requirements != lines:
        return f"[environment] declares {_join(lines)}, pinned for {_join(pin.requirements)}"
    if not environment.accepts_python(pin.python):
        return f'environment.python is "{environment.python}", pinned for "{pin.python}"'
    if spec.spark is not None and pin.java is None:
        return "Java is not pinned, and [spark] needs it"
    if pin.java is not None and not environment.accepts_java(pin.java):
        return f'environment.java is "{environment.java}", pinned for "{pin.java}"'
    if not pin.intact:
        return "the packages were edited or merged by hand: their seal is broken"
    return None


def _quote(text: str | None) -> str:
    return "not set" if text is None else f'"{text}"'


def _join(items: tuple[str, ...]) -> str:
    return ", ".join(f'"{item}"' for item in items) or "empty"
