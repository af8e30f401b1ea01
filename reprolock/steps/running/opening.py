"""Before the command starts: the run's folder, its opening record and artifacts, searched for secrets."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from reprolock.engine.cluster.probe import Probed, probe_cluster
from reprolock.engine.cluster.settings import patience
from reprolock.engine.command_environment import Variables
from reprolock.engine.process import check_texts, find_program
from reprolock.environment.code.archive import archive
from reprolock.environment.code.snapshot import refuse_secrets
from reprolock.environment.python.installed.foreign_interpreter import (
    launcher_of,
    refuse_foreign_python,
    start_up_option,
)
from reprolock.errors import UsageError
from reprolock.files.atomic_write import write_whole
from reprolock.files.containment import check_inside
from reprolock.files.lock_file import NAME as LOCK
from reprolock.files.outputs import refuse_standing
from reprolock.files.spec_file import NAME as SPEC
from reprolock.model.changes import why
from reprolock.model.digest import sha256
from reprolock.model.executors import executor_differences
from reprolock.model.record import Record
from reprolock.model.spec import Spec
from reprolock.model.workspace import Workspace
from reprolock.steps.project.run_context import RunContext
from reprolock.steps.publishing.run_branches import Publication
from reprolock.steps.recording.build import opening_record
from reprolock.steps.recording.redact import check_opening, check_spec, spark_secrets
from reprolock.steps.running.attempt import Attempt, Scanners
from reprolock.steps.running.connect import check_server
from reprolock.steps.running.own_script import own_script_error
from reprolock.steps.running.workspace import Materials, rebuild


def read_declared(context: RunContext, scanners: Scanners) -> dict[str, bytes]:
    """repro.toml and repro.lock as they are logged, searched for secrets."""
    contents = {name: (context.root / name).read_bytes() for name in (SPEC, LOCK)}
    for name, data in contents.items():
        scanners.used.check(data, name)
    check_spec(context.spec, scanners.own)
    return contents


def rebuild_workspace(
    attempt: Attempt, run_id: str, tracking: Mapping[str, str], publication: Publication | None
) -> tuple[Workspace, Variables]:
    """The run's folder with its inputs, environment and code."""
    return rebuild(
        run_id,
        attempt.context,
        attempt.ready.materials,
        mode=attempt.mode,
        tracking=tracking,
        publication=publication,
    )


def check_command(attempt: Attempt, workspace: Workspace) -> None:
    """UsageError for a command that is not there, a Python from outside of the locked environment, an output that the code has."""
    check_inside(attempt.context.root, *output_paths(attempt.context.spec).values())
    if workspace.mode != "in-place":
        refuse_standing(output_paths(attempt.context.spec), workspace.work)
    if workspace.mode == "interactive":
        return
    path = workspace.environ["PATH"]
    check_texts(workspace.argv, workspace.environ)
    try:
        program = find_program(workspace.argv[0], path, workspace.work)
    except UsageError as error:
        raise own_script_error(workspace.argv[0], attempt.context.root) or error from None
    if (built := attempt.ready.materials.interpreter.built) is not None:
        refuse_foreign_python((program, *workspace.argv[1:]), built, path, workspace.work)
    elif (launcher := launcher_of(workspace.argv)) is not None:
        attempt.watcher.warn(f"`{launcher}` uses an environment of its own, which is neither locked nor recorded")
    elif (option := start_up_option(workspace.argv)) is not None:
        attempt.watcher.warn(
            f"{workspace.argv[0]} with {option} reads its user's start-up files, which set PATH: another Python than is recorded may run"
        )


def begin(
    attempt: Attempt, workspace: Workspace, scanners: Scanners, started: datetime, declared: Mapping[str, bytes]
) -> tuple[Record, dict[str, Path]]:
    """The opening record, searched for secrets, and its artifacts."""
    check_command(attempt, workspace)
    probed = _probe(workspace)
    check_server(attempt.context.spec, workspace.spark, probed)
    record = open_record(attempt, workspace, started, probed)
    for sentence in executor_differences(record):
        attempt.watcher.warn(f"executors {sentence}")
    check_secrets(attempt, record, workspace, scanners)
    files = write_artifacts(attempt.ready.materials, workspace, declared)
    return record.replaced({"artifacts": artifact_digests(files)}), files


def open_record(attempt: Attempt, workspace: Workspace, started: datetime, probed: Probed = Probed()) -> Record:
    """The record as it is when the command starts, with why this run is another than the one before."""
    record = opening_record(
        attempt.ready.sources,
        workspace,
        attempt.ready.materials.interpreter.record,
        tree=attempt.ready.materials.snapshot.tree,
        started=started,
        run_name=attempt.options.name,
        executors=probed.executors,
        server=probed.server,
    )
    part = attempt.options.part
    return record.replaced({"why": why(record, attempt.before), "parent": part.parent if part else None})


def check_secrets(attempt: Attempt, record: Record, workspace: Workspace, scanners: Scanners) -> None:
    """UsageError for a secret in what is recorded, or one of Spark's own, known by now, in the code."""
    materials = attempt.ready.materials
    try:
        if spark_secrets(workspace):
            refuse_secrets(materials.snapshot, materials.code_root, scanners.own)
        check_opening(record, scanners.own)
    except UsageError:
        shutil.rmtree(workspace.folder, ignore_errors=True)  # what the command was to be given holds it too
        raise


def write_artifacts(materials: Materials, workspace: Workspace, declared: Mapping[str, bytes]) -> dict[str, Path]:
    """The artifacts: what was declared, what was pinned, and the code that runs."""
    contents = {**declared, "code.tar.gz": archive(materials.snapshot, materials.code_root)}
    files = {}
    for name, data in contents.items():
        files[name] = workspace.folder / name
        write_whole(files[name], data)
    return files


def _probe(workspace: Workspace) -> Probed:
    """What a cluster or a Connect server runs, asked before the command; nothing for a local master."""
    if workspace.spark is None or workspace.spark.hook is None:
        return Probed()
    return probe_cluster(
        workspace.spark.master,
        workspace.spark.version,
        python=Path(find_program("python", workspace.environ["PATH"], workspace.work)),
        environ=workspace.environ,
        folder=workspace.folder,
        patience_seconds=patience(workspace.spark.conf),
    )


def output_paths(spec: Spec) -> dict[str, str]:
    """The outputs' paths by their names."""
    return {name: output.path for name, output in spec.outputs.items()}


def artifact_digests(files: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of artifacts, by their names."""
    return {name: sha256(path.read_bytes()) for name, path in files.items()}
