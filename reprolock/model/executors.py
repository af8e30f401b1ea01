"""How a cluster's executors differ from the run's own environment, in words. No IO."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.utils import canonicalize_name

from reprolock.model.record import ExecutorRecord, Record

_NAMED = 3
"""So many packages are named; of more, their number is told."""


def executor_differences(record: Record) -> Iterator[str]:
    """Sentences without a subject ("ran Python 3.11.2, the driver 3.11.7"); none where nothing differs, or no cluster was used."""
    if record.spark is None or not record.spark.executors:
        return
    if len(record.spark.executors) > 1:
        yield f"ran {len(record.spark.executors)} different environments"
    seen: dict[str, None] = {}
    for executor in record.spark.executors:
        seen |= dict.fromkeys(_differences(executor, record))
    yield from seen


def _differences(executor: ExecutorRecord, record: Record) -> Iterator[str]:
    if executor.python != record.environment.python:
        yield f"ran Python {executor.python}, the driver {record.environment.python}"
    java = (record.spark.java or "").partition(" ")[0] if record.spark else ""
    if java and executor.java != java:
        yield f"ran Java {executor.java}, the driver {java}"
    here = {canonicalize_name(name): version for name, version in record.environment.packages.items()}
    there = {canonicalize_name(name): version for name, version in executor.packages.items()}
    # Further packages of an executor stand behind the shipped ones and decide nothing that is locked.
    differing = [
        f"{name} {there.get(name, 'missing')}, not {here[name]}" for name in here if there.get(name) != here[name]
    ]
    if differing:
        more = f", and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        yield f"ran {'; '.join(sorted(differing)[:_NAMED])}{more}"
