"""Run the command of a run, or wait for the block that runs instead of it, and find what it wrote."""

from __future__ import annotations

from functools import partial

from reprolock.engine.cluster.settings import seconds_without_executor
from reprolock.engine.process import execute
from reprolock.environment.python.installed.bytecode import note_bytecode, remove_unknown_bytecode
from reprolock.files.os_errors import cannot_write
from reprolock.files.outputs import find_outputs, set_aside
from reprolock.model.outcome import Ending, Outcome, Output
from reprolock.model.workspace import SparkPlan, Workspace
from reprolock.steps.publishing.run_branches import Publication
from reprolock.steps.running.attempt import Attempt
from reprolock.steps.running.opening import output_paths


def run_command(attempt: Attempt, workspace: Workspace, publication: Publication | None) -> Outcome:
    """How it ended, FAILED where a command that ended well did not write what is declared, and the outputs. A block may leave
    some out: it explores."""
    declared = output_paths(attempt.context.spec)
    if workspace.mode == "in-place":
        set_aside(declared, attempt.context.root, workspace.run_id)
    for path in workspace.outputs.values():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path.parent, error) from error
    ending = (attempt.block or partial(_execute, attempt))(workspace)
    outputs = find_outputs(declared, workspace.work)
    if publication is not None:
        outputs = tuple(publication.with_direct(output) for output in outputs)
    if workspace.mode == "interactive":
        return Outcome(ending, tuple(output for output in outputs if not output.missing))
    if ending.status == "FINISHED" and (reason := _not_written(outputs)):
        ending = ending._replace(status="FAILED", reason=f"exit code 0, but {reason}")
    return Outcome(ending, outputs)


def _execute(attempt: Attempt, workspace: Workspace) -> Ending:
    part = attempt.options.part
    built = attempt.ready.materials.interpreter.built
    if built is not None:
        remove_unknown_bytecode(built.folder)
    ending = execute(
        workspace.argv,
        cwd=workspace.work,
        environ=workspace.environ,
        timeout_seconds=workspace.timeout_seconds,
        clock=attempt.context.machine.now,
        stdout=part.output if part else attempt.options.stdout,
        stderr=part.output if part else None,
        signals=part.signals if part else None,
    )
    if built is not None:
        note_bytecode(built.folder)
    if ending.status == "FAILED" and (reason := _no_executor(workspace.spark)):
        ending = ending._replace(reason=f"{ending.reason}, after {reason}")
    return ending


def _no_executor(plan: SparkPlan | None) -> str | None:
    """What of the cluster ended the command's jobs."""
    if plan is None or plan.hook is None or (seconds := seconds_without_executor(plan.hook)) is None:
        return None
    return f"{plan.master} gave no executor for {seconds} s"


def _not_written(outputs: tuple[Output, ...]) -> str:
    """What is wrong with the outputs of a command that says all went well; "" for nothing."""
    missing = [output.name for output in outputs if output.missing and output.problem is None]
    told = (
        [f"it did not write the declared {'outputs' if len(missing) > 1 else 'output'} {', '.join(missing)}"]
        if missing
        else []
    )
    return "; ".join([*told, *(output.problem for output in outputs if output.missing and output.problem)])
