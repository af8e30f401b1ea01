"""Execute what was made ready: create the MLflow run, run the command, measure its outputs, record it all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

from reprolock.engine.process import find_program
from reprolock.errors import MachineError, ReprolockError
from reprolock.files.journal import Journal
from reprolock.files.outputs import put_in_place
from reprolock.lake.s3_gateway import Gateway
from reprolock.model.outcome import Outcome, Output
from reprolock.model.periods import seconds
from reprolock.model.record import LeftoverRecord, Record
from reprolock.model.workspace import Workspace
from reprolock.steps.evidence.attestations import read_lines
from reprolock.steps.project.prune import prune
from reprolock.steps.project.run_folders import kept_outputs, runs_folder
from reprolock.steps.publishing.publish import Published, publish
from reprolock.steps.publishing.run_branches import Publication, discard, prepare
from reprolock.steps.recording.build import closing_record
from reprolock.steps.recording.input_schemas import with_shapes
from reprolock.steps.recording.redact import spark_secrets, without_secrets
from reprolock.steps.running.attempt import (
    Attempt,
    NotPlaced,
    Opening,
    Performed,
    RunResult,
    Scanners,
    Watcher,
)
from reprolock.steps.running.command import run_command
from reprolock.steps.running.evidence import Witnessed, hold_inputs, sign_intent, sign_result
from reprolock.steps.running.if_changed import note_finished
from reprolock.steps.running.leftovers import list_leftovers, times
from reprolock.steps.running.lineage import judge, kept_events, observe
from reprolock.steps.running.materialise_for_run import copied_in
from reprolock.steps.running.metrics import gather_metrics, judge_metrics
from reprolock.steps.running.missing_files import missing_files
from reprolock.steps.running.missing_modules import missing_modules
from reprolock.steps.running.mlflow_compat import check_mlflow, for_command, sets_other_address, sets_other_experiment
from reprolock.steps.running.opening import (
    artifact_digests,
    begin,
    check_command,
    check_secrets,
    open_record,
    read_declared,
    rebuild_workspace,
)
from reprolock.steps.running.outputs import Measured, measure_outputs
from reprolock.steps.running.workspace import s3_access
from reprolock.tracker.protocol import ATTESTATIONS


def rehearse(attempt: Attempt) -> RunResult:
    """`--dry-run`: everything up to the command, in a folder that is removed again."""
    context = attempt.context
    check_mlflow(attempt.ready.materials.interpreter.built, attempt.place, offline=context.offline)
    read_declared(context, Scanners.of(context))
    name = f"dry-run-{uuid4().hex}"
    try:
        workspace, _ = rebuild_workspace(attempt, name, {}, None)
        check_command(attempt, workspace)
        record = open_record(attempt, workspace, context.machine.now())
        check_secrets(attempt, record, workspace, Scanners.of(context, spark_secrets(workspace)))
    finally:
        shutil.rmtree(runs_folder(context.root) / name, ignore_errors=True)
    attempt.watcher.ready(record)
    return RunResult(record, False, attempt.place.shown)


def perform(attempt: Attempt) -> Performed:
    """Create the MLflow run, execute the command, record it."""
    context, reporter = attempt.context, attempt.reporter
    check_mlflow(attempt.ready.materials.interpreter.built, attempt.place, offline=context.offline)
    scanners = Scanners.of(context)
    declared = read_declared(context, scanners)
    started = context.machine.now()
    journal = Journal.open(context.root, uuid4().hex, attempt.place.shown, started)
    run_id = _create(attempt, journal, started)
    try:
        journal.name(run_id)
        with ExitStack() as undo:
            publication = _publication(attempt, run_id, undo)
            tracking = _tracking(attempt, run_id)
            workspace, composed = rebuild_workspace(attempt, run_id, tracking, publication)
            scanners = Scanners.of(context, spark_secrets(workspace))
            record, files = begin(attempt, workspace, scanners, started, declared)
            if intent := sign_intent(attempt.attestor, record, workspace.folder):
                files[ATTESTATIONS] = workspace.folder / ATTESTATIONS
            for name in composed.missing:
                attempt.watcher.warn(f"run.pass_env names {name}, which is not set here")
            attempt.watcher.ready(record)
            performed = _conduct(attempt, Opening(workspace, record, files, scanners, publication, intent), undo)
    except BaseException as error:
        recorded = reporter.abandon(run_id, error, context.machine.now(), scanners.own.redact)
        journal.close() if recorded else journal.release()
        raise
    record, incomplete = performed.result.record, performed.result.incomplete
    if record.status == "FINISHED" and incomplete is None:
        note_finished(context.root, record)
    journal.close()
    keep = timedelta(seconds=seconds(context.spec.run.keep))
    done = record.status == "FINISHED" and workspace.mode != "in-place" and not isinstance(incomplete, NotPlaced)
    if done and not (record.leftovers and keep):
        shutil.rmtree(workspace.work, ignore_errors=True)  # kept after a failure, to look for its cause
    prune(context.root, keep, context.machine.now())
    return performed


def _tracking(attempt: Attempt, run_id: str) -> dict[str, str]:
    """MLflow's variables for the command."""
    context, materials = attempt.context, attempt.ready.materials
    experiment = context.spec.experiment
    return for_command(
        attempt.reporter.command_environment(run_id, experiment),
        materials.interpreter.built,
        context=context.machine.environ.get("MLFLOW_RUN_CONTEXT"),
        own_experiments=sets_other_experiment(materials.snapshot, materials.code_root, experiment),
    )


def _create(attempt: Attempt, journal: Journal, started: datetime) -> str:
    """The MLflow run, tagged with the name that the journal has for it: killed in between, it is found by that."""
    try:
        return attempt.reporter.create(attempt.context.spec, attempt.options.name, started, journal.run_id)
    except BaseException as error:
        journal.close() if isinstance(error, ReprolockError) else journal.release()
        raise


def _publication(attempt: Attempt, run_id: str, undo: ExitStack) -> Publication | None:
    """The run's branches. They go when `undo` is closed, unless something was written to them."""
    lake = attempt.ready.materials.lake
    if lake is None or attempt.options.publishing_off:
        return None
    publication = prepare(lake, attempt.context.spec, attempt.context.pins, run_id)
    if publication is not None:
        undo.callback(_discard, publication, attempt.watcher)
    return publication


def _discard(publication: Publication, watcher: Watcher) -> None:
    try:
        for branch in discard(publication):
            watcher.warn(
                f"what the command wrote to the lake stays on lakefs://{branch.repository}/{branch.name}, uncommitted"
            )
    except ReprolockError as error:
        watcher.warn(f"the run's own branches stay in the lake: {error.message}")


def _conduct(attempt: Attempt, opening: Opening, undo: ExitStack) -> Performed:
    """Execute the command, and record how it ended."""
    context, reporter, watcher = attempt.context, attempt.reporter, attempt.watcher
    workspace, record, publication = opening.workspace, opening.record, opening.publication
    placed = times(workspace.work, workspace.code.files)
    reporter.open(record, workspace.folder, opening.files, partial(_complete, attempt, opening))
    outcome = run_command(attempt, workspace, publication)
    if (sentence := attempt.ready.materials.interpreter.describe_writes()) is not None:
        watcher.warn(sentence)
    if attempt.block is None and outcome.ending.exit_code == 1:  # as Python ends where it cannot import, or open
        _warn_of_what_is_missing(attempt)
    lineage = observe(workspace, context.pins, publication, outcome.ending.started)
    outcome = outcome._replace(ending=judge(outcome.ending, lineage, context.spec, watcher.warn))
    record = reporter.opened(record)
    python = Path(find_program("python", workspace.environ["PATH"], workspace.work))
    measured = _measure(attempt, opening, outcome.outputs, python)
    kept = dict(measured.kept) | kept_events(workspace.folder, opening.scanners.used, watcher.warn)
    files = {**opening.files, **kept}
    metrics = reporter.metrics(workspace.run_id)
    children = reporter.children(workspace.run_id) if metrics is not None else ()
    if metrics is not None:
        place = attempt.place.shown
        metrics = gather_metrics(metrics, children)
        wanted = () if workspace.mode == "interactive" else context.spec.metrics
        elsewhere = None if metrics and metrics.keys() >= set(wanted) else _logs_elsewhere(attempt)
        ending = judge_metrics(outcome.ending, wanted, metrics, workspace.run_id, place, children, elsewhere)
        if elsewhere and ending is outcome.ending:
            watcher.warn(elsewhere)
        outcome = outcome._replace(ending=ending)
    record = closing_record(
        record, outcome.ending, measured.outputs, lineage, metrics or {}, copied_in(workspace.folder)
    ).replaced({"children": children, "leftovers": _leftovers(attempt, workspace, placed)})
    record = opening.redact(record.replaced({"artifacts": record.artifacts | artifact_digests(kept)}), watcher)
    reporter.ended(record, workspace.folder, files)
    published = _publish(attempt, opening, record, outcome, undo)
    record = opening.redact(record.replaced({"published": published.records}), watcher).sealed()
    reporter.ended(record, workspace.folder, files)
    where = kept_outputs(workspace.folder) if attempt.options.part else context.root
    incomplete = _place(outcome.outputs, workspace, where, published.problem)
    witnessed = _witness(attempt, opening, record)
    sent = reporter.close(record, workspace.folder, files)
    incomplete = incomplete or witnessed.problem
    result = RunResult(record, sent, attempt.place.shown, signer=witnessed.signer, incomplete=incomplete)
    return Performed(result, python, workspace.environ, measured.unmeasured)


def _warn_of_what_is_missing(attempt: Attempt) -> None:
    materials, spec = attempt.ready.materials, attempt.context.spec
    built = materials.interpreter.built
    packages = built.packages if built else None
    for sentence in missing_modules(spec, materials.snapshot, materials.code_root, packages):
        attempt.watcher.warn(sentence)
    for sentence in missing_files(spec, materials.snapshot, materials.code_root):
        attempt.watcher.warn(sentence)


def _logs_elsewhere(attempt: Attempt) -> str | None:
    materials = attempt.ready.materials
    return sets_other_address(materials.snapshot, materials.code_root, attempt.place)


def _leftovers(attempt: Attempt, workspace: Workspace, placed: Mapping[str, float]) -> tuple[LeftoverRecord, ...]:
    """What the command wrote and no output declares; in the project's own folder this cannot be told."""
    if workspace.mode == "in-place":
        return ()
    paths = [output.path for output in attempt.context.spec.outputs.values()]
    return list_leftovers(workspace.work, placed, paths)


def _witness(attempt: Attempt, opening: Opening, record: Record) -> Witnessed:
    """The closed record signed, and its commits held."""
    ready, attestor, folder = attempt.ready, attempt.attestor, opening.workspace.folder
    witnessed = sign_result(attestor, attempt.context, ready.sources, record, opening.intent, folder)
    statements = read_lines(folder) if witnessed.signer else []
    hold_inputs(attestor, attempt.context, ready.materials.lake, record, statements, folder)
    return witnessed


def _publish(attempt: Attempt, opening: Opening, record: Record, outcome: Outcome, undo: ExitStack) -> Published:
    """After a run that succeeded its outputs in the lake; after another one nothing."""
    if opening.publication is None or outcome.ending.status != "FINISHED":
        undo.close()
        return Published(())
    undo.pop_all()  # whatever happens now, nothing of it is discarded
    options = attempt.options
    with attempt.watcher.publishing() as progress:
        return publish(
            opening.publication,
            outcome.outputs,
            opening.workspace.work,
            record,
            tag=options.tag,
            merge=options.merge,
            progress=progress,
        )


def _complete(attempt: Attempt, opening: Opening, record: Record) -> Record:
    """Beside the command: the columns of its inputs."""
    context = attempt.context
    s3 = s3_access(context)
    gateway = Gateway(s3.endpoint, s3.access_key_id, s3.secret_access_key) if s3 else None
    record = with_shapes(record, context.pins, attempt.ready.materials.lake, gateway)
    return opening.redact(record, attempt.watcher)


def _measure(attempt: Attempt, opening: Opening, outputs: tuple[Output, ...], python: Path) -> Measured:
    """The outputs as a replay will compare them; tables are read by the command's own Python and Spark."""
    workspace, publication = opening.workspace, opening.publication
    measured = measure_outputs(
        outputs,
        attempt.context.spec,
        workspace.work,
        workspace.folder,
        python=python,
        environ=workspace.environ,
        direct=publication.direct(outputs) if publication else {},
    )
    records, kept, remarks = without_secrets(measured.outputs, measured.kept, opening.scanners.used)
    for remark in remarks:
        attempt.watcher.warn(remark)
    return Measured(records, kept, measured.unmeasured)


def _place(
    outputs: tuple[Output, ...], workspace: Workspace, root: Path, unpublished: ReprolockError | None
) -> ReprolockError | None:
    """Put the outputs at their paths; what of them is not where it was to be. By now the lake may have them, and a run
    that has ended has ended: that a file stands in the way is not part of its evidence."""
    try:
        root.mkdir(exist_ok=True)
        put_in_place({output.name: output.path for output in outputs}, workspace.work, root, workspace.run_id)
    except MachineError as error:
        hint = f"what the run wrote is in {workspace.work}; make room for it, and move it from there"
        more = (unpublished.message, *unpublished.problems) if unpublished else ()
        return NotPlaced(f"the outputs could not be moved to their paths: {error.message}", hint=hint, problems=more)
    return unpublished
