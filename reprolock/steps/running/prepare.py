"""Prepare everything that a run needs and that can fail, before anything is recorded: `Sources` and `Materials`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from reprolock.engine.spark import check as check_settings
from reprolock.environment.code.snapshot import Snapshot
from reprolock.environment.jvm.java import Java, check_java, check_pinned, find_java
from reprolock.environment.jvm.lock_jars import listener_among
from reprolock.lake.protocol import Lake
from reprolock.model.lock import DatasetPin, EnvironmentPin, Lock
from reprolock.model.spec import Spec
from reprolock.steps.locking.availability import check_pins
from reprolock.steps.locking.overrides import WhatIf, with_data
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_context import RunContext
from reprolock.steps.recording.build import Sources
from reprolock.steps.running.cluster import check_cluster
from reprolock.steps.running.connect import check_client
from reprolock.steps.running.interpreter import Interpreter, ready_environment, ready_jars
from reprolock.steps.running.workspace import Materials, inputs_of


class Ready(NamedTuple):
    """A run before it has an ID: its context (the pins as --data changed them), its sources and its materials."""

    context: RunContext
    sources: Sources
    materials: Materials


def make_ready(
    context: RunContext,
    locked: Lock,
    lake: Lake | None,
    *,
    code: Callable[[], Snapshot],
    what_if: WhatIf,
    pinned: tuple[DatasetPin, ...] = (),
    replay_of: str | None = None,
    python: Callable[[RunContext, EnvironmentPin | None], Interpreter] = ready_environment,
) -> Ready:
    """Everything that can fail, side by side, since each part waits for something else.

    `code` takes the snapshot; `what_if` has its params in the context's spec already, its datasets are resolved
    here, but for those that are `pinned` already. `lake` is None for a project without datasets; `replay_of` names the recorded run;
    `python` gives the Python that executes it.
    """
    check_cluster(context.root, context.spec, replay=replay_of is not None)
    with ThreadPoolExecutor(3) as pool:
        software = pool.submit(_software, context, locked, python)
        java = pool.submit(ready_java, context.spec, locked, context.machine)
        snapshot = pool.submit(code)
        if lake is not None:
            known = {pin.name: pin for pin in pinned}
            others = {name: ref for name, ref in what_if.data.items() if name not in known}
            pins = tuple(known.get(pin.name, pin) for pin in context.pins)
            context = context._replace(pins=with_data(context.spec, pins, lake, others) if others else pins)
            if not context.offline:
                check_pins(lake, context.pins)
        inputs = inputs_of(context, lake)
        interpreter, jars = software.result()
        listener = listener_among(locked.jars if jars else None, jars)
        return Ready(
            context,
            Sources(context.spec, context.pins, locked.environment, locked.jars, what_if, replay_of),
            Materials(snapshot.result(), context.root, inputs, interpreter, jars, listener, java.result(), lake),
        )


def _software(
    context: RunContext, locked: Lock, python: Callable[[RunContext, EnvironmentPin | None], Interpreter]
) -> tuple[Interpreter, tuple[Path, ...]]:
    """The command's Python, and the jars for the pyspark in it."""
    interpreter = python(context, locked.environment)
    check_client(context.spec, interpreter.record)
    if context.spec.spark is not None and context.spec.spark.remote is not None:
        return interpreter, ()  # a Connect server has jars of its own
    return interpreter, ready_jars(context, locked.jars, interpreter.pyspark)


def ready_java(spec: Spec, locked: Lock, machine: Machine) -> Java | None:
    """The Java that is here, of the feature version that is pinned; None where Spark is not used, or runs on a Connect server. MachineError."""
    if spec.spark is None:
        return None
    check_settings(spec.spark)
    if spec.spark.remote is not None:
        return None
    java = find_java(machine.environ)
    check_java(java, spec.environment)
    check_pinned(java, locked.environment.java if locked.environment else None)
    return java
