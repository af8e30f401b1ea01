"""`replay`: repeat a recorded run from its record alone, in a folder of its own, and compare the two.

1. The record is fetched and compared with its artifacts (`recorded`): what does not agree is NOT REPLAYABLE.
2. Code, data, packages, jars, Java and N are rebuilt from it, as `run` rebuilds them from a lock.
3. The command runs; nothing is published, repro.lock and the lake stay as they are.
4. Outputs and metrics are compared by the record's own rules, and a verdict is given (`compare`).
5. The replay is an MLflow run of its own; the two name one another.
"""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from reprolock.errors import LockError, NotReplayable, PinError, ReprolockError, UsageError
from reprolock.files.lock_file import NAME as LOCK
from reprolock.files.spec_file import NAME as SPEC
from reprolock.lake.open import anchored, check_endpoint, open_lake, require_here
from reprolock.lake.protocol import Lake
from reprolock.model.record import Record
from reprolock.model.spec import LakeSpec, Spec
from reprolock.model.value import first_problem
from reprolock.model.verdict import Verdict, not_replayable
from reprolock.steps.evidence.artifacts import bring_home
from reprolock.steps.evidence.attest import open_attestor
from reprolock.steps.evidence.attestations import write_lines
from reprolock.steps.evidence.sign import own_time_stamps
from reprolock.steps.evidence.trust import read_trust
from reprolock.steps.evidence.verdicts import standing, verdict_line
from reprolock.steps.locking.availability import check_listings, in_place
from reprolock.steps.locking.overrides import WhatIf, with_params
from reprolock.steps.project.locate import which_mlflow
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress
from reprolock.steps.project.run_context import RunContext
from reprolock.steps.recording.find_run import RunFinder
from reprolock.steps.recording.load import Recorded
from reprolock.steps.recording.log import Reporter
from reprolock.steps.recording.recover import close_abandoned
from reprolock.steps.replaying.compare import compare
from reprolock.steps.replaying.fetch import fetch
from reprolock.steps.running.attempt import Attempt, Performed, Unwatched, Watcher
from reprolock.steps.running.execute import perform, rehearse
from reprolock.steps.running.options import RunOptions
from reprolock.steps.running.prepare import Ready, make_ready
from reprolock.tracker import warm
from reprolock.tracker.protocol import Tracker


class ReplayOptions(NamedTuple):
    """What `reprolock replay` was asked for. `lake` and `master` are used instead of the record's; `stdout` as in RunOptions;
    `trust` is the trust.toml that the run must satisfy before anything of it is executed."""

    tracking_uri: str | None = None
    lake: str | None = None
    master: str | None = None
    what_if: WhatIf = WhatIf()
    dry_run: bool = False
    trust: Path | None = None
    stdout: int | None = None


class Replayed(NamedTuple):
    """The recorded run and its replay. `folder` has the replay's outputs, `code` is what was recorded.

    `verdict` is None where a what-if changed something, for then it is a comparison; where the replay was
    interrupted; and for a dry run. `signer`: ID of the key that signed the verdict.
    """

    recorded: Record
    replay: Record
    folder: Path
    code: Path
    verdict: Verdict | None
    signer: str | None = None


def replay(
    root: Path,
    run: str,
    options: ReplayOptions = ReplayOptions(),
    watcher: Watcher = Unwatched(),
    progress: Progress = SILENT,
    machine: Machine | None = None,
) -> Replayed:
    """Replay a run (see `RunFinder`), or a bundle.

    `root` is any folder; the replay gets one of its own below it. NotReplayable (exit 7) where the record or the
    lake does not allow it, MachineError (exit 8) where this machine does not and another may; a result that
    differs is data, not an error.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    attestor = None if options.dry_run else open_attestor(machine, own_time_stamps(root))
    trust = read_trust(root / options.trust) if options.trust else None
    place = which_mlflow(root, machine, options.tracking_uri)
    warm(place)
    with ExitStack() as stack:
        finder = stack.enter_context(RunFinder(root, machine, options.tracking_uri))
        tracker = finder.tracker
        fetched = fetch(run, finder, trust, progress, stack)
        recorded = fetched.recorded
        stood = standing(recorded.folder)
        if not options.dry_run:
            close_abandoned(root, machine)
        context = RunContext(
            root,
            recorded.spec,
            recorded.lock.dataset,
            machine,
            progress,
            rehearsing=options.dry_run,
            hashing=True,
            warn=watcher.warn,
        )
        if fetched.packed is not None:
            context = fetched.packed.around(context)
        try:
            done = _replay_once(recorded, context, tracker, options, watcher, stack)
        except (PinError, LockError) as error:
            raise _impossible(recorded, error) from None
        if attestor is None or done.verdict is None:
            return done
        line = verdict_line(attestor, stood, recorded.record, done.replay, done.verdict)
        write_lines(recorded.folder, stood.lines)  # whatever the command has made of them
        places = [recorded.folder, *([fetched.given] if fetched.given else [])]
        bring_home(root, recorded.record, line, tracker, watcher.warn, *places, bundle=fetched.bundle)
        return done._replace(signer=attestor.key.public.id)


def _require_comparison(recorded: Recorded) -> None:
    """NotReplayable, before anything is run, for a run whose result nothing could be compared with."""
    spec = recorded.spec
    if not spec.metrics and all(output.compare == "none" for output in spec.outputs.values()):
        raise NotReplayable(
            f"run {recorded.record.run_id[:8]} has nothing to compare: its repro.toml declares no metric, and no output that is compared",
            hint="declare some under [metrics] and [outputs], and run again; with --set or --data a replay needs none",
        )


def _replay_once(
    recorded: Recorded,
    context: RunContext,
    tracker: Tracker,
    options: ReplayOptions,
    watcher: Watcher,
    stack: ExitStack,
) -> Replayed:
    """`context` is that of the folder in which the replay was asked for. What is taken from this user's caches is hashed:
    a verdict must not rest on a size and a time."""
    root = context.root
    ready = _rebuild(recorded, context, options, stack)
    folder = ready.context.root
    reporter = Reporter(root, tracker, online=True, warn=watcher.warn)
    run_options = RunOptions(
        what_if=options.what_if,
        publishing_off=True,
        name=f"replay of {recorded.record.run_id[:8]}",
        stdout=options.stdout,
    )
    attempt = Attempt(ready, reporter, run_options, watcher, recorded.record)
    try:
        if options.dry_run:
            return Replayed(recorded.record, rehearse(attempt).record, folder, recorded.code, None)
        performed = perform(attempt)
    except UsageError as error:  # a program that the record names and that is not here
        raise _impossible(recorded, error) from None
    done = performed.result
    if done.incomplete is not None:
        raise done.incomplete  # there is nothing to compare
    verdict = None
    if not options.what_if and done.record.interrupted_by is None:
        verdict = _verdict(recorded, performed, folder, options.master)
    _link(tracker, recorded.record, done.record, verdict, watcher, known=context.objects is None)
    return Replayed(recorded.record, done.record, folder, recorded.code, verdict)


def _rebuild(recorded: Recorded, context: RunContext, options: ReplayOptions, stack: ExitStack) -> Ready:
    """Code, data and software of the recorded run, in a folder of the replay's own. `stack` closes the lake.

    NotReplayable where the record or the lake does not allow it.
    """
    root, folder = context.root, recorded.folder.parent / "project"
    folder.mkdir()
    spec = _on_master(_on_lake(recorded.spec, root, options.lake), options.master)
    spec = with_params(spec, options.what_if.params)
    if not options.what_if and not options.dry_run:
        _require_comparison(recorded)
    for name in (SPEC, LOCK):
        shutil.copy(recorded.folder / name, folder / name)
    machine = context.machine._replace(cores=_cores(recorded.record, context.machine.cores))
    lake = None
    if spec.datasets and (context.objects is None or options.lake):
        lake = stack.enter_context(closing(_lake(recorded, spec, root, options.lake, machine)))
    try:
        ready = make_ready(
            context._replace(root=folder, spec=spec, machine=machine),
            recorded.lock,
            lake,
            code=lambda: recorded.snapshot,
            what_if=options.what_if,
            replay_of=recorded.record.run_id,
        )
        stack.enter_context(ready.materials.interpreter.in_use())
        if lake is not None:
            # What is copied to this machine is checked against its pin then; what Spark reads in place never is.
            check_listings(lake, in_place(ready.context.pins, ready.materials.inputs))
    except UsageError as error:
        raise error if options.what_if else _impossible(recorded, error) from None
    return ready._replace(
        sources=ready.sources._replace(what_if=_all_what_ifs(recorded, options.what_if)),
        materials=ready.materials._replace(code_root=recorded.code),
    )


def _verdict(recorded: Recorded, performed: Performed, folder: Path, master: str | None) -> Verdict:
    done = performed.result
    if not done.sent and any(name not in done.record.metrics for name in recorded.spec.metrics):
        return not_replayable("MLflow stopped answering, and could not be asked for the metrics that the replay logged")
    return compare(
        recorded,
        done.record,
        folder,
        python=performed.python,
        environ=performed.environ,
        unmeasured=performed.unmeasured,
        master=master,
    )


def _all_what_ifs(recorded: Recorded, given: WhatIf) -> WhatIf:
    """What --set and --data changed in the recorded run, and what they change now: repro.toml and repro.lock know neither."""
    data = {item.name: item.commit for item in recorded.record.datasets if item.what_if}
    return WhatIf({**recorded.record.what_if, **given.params}, {**data, **given.data})


def _impossible(recorded: Recorded, error: ReprolockError) -> NotReplayable:
    return NotReplayable(
        f"run {recorded.record.run_id[:8]} cannot be rebuilt: {error.message}", problems=error.problems, hint=error.hint
    )


def _lake(recorded: Recorded, spec: Spec, root: Path, given: str | None, machine: Machine) -> Lake:
    """UsageError where --lake is at fault; NotReplayable where the record names a lake that is not here, or gets no credentials."""
    where = "--lake" if given else "the record"
    try:
        require_here(spec.lake.endpoint, root)
        return open_lake(spec.lake.endpoint, root, machine.environ, machine.home, declared_in=where)
    except UsageError as error:
        raise error if given else _impossible(recorded, error) from None


def _on_lake(spec: Spec, root: Path, given: str | None) -> Spec:
    """The spec with an endpoint that does not depend on where the replay's folder stands."""
    if given is not None:
        check_endpoint(given, "--lake")
    return spec.replaced({"lake": LakeSpec(endpoint=anchored(given or spec.lake.endpoint, root))})


def _on_master(spec: Spec, given: str | None) -> Spec:
    """The spec with another Spark master or Connect server. UsageError where the recorded run has no Spark."""
    if given is None:
        return spec
    if spec.spark is None:
        raise UsageError("--master names a Spark master, and the recorded run uses no Spark", hint="leave it out")
    try:
        return spec.replaced({"spark": spec.spark.on(given)})
    except ValidationError as error:
        raise UsageError(f"--master: {first_problem(error)}", hint="name another") from None


def _cores(record: Record, here: int) -> int:
    """The recorded N of `local[N]`: partitions decide sums and samples."""
    match = re.match(r"local\[(\d+)", record.spark.master) if record.spark else None
    return int(match[1]) if match else here


def _link(
    tracker: Tracker, recorded: Record, replayed: Record, verdict: Verdict | None, watcher: Watcher, *, known: bool
) -> None:
    """Both runs name one another. The recorded run may be in another MLflow, or in none; that of a bundle (not `known`) mostly is."""
    kind = verdict.kind if verdict else "none"
    try:
        tracker.tag(replayed.run_id, {"reprolock.verdict": kind})
    except ReprolockError as error:
        watcher.warn(f"the verdict could not be written to MLflow: {error.message}")
        return
    try:
        tracker.tag(tracker.find(recorded.run_id), {f"reprolock.replay.{replayed.run_id}": kind})
    except ReprolockError as error:
        if known:
            watcher.warn(f"MLflow will not show this replay on the page of the recorded run: {error.message}")
