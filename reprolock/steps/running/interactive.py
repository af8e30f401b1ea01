"""`reprolock.record("explore")`: a block of a notebook or a script as a run of mode interactive.

It leaves what a run leaves: code with the block's own source, pins, params, metrics, outputs, a record in MLflow. What it cannot
have is a replay: the session that it ran in has a state that nothing rebuilds.

The block is what the command is to other runs. `perform` runs in a thread of its own: it begins the run, waits until the block
has ended, and records it.
"""

from __future__ import annotations

import linecache
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from reprolock.environment.code.snapshot import Snapshot, place, with_file
from reprolock.errors import ReprolockError, UsageError
from reprolock.lake.open import open_lake
from reprolock.model.outcome import Ending
from reprolock.model.spec import Spec
from reprolock.model.words import plain
from reprolock.model.workspace import Workspace
from reprolock.script import VARIABLE, Run, current
from reprolock.steps.evidence.attest import open_attestor
from reprolock.steps.locking.overrides import WhatIf
from reprolock.steps.locking.staleness import require_fresh
from reprolock.steps.project.code import project_code
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.project import read_project
from reprolock.steps.project.run_context import RunContext
from reprolock.steps.project.run_folders import latest_of_command
from reprolock.steps.recording.log import Reporter
from reprolock.steps.recording.recover import close_abandoned
from reprolock.steps.running.attempt import Attempt, Performed, Unwatched
from reprolock.steps.running.execute import perform
from reprolock.steps.running.interpreter import session_environment
from reprolock.steps.running.options import RunOptions
from reprolock.steps.running.prepare import make_ready
from reprolock.tracker import open_tracker, warm
from reprolock.tracker.permission import check_credentials
from reprolock.tracker.tracking_uri import find_place

_GIVEN = ("REPROLOCK_", "MLFLOW_", "SPARK_")
"""Beginnings of the variables of a run that the block, and what it starts, has too."""


class Source(NamedTuple):
    """Where the block stands: `file`, which may be a cell's made-up name, and all lines of it."""

    file: str
    text: str


def record(
    name: str | None = None, root: Path = Path(), *, machine: Machine | None = None
) -> AbstractContextManager[Run]:
    """Record what happens in the body as a run; gives what `reprolock.current()` gives in a command.

    In a process that `reprolock run` executes, and within another such block, the body is a part of that run. LockError for a lock that is
    missing or stale, UsageError where the source is not known or an MLflow run is under way, and errors as of `run`.
    """
    return _part_of_run() if VARIABLE in os.environ else _recorded(name, root, _source_of(sys._getframe(1)), machine)


@contextmanager
def _part_of_run() -> Iterator[Run]:
    yield current()


@contextmanager
def _recorded(name: str | None, root: Path, source: Source, machine: Machine | None) -> Iterator[Run]:
    _refuse_active_run()
    told = _Told()
    with ExitStack() as stack:
        block = _Block()
        attempt = _prepare(root.resolve(), name, source, machine or Machine.here(), told, stack)
        performed = _begin(attempt._replace(block=block), block)
        told.show()
        clock = attempt.context.machine.now
        started = clock()
        try:
            with _session(block.workspace.environ, told):
                yield current()
        except BaseException as error:
            block.end(_ending_of(error, started, clock()))
            with suppress(ReprolockError):  # the block's own error is the one to be seen
                performed.result()
            raise
        else:
            block.end(Ending("FINISHED", None, None, "the block ended", started, clock()))
            if (incomplete := performed.result().result.incomplete) is not None:
                raise incomplete
        finally:
            told.show()


class _Told(Unwatched):
    """Keeps what goes wrong beside the block, until the caller's own thread shows it."""

    def __init__(self) -> None:
        self._sentences: list[str] = []

    def warn(self, sentence: str) -> None:
        self._sentences.append(sentence)

    def show(self) -> None:
        """As warnings of Python's."""
        while self._sentences:
            warnings.warn(plain(self._sentences.pop(0)), stacklevel=4)


class _Block:
    """Where the thread that records and the one that has the block wait for one another."""

    workspace: Workspace

    def __init__(self) -> None:
        self.begun, self._ended = threading.Event(), threading.Event()
        self._ending: Ending | None = None

    def __call__(self, workspace: Workspace) -> Ending:
        """In the thread that records: the block may run now; how it ended."""
        self.workspace = workspace
        self.begun.set()
        self._ended.wait()
        assert self._ending is not None
        return self._ending

    def end(self, ending: Ending) -> None:
        """In the caller's thread."""
        self._ending = ending
        self._ended.set()


def _begin(attempt: Attempt, block: _Block) -> Future[Performed]:
    """Begin the run, and wait until the block may run. What goes wrong before is raised here."""
    performed: Future[Performed] = Future()

    def work() -> None:
        try:
            performed.set_result(perform(attempt))
        except BaseException as error:
            performed.set_exception(error)
        block.begun.set()

    # A daemon: a block that is left open must not keep the session from ending. The next command closes its run.
    threading.Thread(target=work, name="reprolock-record", daemon=True).start()
    try:
        block.begun.wait()
    except BaseException as error:
        now = attempt.context.machine.now()
        block.end(_ending_of(error, now, now))
        raise
    if performed.done():
        performed.result()
    return performed


def _prepare(root: Path, name: str | None, source: Source, machine: Machine, told: _Told, stack: ExitStack) -> Attempt:
    project = read_project(root)
    locked = require_fresh(project)
    scanner = machine.scanner(project.spec.run.pass_env)
    for text, what in ((name or "", "the name of the block"), (source.text, "the source of the block")):
        scanner.check(text, what)
    mlflow = find_place(project.spec.mlflow.tracking_uri, root, machine.environ)
    check_credentials(mlflow, machine.environ, machine.home)
    attestor = open_attestor(machine, project.spec.evidence, offline=False)
    warm(mlflow)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reprolock-")))
    code, command = _code(root, project.spec, source, folder, machine)
    spec = project.spec.replaced({"run": project.spec.run.replaced({"command": (command,)})})
    lake = None
    if spec.datasets:
        lake = stack.enter_context(closing(open_lake(spec.lake.endpoint, root, machine.environ, machine.home)))
    context = RunContext(root, spec, locked.dataset, machine, warn=told.warn)
    ready = make_ready(context, locked, lake, code=lambda: code, what_if=WhatIf(), python=session_environment)
    ready = ready._replace(materials=ready.materials._replace(code_root=folder))
    tracker = stack.enter_context(closing(open_tracker(mlflow, machine.environ, machine.home)))
    close_abandoned(root, machine)
    options = RunOptions(name=name, publishing_off=True)
    return Attempt(
        ready, Reporter(root, tracker, online=True, warn=told.warn), options, told, latest_of_command(root), attestor
    )


def _code(root: Path, spec: Spec, source: Source, folder: Path, machine: Machine) -> tuple[Snapshot, str]:
    """The project's code in `folder`, with the block's own file among it, and the name of that file."""
    taken = project_code(root, spec.replaced({"run": spec.run.replaced({"command": ("python",)})}), machine)
    place(taken, root, folder)
    own = os.path.relpath(os.path.realpath(source.file), os.path.realpath(root)).replace(os.sep, "/")
    if own in taken.state.files:
        return taken, own
    name, number = "block.py", 1
    while name in taken.state.files:
        number += 1
        name = f"block-{number}.py"
    return with_file(taken, folder, name, source.text.encode("utf-8", "surrogateescape")), name


def _source_of(frame: FrameType) -> Source:
    """All of the cell or the script that has the block: Python keeps the lines of either by name."""
    file = frame.f_code.co_filename
    lines = linecache.getlines(file, frame.f_globals)
    if not lines:
        raise UsageError(
            f"the source of this block is not known: it comes from {file}",
            hint="write it into a cell of a notebook or a file of its own",
        )
    return Source(file, "".join(lines))


def _refuse_active_run() -> None:
    mlflow = sys.modules.get("mlflow")
    active = mlflow.active_run() if mlflow is not None else None
    if active is not None:
        raise UsageError(
            f"MLflow's run {active.info.run_id[:8]} is under way in this session, and the block would log to it",
            hint="end it first: mlflow.end_run()",
        )


@contextmanager
def _session(environ: Mapping[str, str], told: _Told) -> Iterator[None]:
    """The run's variables in this process, and MLflow's own state as a new process would have it; both are put back."""
    given = {name: value for name, value in environ.items() if name.startswith(_GIVEN)}
    before = dict(os.environ)
    mlflow, fluent = sys.modules.get("mlflow"), sys.modules.get("mlflow.tracking.fluent")
    tracking = mlflow.get_tracking_uri() if mlflow is not None else None
    experiment = getattr(fluent, "_active_experiment_id", None)
    os.environ.update(given)
    try:
        if mlflow is not None:
            mlflow.set_tracking_uri(given["MLFLOW_TRACKING_URI"])
            _set_experiment(None)
        yield
    finally:
        _end_active_runs(told)
        if mlflow is not None:
            mlflow.set_tracking_uri(tracking)
            _set_experiment(experiment)
        for name in given.keys() | {"MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"}:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


def _end_active_runs(told: _Told) -> None:
    """What the block has begun and not ended. The record has the status; MLflow is told of it later."""
    mlflow = sys.modules.get("mlflow")
    try:
        while mlflow is not None and mlflow.active_run() is not None:
            mlflow.end_run()
    except Exception as error:  # MLflow's own, of a server that does not answer
        told.warn(f"MLflow could not end what the block began: {type(error).__name__}")


def _set_experiment(experiment_id: str | None) -> None:
    """What an earlier `mlflow.set_experiment` left: MLflow has no call that takes it back, and refuses a run of another experiment."""
    if hasattr(fluent := sys.modules.get("mlflow.tracking.fluent"), "_active_experiment_id"):
        vars(fluent)["_active_experiment_id"] = experiment_id


def _ending_of(error: BaseException, started: datetime, ended: datetime) -> Ending:
    """A block that was left by an exception; `sys.exit()` is no failure."""
    if isinstance(error, KeyboardInterrupt):
        return Ending("KILLED", None, int(signal.SIGINT), "Ctrl-C", started, ended)
    if isinstance(error, SystemExit) and not error.code:
        return Ending("FINISHED", None, None, "the block ended", started, ended)
    first = str(error).partition("\n")[0]
    return Ending("FAILED", None, None, f"{type(error).__name__}: {first}".rstrip(": "), started, ended)
