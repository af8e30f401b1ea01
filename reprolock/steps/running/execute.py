"""Execute what was made ready: create the MLflow run, run the command, measure its outputs, record it all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import uuid4

from reprolock.engine.command_environment import Variables
from reprolock.engine.process import execute, find_program
from reprolock.environment.code.archive import archive
from reprolock.environment.code.snapshot import check_keys
from reprolock.environment.python.bytecode import note_bytecode, remove_unknown_bytecode
from reprolock.environment.python.foreign_interpreter import refuse_foreign_python
from reprolock.errors import MachineError, ReprolockError, UsageError
from reprolock.files.atomic_write import write_whole
from reprolock.files.journal import Journal
from reprolock.files.lock_file import NAME as LOCK
from reprolock.files.os_errors import cannot_write
from reprolock.files.outputs import find_outputs, put_in_place, refuse_standing, set_aside
from reprolock.files.spec_file import NAME as SPEC
from reprolock.lake.table_schema import Gateway
from reprolock.model.changes import why
from reprolock.model.digest import sha256
from reprolock.model.outcome import Ending, Outcome, Output
from reprolock.model.record import Record
from reprolock.model.workspace import Workspace
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress
from reprolock.steps.project.run_folders import runs_folder
from reprolock.steps.recording.build import Sources, closing_record, opening_record
from reprolock.steps.recording.input_schemas import with_shapes
from reprolock.steps.recording.log import Reporter
from reprolock.steps.recording.redact import check_opening, check_spec, redact_record, spark_keys, without_keys
from reprolock.steps.running.if_changed import note_finished
from reprolock.steps.running.lineage import judge, kept_events, observe
from reprolock.steps.running.materialise_for_run import count_unverified
from reprolock.steps.running.metrics import judge_metrics
from reprolock.steps.running.mlflow_compat import check_mlflow
from reprolock.steps.running.options import RunOptions
from reprolock.steps.running.outputs import Measured, measure_outputs
from reprolock.steps.running.publish import Published, publish
from reprolock.steps.running.run_branches import Publication, discard, prepare
from reprolock.steps.running.workspace import Materials, rebuild, s3_access
from reprolock.tracker.tracking_uri import Place


class Watcher(Protocol):
    """Told what a person wants to see before the command's own output, and what goes wrong beside it."""

    def ready(self, record: Record) -> None:
        """The command starts now; with `dry_run` it would."""
        ...

    def publishing(self) -> AbstractContextManager[Progress]:
        """Outputs are put into the lake now; returns the progress to report to."""
        ...

    def warn(self, sentence: str) -> None:
        """Something went wrong that does not end the run."""
        ...


class Unwatched:
    """No progress is shown."""

    def ready(self, record: Record) -> None:
        """Nothing is said."""

    def publishing(self) -> AbstractContextManager[Progress]:
        """Nothing is drawn."""
        return nullcontext(SILENT)

    def warn(self, sentence: str) -> None:
        """Nothing is said."""


class RunResult(NamedTuple):
    """The closing record (the opening one with `dry_run`), whether MLflow has it, and MLflow's address.

    `skipped`: nothing was run, and the record is that of the equal run before (`--if-changed`). `incomplete`:
    why outputs of a run that has ended are not where they were to be, in the project (`NotPlaced`) or in the lake.
    """

    record: Record
    sent: bool
    tracking: str
    skipped: bool = False
    incomplete: ReprolockError | None = None


class NotPlaced(MachineError):
    """Outputs that could not be put at their paths in the project; they stay in the run's folder."""


class Performance:
    """One run, from what was made ready to its record. `root` is where outputs go and runs have their folders."""

    def __init__(
        self,
        root: Path,
        sources: Sources,
        materials: Materials,
        reporter: Reporter,
        machine: Machine,
        before: Record | None,
    ) -> None:
        """`before` is the run that this one is told apart from."""
        self.root = root
        self.before = before
        self.sources = sources
        self.materials = materials
        self.reporter = reporter
        self.machine = machine
        self.publication: Publication | None = None
        self.scanner = machine.scanner(sources.spec.run.pass_env)
        self.own_keys = machine.scanner()  # without what pass_env lets through, which may be the project's own folder
        self.checked: Record | None = None
        self.python = machine.python
        self.environ: Mapping[str, str] = {}
        self.unmeasured: frozenset[str] = frozenset()

    def rehearse(self, options: RunOptions, watcher: Watcher, place: Place) -> RunResult:
        """`--dry-run`: everything up to the command, in a folder that is removed again."""
        check_mlflow(self.materials.interpreter.built, place, offline=options.offline)
        self._read_declared()
        name = f"dry-run-{uuid4().hex}"
        try:
            workspace, _ = self._rebuild(name, options, {})
            self._check(workspace)
            record = self._opening(workspace, options, self.machine.now())
        finally:
            shutil.rmtree(runs_folder(self.root) / name, ignore_errors=True)
        watcher.ready(record)
        return RunResult(record, False, place.shown)

    def perform(self, options: RunOptions, watcher: Watcher, place: Place) -> RunResult:
        """Create the MLflow run, execute the command, record it."""
        check_mlflow(self.materials.interpreter.built, place, offline=options.offline)
        declared = self._read_declared()
        started = self.machine.now()
        journal = Journal.open(self.root, uuid4().hex, place.shown, started)
        run_id = self._create(journal, options, started)
        try:
            journal.name(run_id)
            if self.materials.lake is not None and not options.publishing_off:
                self.publication = prepare(self.materials.lake, self.sources.spec, run_id)
            workspace, composed = self._rebuild(
                run_id, options, self.reporter.command_environment(run_id, self.sources.spec.experiment)
            )
            self._check(workspace)
            record = self._opening(workspace, options, started)
            files = self._files(workspace, declared)
            record = record.model_copy(update={"artifacts": _digests(files)})
            for name in composed.missing:
                watcher.warn(f"run.pass_env names {name}, which is not set here")
            watcher.ready(record)
            self.reporter.open(record, workspace.folder, files, lambda record: self._complete(record, watcher))
            outcome = Outcome(*self._execute(workspace, options))
            if (sentence := self.materials.interpreter.describe_writes()) is not None:
                watcher.warn(sentence)
            lineage = observe(workspace, self.sources.pins, self.publication, outcome.ending.started)
            outcome = outcome._replace(ending=judge(outcome.ending, lineage, self.sources.spec, watcher.warn))
            record = self.reporter.opened(record)
            measured = self._measure(workspace, outcome.outputs, watcher)
            kept = dict(measured.kept) | kept_events(workspace.folder, self.scanner, watcher.warn)
            files |= kept
            metrics = self.reporter.metrics(run_id)
            if metrics is not None:
                ending = judge_metrics(outcome.ending, self.sources.spec.metrics, metrics, run_id, place.shown)
                outcome = outcome._replace(ending=ending)
            record = closing_record(
                record, outcome.ending, measured.outputs, lineage, metrics or {}, count_unverified(workspace.folder)
            )
            record = record.model_copy(update={"artifacts": record.artifacts | _digests(kept)})
            record = self._redact(record, watcher)
            self.reporter.ended(record, workspace.folder, files)
            published = self._publish(record, outcome, workspace.work, options, watcher)
            record = self._redact(record.model_copy(update={"published": published.records}), watcher).sealed()
            self.reporter.ended(record, workspace.folder, files)
            incomplete = _place(outcome.outputs, workspace, self.root, published.problem)
            sent = self.reporter.close(record, workspace.folder, files)
        except BaseException as error:
            self._discard(watcher)
            recorded = self.reporter.abandon(run_id, error, self.machine.now(), self.own_keys.redact)
            journal.close() if recorded else journal.release()
            raise
        if record.status == "FINISHED" and incomplete is None:
            note_finished(self.root, record)
        journal.close()
        if record.status == "FINISHED" and workspace.mode == "isolated" and not isinstance(incomplete, NotPlaced):
            shutil.rmtree(workspace.work, ignore_errors=True)  # kept after a failure, to look for its cause
        return RunResult(record, sent, place.shown, incomplete=incomplete)

    def _create(self, journal: Journal, options: RunOptions, started: datetime) -> str:
        """The MLflow run, tagged with the name that the journal has for it: killed in between, it is found by that."""
        try:
            return self.reporter.create(self.sources.spec, options.name, started, journal.run_id)
        except BaseException as error:
            journal.close() if isinstance(error, ReprolockError) else journal.release()
            raise

    def _publish(
        self, record: Record, outcome: Outcome, work: Path, options: RunOptions, watcher: Watcher
    ) -> Published:
        """After a run that succeeded its outputs in the lake; after another one nothing."""
        if self.publication is None or outcome.ending.status != "FINISHED":
            self._discard(watcher)
            return Published(())
        publication, self.publication = self.publication, None  # whatever happens now, nothing of it is discarded
        with watcher.publishing() as progress:
            return publish(
                publication, outcome.outputs, work, record, tag=options.tag, merge=options.merge, progress=progress
            )

    def _discard(self, watcher: Watcher) -> None:
        """After a run that failed: its branches go, unless something was written to them."""
        publication, self.publication = self.publication, None
        if publication is None:
            return
        try:
            for branch in discard(publication):
                watcher.warn(
                    f"what the command wrote to the lake stays on lakefs://{branch.repository}/{branch.name}, uncommitted"
                )
        except ReprolockError as error:
            watcher.warn(f"the run's own branches stay in the lake: {error.message}")

    def _rebuild(self, run_id: str, options: RunOptions, tracking: Mapping[str, str]) -> tuple[Workspace, Variables]:
        spec, pins = self.sources.spec, self.sources.pins
        return rebuild(
            run_id,
            self.root,
            spec,
            pins,
            self.materials,
            self.machine,
            in_place=options.in_place,
            tracking=tracking,
            publication=self.publication,
        )

    @property
    def _output_paths(self) -> dict[str, str]:
        """The outputs' paths by their names."""
        return {name: output.path for name, output in self.sources.spec.outputs.items()}

    def _check(self, workspace: Workspace) -> None:
        """UsageError for a command that is not there, a Python from outside of the locked environment, an output that the code has."""
        if workspace.mode == "isolated":
            refuse_standing(self._output_paths, workspace.work)
        path = workspace.environ["PATH"]
        program = find_program(workspace.argv[0], path, workspace.work)
        if (built := self.materials.interpreter.built) is not None:
            refuse_foreign_python((program, *workspace.argv[1:]), built, path, workspace.work)

    def _opening(self, workspace: Workspace, options: RunOptions, started: datetime) -> Record:
        record = opening_record(
            self.sources,
            workspace,
            self.materials.interpreter.record,
            tree=self.materials.snapshot.tree,
            started=started,
            run_name=options.name,
        )
        record = record.model_copy(update={"why": why(record, self.before)})
        self._check_keys(record, workspace)
        return record

    def _check_keys(self, record: Record, workspace: Workspace) -> None:
        """UsageError for a secret in what is recorded, or one of Spark's own, known by now, in the code."""
        further = spark_keys(workspace)
        self.scanner = self.machine.scanner(self.sources.spec.run.pass_env, further)
        self.own_keys = self.machine.scanner((), further)
        try:
            if further:
                check_keys(self.materials.snapshot, self.materials.code_root, self.own_keys)
            check_opening(record, self.own_keys)
        except UsageError:
            shutil.rmtree(workspace.folder, ignore_errors=True)  # what the command was to be given holds it too
            raise
        self.checked = record

    def _redact(self, record: Record, watcher: Watcher) -> Record:
        """The record as it may be written: a secret that the command printed or logged ends no run."""
        assert self.checked is not None
        record, remarks = redact_record(record, self.checked, self.scanner)
        for remark in remarks:
            watcher.warn(remark)
        return record

    def _read_declared(self) -> dict[str, bytes]:
        """repro.toml and repro.lock as they are logged, searched for secrets."""
        contents = {name: (self.root / name).read_bytes() for name in (SPEC, LOCK)}
        for name, data in contents.items():
            self.scanner.check(data, name)
        check_spec(self.sources.spec, self.own_keys)
        return contents

    def _files(self, workspace: Workspace, declared: Mapping[str, bytes]) -> dict[str, Path]:
        """The artifacts: what was declared, what was pinned, and the code that runs."""
        contents = {**declared, "code.tar.gz": archive(self.materials.snapshot, self.materials.code_root)}
        files = {}
        for name, data in contents.items():
            files[name] = workspace.folder / name
            write_whole(files[name], data)
        return files

    def _complete(self, record: Record, watcher: Watcher) -> Record:
        """Beside the command: the columns of its inputs."""
        spec, pins = self.sources.spec, self.sources.pins
        s3 = s3_access(spec, pins, self.machine)
        gateway = Gateway(s3.endpoint, s3.access_key_id, s3.secret_access_key) if s3 else None
        return self._redact(with_shapes(record, pins, self.materials.lake, gateway), watcher)

    def _measure(self, workspace: Workspace, outputs: tuple[Output, ...], watcher: Watcher) -> Measured:
        """The outputs as a replay will compare them; tables are read by the command's own Python and Spark."""
        self.python = Path(find_program("python", workspace.environ["PATH"], workspace.work))
        self.environ = workspace.environ
        direct = self.publication.direct(outputs) if self.publication else {}
        measured = measure_outputs(
            outputs,
            self.sources.spec,
            workspace.work,
            workspace.folder,
            python=self.python,
            environ=self.environ,
            direct=direct,
        )
        records, kept, remarks = without_keys(measured.outputs, measured.kept, self.scanner)
        for remark in remarks:
            watcher.warn(remark)
        self.unmeasured = measured.unmeasured
        return Measured(records, kept, measured.unmeasured)

    def _execute(self, workspace: Workspace, options: RunOptions) -> tuple[Ending, tuple[Output, ...]]:
        declared = self._output_paths
        if workspace.mode == "in-place":
            set_aside(declared, self.root, workspace.run_id)
        for path in workspace.outputs.values():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise cannot_write(path.parent, error) from error
        built = self.materials.interpreter.built
        if built is not None:
            remove_unknown_bytecode(built.folder)
        ending = execute(
            workspace.argv,
            cwd=workspace.work,
            environ=workspace.environ,
            timeout_seconds=workspace.timeout_seconds,
            clock=self.machine.now,
            stdout=options.stdout,
        )
        if built is not None:
            note_bytecode(built.folder)
        outputs = find_outputs(declared, workspace.work)
        if self.publication is not None:
            outputs = tuple(self.publication.with_direct(output) for output in outputs)
        if ending.status == "FINISHED" and (reason := _not_written(outputs)):
            ending = ending._replace(status="FAILED", reason=f"exit code 0, but {reason}")
        return ending, outputs


def _not_written(outputs: tuple[Output, ...]) -> str:
    """What is wrong with the outputs of a command that says all went well; "" for nothing."""
    missing = [output.name for output in outputs if output.missing and output.problem is None]
    told = (
        [f"it did not write the declared {'outputs' if len(missing) > 1 else 'output'} {', '.join(missing)}"]
        if missing
        else []
    )
    return "; ".join([*told, *(output.problem for output in outputs if output.missing and output.problem)])


def _place(
    outputs: tuple[Output, ...], workspace: Workspace, root: Path, unpublished: ReprolockError | None
) -> ReprolockError | None:
    """Put the outputs at their paths; what of them is not where it was to be. By now the lake may have them, and a run
    that has ended has ended: that a file stands in the way is not part of its evidence."""
    try:
        put_in_place({output.name: output.path for output in outputs}, workspace.work, root, workspace.run_id)
    except MachineError as error:
        hint = f"what the run wrote is in {workspace.work}; make room for it, and move it from there"
        more = (unpublished.message, *unpublished.problems) if unpublished else ()
        return NotPlaced(f"the outputs are not put in place: {error.message}", hint=hint, problems=more)
    return unpublished


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of artifacts, by their names."""
    return {name: sha256(path.read_bytes()) for name, path in files.items()}
