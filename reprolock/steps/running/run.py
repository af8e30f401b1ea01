"""`run`: rebuild what the lock pins, execute the command, record it. It never resolves.

1. What can fail is done before anything is recorded: pins are checked, code, data and jars made ready.
2. The MLflow run is created. From here on, whatever happens is recorded.
3. The command runs; the opening record is logged beside it.
4. Outputs are put at their paths; the closing record is logged, and kept on disk where MLflow does not take it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from reprolock.environment.code import git
from reprolock.environment.code.choose import in_scope
from reprolock.environment.code.lfs import lfs_pointers
from reprolock.environment.code.links import links_elsewhere
from reprolock.environment.code.snapshot import Snapshot
from reprolock.errors import UsageError
from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake
from reprolock.model.spec import LakeSpec, Spec
from reprolock.steps.evidence.attest import open_attestor
from reprolock.steps.locking.options import LockOptions
from reprolock.steps.locking.overrides import with_params
from reprolock.steps.locking.staleness import require_fresh
from reprolock.steps.project.code import project_code
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress
from reprolock.steps.project.project import read_project
from reprolock.steps.project.run_context import RunContext
from reprolock.steps.project.run_folders import latest_of_command, runs_folder
from reprolock.steps.publishing.addresses import (
    check_data_targets,
    fill_addresses,
    outputs_with_branches_to_make,
)
from reprolock.steps.publishing.run_branches import check_targets
from reprolock.steps.recording.find_run import check_run_name
from reprolock.steps.recording.log import Reporter, offline_place
from reprolock.steps.recording.recover import close_abandoned
from reprolock.steps.running.attempt import Attempt, RunResult, Unwatched, Watcher
from reprolock.steps.running.execute import perform, rehearse
from reprolock.steps.running.if_changed import equal_run
from reprolock.steps.running.mlflow_compat import has_mlflow
from reprolock.steps.running.options import RunOptions
from reprolock.steps.running.prepare import Ready, make_ready
from reprolock.steps.running.send_openlineage import forwarding
from reprolock.steps.running.unrecorded_variables import unrecorded_variables
from reprolock.steps.running.unused_datasets import unused_datasets
from reprolock.tracker import open_offline, open_tracker, warm
from reprolock.tracker.permission import check_credentials
from reprolock.tracker.protocol import Tracker
from reprolock.tracker.tracking_uri import Place, find_place


def run(
    root: Path,
    options: RunOptions = RunOptions(),
    watcher: Watcher = Unwatched(),
    progress: Progress = SILENT,
    machine: Machine | None = None,
) -> RunResult:
    """Run the project's command on what is pinned.

    A failing command is not an error here: the record says FAILED or KILLED. LockError for a missing or stale
    lock, PinError for pinned things that are gone, ServiceError for a lake or an MLflow that is down.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    _check_options(options, machine)
    if options.relock:
        from reprolock.steps.locking.lock import lock  # what resolves: other runs need none of it

        lock(root, LockOptions(offline=options.offline), machine, progress=progress)
    project = read_project(root)
    if (options.tag or options.merge or options.publish_to) and not project.spec.published:
        raise UsageError(
            "--tag, --merge and --publish-to need an output with publish, and there is none",
            hint='write publish = "lakefs://…" under an output',
        )
    locked = require_fresh(project)
    declared = with_params(project.spec, options.what_if.params)
    spec = fill_addresses(declared, options.what_if.data, to=options.publish_to)
    if options.lake is not None:
        spec = spec.replaced({"lake": LakeSpec(endpoint=options.lake)})
    place = (
        offline_place(root)
        if options.offline
        else find_place(spec.mlflow.tracking_uri, root, machine.environ, options.tracking_uri)
    )
    check_credentials(place, machine.environ, machine.home)
    if options.if_changed and not options.what_if.data:  # a dataset at another ref is known once the lake is asked
        equal = equal_run(root, spec, locked, machine, in_place=options.in_place)
        if equal is not None:
            return RunResult(equal, True, place.shown, skipped=True)
    attestor = None if options.dry_run else open_attestor(machine, spec.evidence, offline=options.offline)
    forward = forwarding(options.openlineage, machine.environ, offline=options.offline)
    options = _with_publishing(declared, spec, options, watcher)
    if not options.offline:
        warm(place)  # MLflow takes seconds to load; the lake is asked meanwhile
    with ExitStack() as stack:
        lake = stack.enter_context(closing(_lake(root, spec, machine))) if _uses_lake(spec) else None
        if lake is not None and not options.publishing_off:
            check_targets(lake, spec, options.tag, outputs_with_branches_to_make(declared, to=options.publish_to))
        context = RunContext(
            root,
            spec,
            locked.dataset,
            machine,
            progress,
            offline=options.offline,
            rehearsing=options.dry_run,
            warn=watcher.warn,
        )
        ready = make_ready(
            context,
            locked,
            lake,
            code=lambda: project_code(root, spec, machine, filters=not options.dry_run),
            what_if=options.what_if,
            pinned=options.part.pins if options.part else (),
        )
        for sentence in unused_datasets(ready.context.spec, ready.materials.snapshot, root):
            watcher.warn(sentence)
        for sentence in _describe_absent(ready.materials.snapshot, root, spec):
            watcher.warn(sentence)
        for sentence in unrecorded_variables(ready.materials.snapshot, root):
            watcher.warn(sentence)
        stack.enter_context(ready.materials.interpreter.in_use())
        tracker = stack.enter_context(closing(_tracker(place, ready, machine, offline=options.offline)))
        reporter = Reporter(root, tracker, online=not options.offline, warn=watcher.warn)
        attempt = Attempt(ready, reporter, options, watcher, latest_of_command(root), attestor)
        if options.dry_run:
            return rehearse(attempt)
        close_abandoned(root, machine)
        done = perform(attempt).result
        if forward and (problem := forward(done.record, runs_folder(root) / done.record.run_id)):
            watcher.warn(problem)
        return done


def _describe_absent(code: Snapshot, root: Path, spec: Spec) -> Iterator[str]:
    """What of the code the command will not find: files of which git-lfs's pointers stand there, submodules, links to what is no code."""
    if pointers := list(lfs_pointers(code, root)):
        others = f" and {len(pointers) - 1} more" if pointers[1:] else ""
        yield f"{pointers[0]}{others}: git-lfs's pointer stands there, not the file; `git lfs pull` fetches it"
    if absent := [path for path in git.absent_submodules(root) if in_scope(path, spec.run.code)]:
        others = f" and {len(absent) - 1} more" if absent[1:] else ""
        yield f"{absent[0]}{others}: a submodule that is not checked out; `git submodule update --init` fetches it"
    if links := list(links_elsewhere(code, root, [output.path for output in spec.outputs.values()])):
        (path, target), *more = links
        others = f"; {len(more)} more likewise" if more else ""
        yield f"{path} is a link to {target}, which is not among the code, and a run's folder has no such file{others}"


def _tracker(place: Place, ready: Ready, machine: Machine, *, offline: bool) -> Tracker:
    if not offline:
        return open_tracker(place, machine.environ, machine.home)
    return open_offline(place, machine.environ, machine.home, asked=has_mlflow(ready.materials.interpreter.built))


def _check_options(options: RunOptions, machine: Machine) -> None:
    if options.name is not None:
        check_run_name(options.name)
    if options.locked and options.relock:
        raise UsageError("--locked and --relock cannot be used together", hint="use one of them")
    if options.locked and options.what_if:
        raise UsageError("--set and --data change what is locked, and --locked forbids it", hint="leave out --locked")
    if options.relock and options.dry_run:
        raise UsageError(
            "--relock writes repro.lock, and --dry-run writes nothing", hint="run `reprolock lock --dry-run` first"
        )
    texts = {f"--set {name}": str(value) for name, value in options.what_if.params.items()}
    texts |= {option: value for option, value in (("--name", options.name), ("--tag", options.tag)) if value}
    scanner = machine.scanner()
    for place, text in texts.items():
        scanner.check(text, place, lines=False)
    for option, given in (("--tag", options.tag), ("--merge", options.merge), ("--name", options.name)):
        if options.if_changed and given:
            raise UsageError(
                f"--if-changed and {option} cannot be used together: a skipped run would ignore {option}",
                hint="use one of them",
            )


def _with_publishing(declared: Spec, spec: Spec, options: RunOptions, watcher: Watcher) -> RunOptions:
    """Whether outputs are published at all: with --offline only to an embedded lake, which is not a service."""
    if not options.publishing_off and options.publish_to is None:
        check_data_targets(declared, spec, options.what_if.data)
    if not options.offline or spec.lake.kind == "git":
        return options
    if options.what_if.data:
        raise UsageError("--data needs the lake, and --offline contacts no service", hint="leave out --offline")
    if not spec.published:
        return options
    if options.tag or options.merge or options.publish_to:
        raise UsageError(
            "--tag, --merge and --publish-to need the lake, and --offline contacts no service",
            hint="leave out --offline",
        )
    watcher.warn("outputs are not published: --offline contacts no service")
    return options._replace(publishing_off=True)


def _uses_lake(spec: Spec) -> bool:
    return bool(spec.datasets or spec.published)


def _lake(root: Path, spec: Spec, machine: Machine) -> Lake:
    return open_lake(spec.lake.endpoint, root, machine.environ, machine.home)
