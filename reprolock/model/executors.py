"""What ran Spark beside the run's own environment, in words: a cluster's executors, a Connect server. No IO."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.utils import canonicalize_name

from reprolock.model.record import ExecutorRecord, Record, ServerRecord
from reprolock.model.words import counted

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


def server_remarks(recorded: Record, replay: Record) -> Iterator[str]:
    """Sentences on the Spark Connect servers of a run and of its replay; none where neither used one."""
    old, new = (record.spark.server if record.spark else None for record in (recorded, replay))
    if old is not None and new is not None:
        yield f"{_server(new)}, not locked; {_server_change(old, new)}"
    elif old is not None:
        yield f"recorded on {_server(old)}, not locked"
    elif new is not None:
        yield f"{_server(new)}, not locked"


def _server(server: ServerRecord) -> str:
    return f"Spark {server.version} and {counted(len(server.jars), 'jar')} of a Connect server"


def _server_change(old: ServerRecord, new: ServerRecord) -> str:
    if old.version != new.version:
        return f"recorded on Spark {old.version}"
    if other := sorted({*old.jars} ^ {*new.jars}):
        return f"{counted(len(other), 'jar')} other than recorded: {', '.join(other[:_NAMED])}{', …' if len(other) > _NAMED else ''}"
    return "the same names as recorded"
