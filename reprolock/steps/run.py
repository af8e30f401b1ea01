"""`run`: Lock in, Record out. Rebuilds what the lock pins, executes the command, records it; never resolves.

1. What can fail is done before anything is recorded: pins are checked, code, data and jars made ready.
2. The MLflow run is created. From here on, whatever happens is recorded.
3. The command runs; the opening record is logged beside it.
4. Outputs are put at their paths; the closing record is logged, and kept on disk where MLflow does not take it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from reprolock.engine.process import execute, find_program
from reprolock.engine.spark import check as check_settings
from reprolock.engine.variables import Variables
from reprolock.environment.archive import archive
from reprolock.environment.code import Snapshot, snapshot
from reprolock.environment.java import Java, check_java, find_java
from reprolock.environment.python_env import refuse_foreign_python
from reprolock.errors import UsageError
from reprolock.files.journal import Journal
from reprolock.files.lock_file import NAME as LOCK
from reprolock.files.outputs import collect, set_aside
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.whole import write_whole
from reprolock.lake.opening import open_lake
from reprolock.lake.protocol import Lake
from reprolock.model.digest import digest_of
from reprolock.model.lock import Lock
from reprolock.model.outcome import Ending, Outcome, Output
from reprolock.model.record import Record
from reprolock.model.sections import digests, observed_packages, pinned_sections
from reprolock.model.spec import OWN_FILES, Spec
from reprolock.model.workspace import Workspace
from reprolock.steps.abandoned import close_abandoned
from reprolock.steps.check import kind_of, require_fresh
from reprolock.steps.environment import Interpreter, ready_environment
from reprolock.steps.jars import ready_jars
from reprolock.steps.local_records import latest, note_finished, runs_folder, unchanged
from reprolock.steps.lock import lock
from reprolock.steps.machine import Machine
from reprolock.steps.options import LockOptions
from reprolock.steps.pins import check_pins
from reprolock.steps.progress import SILENT, Progress
from reprolock.steps.project import read_project
from reprolock.steps.rebuild import Materials, inputs_of, rebuild, s3_access
from reprolock.steps.recording import Sources, closing_record, opening_record
from reprolock.steps.reporting import Reporter
from reprolock.steps.shapes import with_shapes
from reprolock.steps.what_if import WhatIf, with_data, with_params
from reprolock.steps.why import why
from reprolock.tracker import open_tracker, warm
from reprolock.tracker.columns import Gateway
from reprolock.tracker.place import Place, find_place


class RunOptions(NamedTuple):
    """What `reprolock run` was asked for. `stdout` is a descriptor for the command's output, None for ours."""

    what_if: WhatIf = WhatIf()
    locked: bool = False
    relock: bool = False
    in_place: bool = False
    offline: bool = False
    dry_run: bool = False
    if_changed: bool = False
    name: str | None = None
    tags: Mapping[str, str] = {}
    stdout: int | None = None


class Watcher(Protocol):
    """Told what a person wants to see before the command's own output, and what goes wrong beside it."""

    def ready(self, record: Record) -> None:
        """The command starts now; with `dry_run` it would."""
        ...

    def warn(self, sentence: str) -> None:
        """Something went wrong that does not end the run."""
        ...


class Unwatched:
    """Nobody watches."""

    def ready(self, record: Record) -> None:
        """Nothing is said."""

    def warn(self, sentence: str) -> None:
        """Nothing is said."""


class RunResult(NamedTuple):
    """The closing record (the opening one with `dry_run`), whether MLflow has it, and MLflow's address.

    `skipped`: nothing was run, and the record is that of the equal run before (`--if-changed`).
    """

    record: Record
    sent: bool
    tracking: str
    skipped: bool = False


def run(
    root: Path,
    options: RunOptions = RunOptions(),
    watcher: Watcher = Unwatched(),
    progress: Progress = SILENT,
    machine: Machine | None = None,
) -> RunResult:
    """Run the project's command on what is pinned.

    A failing command is no error here: the record says FAILED or KILLED. LockError for a missing or stale
    lock, PinError for pinned things that are gone, ServiceError for a lake or an MLflow that is down.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    _check_options(options)
    if options.relock:
        lock(root, LockOptions(), machine)
    project = read_project(root)
    locked = require_fresh(project)
    spec = with_params(project.spec, options.what_if.params)
    place = find_place(spec.mlflow.tracking_uri, root, machine.environ)
    if options.offline:
        place = Place(f"sqlite:///{root}/.reprolock/offline/mlflow.db", "--offline")
    if options.if_changed and (equal := _equal_run(root, spec, locked, machine)):
        return RunResult(equal, True, place.shown, skipped=True)
    warm(place)  # MLflow takes seconds to load; the lake is asked meanwhile
    with ExitStack() as stack:
        lake = stack.enter_context(closing(_lake(root, spec, machine))) if locked.dataset else None
        sources, materials = _make_ready(root, spec, locked, lake, options, progress, machine)
        tracker = stack.enter_context(closing(open_tracker(place, machine.environ, machine.home)))
        attempt = _Run(root, sources, materials, Reporter(root, tracker, online=not options.offline, warn=watcher.warn), machine)
        if options.dry_run:
            return attempt.rehearse(options, watcher, place)
        close_abandoned(root, machine)
        return attempt.perform(options, watcher, place)


def _check_options(options: RunOptions) -> None:
    if options.locked and options.relock:
        raise UsageError("--locked and --relock exclude one another", hint="leave one out")
    if options.locked and options.what_if:
        raise UsageError("--set and --data change what is locked, and --locked forbids it", hint="leave out --locked")


    for option, given in (("--tag", options.tags), ("--name", options.name)):
        if options.if_changed and given:
            raise UsageError(f"--if-changed and {option} exclude one another: a run that is skipped has no {option[2:]}", hint="leave one out")


def _equal_run(root: Path, spec: Spec, locked: Lock, machine: Machine) -> Record | None:
    """A finished run of the same pins whose outputs still match. Costs no look at the data, the lake or MLflow."""
    interpreter = ready_environment(spec, locked.environment, machine, offline=True)
    java = _java(spec, locked, machine)
    pins = pinned_sections(spec, locked.dataset, locked.environment, locked.jars, _code(root, spec, machine).state.digest)
    observed = {"packages": observed_packages(interpreter.record), "java": str(java) if java else None}
    return unchanged(root, digests(pins), {name: digest_of(value) for name, value in observed.items()})


def _lake(root: Path, spec: Spec, machine: Machine) -> Lake:
    return open_lake(spec.lake.endpoint, root, machine.environ, machine.home)


def _make_ready(
    root: Path, spec: Spec, locked: Lock, lake: Lake | None, options: RunOptions, progress: Progress, machine: Machine
) -> tuple[Sources, Materials]:
    """Everything that can fail: side by side, since each part waits for something else."""
    with ThreadPoolExecutor(3) as pool:
        python = pool.submit(_python, spec, locked, progress, options, machine)
        java = pool.submit(_java, spec, locked, machine)
        code = pool.submit(_code, root, spec, machine)
        pins = locked.dataset
        if lake is not None:
            if options.what_if.data:
                pins = with_data(spec, pins, lake, options.what_if.data)
            check_pins(lake, pins)
        inputs = inputs_of(lake, spec, pins, root, machine, progress)
        sources = Sources(spec, pins, locked.environment, locked.jars, frozenset(options.what_if.data))
        interpreter, jars = python.result()
        return sources, Materials(code.result(), inputs, interpreter, jars, java.result(), lake)


def _python(
    spec: Spec, locked: Lock, progress: Progress, options: RunOptions, machine: Machine
) -> tuple[Interpreter, tuple[Path, ...]]:
    """The command's Python, and the jars for the pyspark in it."""
    interpreter = ready_environment(spec, locked.environment, machine, offline=options.offline)
    return interpreter, ready_jars(spec, locked.jars, machine, interpreter.pyspark, progress, offline=options.offline)


def _java(spec: Spec, locked: Lock, machine: Machine) -> Java | None:
    if spec.spark is None:
        return None
    check_settings(spec.spark)
    java = find_java(machine.environ)
    pinned = locked.environment.java if locked.environment else None
    check_java(java, f"=={pinned}" if pinned else spec.environment.java)
    return java


def _code(root: Path, spec: Spec, machine: Machine) -> Snapshot:
    """Never code: reprolock's own files, the lake, MLflow's database and artifacts, what runs write."""
    never = [*OWN_FILES, "mlruns", "mlartifacts", *(output.path for output in spec.outputs.values())]
    if kind_of(spec.lake) == "git":
        never.append((spec.lake.endpoint or "").removeprefix("file:"))
    database = find_place(spec.mlflow.tracking_uri, root, machine.environ).file
    if database is not None and database.is_relative_to(root):
        name = database.relative_to(root).as_posix()
        never += [name, *(f"{name}-{part}" for part in ("wal", "shm", "journal"))]
    return snapshot(root, spec.run.code, exclude=tuple(never), scanner=machine.scanner(spec.run.pass_env))


class _Run:
    """One run, from what was made ready to its record."""

    def __init__(self, root: Path, sources: Sources, materials: Materials, reporter: Reporter, machine: Machine) -> None:
        self.root = root
        self.sources = sources
        self.materials = materials
        self.reporter = reporter
        self.machine = machine

    def rehearse(self, options: RunOptions, watcher: Watcher, place: Place) -> RunResult:
        """`--dry-run`: everything up to the command, in a folder that is removed again."""
        name = "dry-run"
        try:
            workspace, _ = self._rebuild(name, options, {})
            self._check_program(workspace)
            record = self._opening(workspace, options, self.machine.now())
        finally:
            shutil.rmtree(runs_folder(self.root) / name, ignore_errors=True)
        watcher.ready(record)
        return RunResult(record, False, place.shown)

    def perform(self, options: RunOptions, watcher: Watcher, place: Place) -> RunResult:
        """Create the MLflow run, execute the command, record it."""
        started = self.machine.now()
        run_id = self.reporter.create(self.sources.spec, options.name, started)
        journal = None
        try:
            journal = Journal.open(self.root, run_id, place.shown, started)
            workspace, composed = self._rebuild(run_id, options, self.reporter.command_environment(run_id))
            self._check_program(workspace)
            record = self._opening(workspace, options, started)
            files = self._files(workspace)
            for name in composed.missing:
                watcher.warn(f"run.pass_env names {name}, which is not set here")
            watcher.ready(record)
            self.reporter.open(record, workspace.folder, files, self._completed)
            outcome = Outcome(*self._executed(workspace, options))
            record = self.reporter.opened(record)
            record = closing_record(record, outcome, self.sources.spec, self.reporter.metrics(run_id))
            sent = self.reporter.close(record, workspace.folder, files)
        except BaseException as error:
            recorded = self.reporter.abandon(run_id, error, self.machine.now())
            if journal is not None:
                journal.close() if recorded else journal.release()
            raise
        if record.status == "FINISHED":
            note_finished(self.root, record)
        journal.close()
        if record.status == "FINISHED" and workspace.mode == "isolated":
            shutil.rmtree(workspace.work, ignore_errors=True)  # kept after a failure, for whoever looks for its cause
        return RunResult(record, sent, place.shown)

    def _rebuild(self, run_id: str, options: RunOptions, tracking: Mapping[str, str]) -> tuple[Workspace, Variables]:
        spec, pins = self.sources.spec, self.sources.pins
        return rebuild(
            run_id, self.root, spec, pins, self.materials, self.machine, in_place=options.in_place, tracking=tracking
        )

    def _check_program(self, workspace: Workspace) -> None:
        """UsageError for a command that is not there, or a Python from outside of the locked environment."""
        program = find_program(workspace.argv[0], workspace.environ["PATH"], workspace.work)
        if self.materials.interpreter.built is not None:
            refuse_foreign_python(program, self.materials.interpreter.built)

    def _opening(self, workspace: Workspace, options: RunOptions, started: datetime) -> Record:
        record = opening_record(
            self.sources,
            workspace,
            self.materials.interpreter.record,
            tree=self.materials.snapshot.tree,
            started=started,
            run_name=options.name,
            tags=options.tags,
        )
        return record.model_copy(update={"why": why(record, latest(self.root))})

    def _files(self, workspace: Workspace) -> dict[str, Path]:
        """The artifacts: what was declared, what was pinned, and the code that runs; looked through for keys."""
        contents = {
            SPEC: (self.root / SPEC).read_bytes(),
            LOCK: (self.root / LOCK).read_bytes(),
            "code.tar.gz": archive(self.materials.snapshot, self.root),
        }
        scanner = self.machine.scanner(self.sources.spec.run.pass_env)
        files = {}
        for name, data in contents.items():
            if name != "code.tar.gz":  # its files were looked through one by one
                scanner.check(data, name)
            files[name] = workspace.folder / name
            write_whole(files[name], data)
        return files

    def _completed(self, record: Record) -> Record:
        """Beside the command: the columns of its inputs."""
        spec, pins = self.sources.spec, self.sources.pins
        s3 = s3_access(spec, pins, self.machine)
        gateway = Gateway(s3.endpoint, s3.access_key_id, s3.secret_access_key) if s3 else None
        return with_shapes(record, pins, self.materials.lake, gateway)

    def _executed(self, workspace: Workspace, options: RunOptions) -> tuple[Ending, tuple[Output, ...]]:
        spec = self.sources.spec
        declared = {name: output.path for name, output in spec.outputs.items()}
        if workspace.mode == "in-place":
            set_aside(declared, self.root, workspace.run_id)
        for path in workspace.outputs.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        ending = execute(
            workspace.argv,
            cwd=workspace.work,
            environ=workspace.environ,
            timeout_seconds=workspace.timeout_seconds,
            clock=self.machine.now,
            stdout=options.stdout,
        )
        outputs = collect(declared, workspace.work, self.root, workspace.run_id)
        missing = [output.name for output in outputs if output.missing]
        if ending.status == "FINISHED" and missing:
            reason = f"exit code 0, but it did not write the declared {'outputs' if len(missing) > 1 else 'output'} {', '.join(missing)}"
            ending = ending._replace(status="FAILED", reason=reason)
        return ending, outputs
