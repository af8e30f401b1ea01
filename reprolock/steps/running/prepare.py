"""Prepare everything that a run needs and that can fail, before anything is recorded: `Sources` and `Materials`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reprolock.engine.spark import check as check_settings
from reprolock.environment.code.snapshot import Snapshot
from reprolock.environment.jvm.java import Java, check_java, check_pinned, find_java
from reprolock.environment.jvm.lock_jars import listener_among
from reprolock.lake.protocol import Lake
from reprolock.model.lock import Lock
from reprolock.model.spec import Spec
from reprolock.steps.locking.availability import check_pins
from reprolock.steps.locking.overrides import WhatIf, with_data
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import Progress
from reprolock.steps.recording.build import Sources
from reprolock.steps.running.interpreter import Interpreter, ready_environment, ready_jars
from reprolock.steps.running.workspace import Materials, inputs_of


def make_ready(
    root: Path,
    spec: Spec,
    locked: Lock,
    lake: Lake | None,
    machine: Machine,
    *,
    code: Callable[[], Snapshot],
    what_if: WhatIf,
    offline: bool,
    progress: Progress,
    remark: Callable[[str], None],
    replay_of: str | None = None,
) -> tuple[Sources, Materials]:
    """Everything that can fail, side by side, since each part waits for something else.

    `code` takes the snapshot; `what_if` has its params in `spec` already, its
    datasets are resolved here; `offline` takes data, jars and
    packages from this machine alone; `remark` is told what is worth a warning. `lake` is None for a project without datasets. What a replay takes from
    this user's cache (`replay_of` names the recorded run) is hashed: a verdict must not rest on a size and a time.
    """
    hashing = replay_of is not None
    with ThreadPoolExecutor(3) as pool:
        python = pool.submit(_python, spec, locked, machine, progress, remark, offline=offline, hashing=hashing)
        java = pool.submit(ready_java, spec, locked, machine)
        snapshot = pool.submit(code)
        pins = locked.dataset
        if lake is not None:
            pins = with_data(spec, pins, lake, what_if.data) if what_if.data else pins
            if not offline:
                check_pins(lake, pins)
        inputs = inputs_of(lake, spec, pins, root, machine, progress, offline=offline, hashing=hashing)
        sources = Sources(spec, pins, locked.environment, locked.jars, what_if, replay_of)
        interpreter, jars = python.result()
        listener = listener_among(locked.jars, jars)
        return sources, Materials(
            snapshot.result(), root, inputs, interpreter, jars, listener, java.result(), lake, hashing
        )


def _python(
    spec: Spec,
    locked: Lock,
    machine: Machine,
    progress: Progress,
    remark: Callable[[str], None],
    *,
    offline: bool,
    hashing: bool,
) -> tuple[Interpreter, tuple[Path, ...]]:
    """The command's Python, and the jars for the pyspark in it."""
    interpreter = ready_environment(
        spec, locked.environment, machine, offline=offline, hashing=hashing, say=progress.step, remark=remark
    )
    return interpreter, ready_jars(spec, locked.jars, machine, interpreter.pyspark, progress, offline=offline)


def ready_java(spec: Spec, locked: Lock, machine: Machine) -> Java | None:
    """The Java that is here, of the feature version that is pinned; None where Spark is not used. MachineError."""
    if spec.spark is None:
        return None
    check_settings(spec.spark)
    java = find_java(machine.environ)
    check_java(java, spec.environment)
    check_pinned(java, locked.environment.java if locked.environment else None)
    return java
