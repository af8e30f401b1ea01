"""`replay`: a recorded run again, from its record alone, in a folder of its own; then the two held side by side.

1. The record is fetched and held against its artifacts (`recorded`): what does not agree is NOT REPLAYABLE.
2. Code, data, packages, jars, Java and N are rebuilt from it, as `run` rebuilds them from a lock.
3. The command runs; nothing is published, repro.lock and the lake stay as they are.
4. Outputs and metrics are compared by the record's own rules, and a verdict is given (`compare`).
5. The replay is an MLflow run of its own; the two name one another.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import NotFound, NotReplayable, PinError, ReprolockError, UsageError
from reprolock.files.lock_file import NAME as LOCK
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_spec
from reprolock.files.whole import own_folder
from reprolock.lake.opening import open_lake
from reprolock.model.record import Record
from reprolock.model.spec import LakeSpec, Spec
from reprolock.model.verdict import Verdict
from reprolock.steps.compare import compare
from reprolock.steps.machine import Machine
from reprolock.steps.options import RunOptions
from reprolock.steps.perform import Performance, Unwatched, Watcher
from reprolock.steps.progress import SILENT, Progress
from reprolock.steps.ready import make_ready
from reprolock.steps.recorded import Recorded, read_recorded
from reprolock.steps.reporting import Reporter
from reprolock.steps.what_if import WhatIf, with_params
from reprolock.tracker import open_tracker, warm
from reprolock.tracker.place import Place, find_place
from reprolock.tracker.protocol import RECORD, Tracker


class ReplayOptions(NamedTuple):
    """What `reprolock replay` was asked for. `lake` is an endpoint in the place of the record's; `stdout` as in RunOptions."""

    tracking_uri: str | None = None
    lake: str | None = None
    what_if: WhatIf = WhatIf()
    dry_run: bool = False
    stdout: int | None = None


class Replayed(NamedTuple):
    """The recorded run and its replay. `verdict` is None where a what-if changed something: then it is a comparison,
    and for a dry run."""

    recorded: Record
    replay: Record
    folder: Path
    verdict: Verdict | None
    sent: bool


def replay(
    root: Path,
    run: str,
    options: ReplayOptions = ReplayOptions(),
    watcher: Watcher = Unwatched(),
    progress: Progress = SILENT,
    machine: Machine | None = None,
) -> Replayed:
    """Replay a run that is named by its ID, a beginning of it, or a folder with its artifacts.

    `root` is any folder; the replay gets one of its own below it. NotReplayable (exit 7) where the record,
    the data or the machine does not allow it; a result that differs is data, not an error.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    place = _place(root, options.tracking_uri, machine)
    warm(place)
    with ExitStack() as stack:
        tracker = stack.enter_context(closing(open_tracker(place, machine.environ, machine.home)))
        name, fetch = _source(run, tracker)
        folder = _fresh(own_folder(root) / "replays", name)
        recorded = read_recorded(fetch(folder / "recorded"), folder / "code")
        try:
            return _replayed(recorded, root, folder, tracker, place, options, watcher, progress, machine, stack)
        except (PinError, NotFound) as error:
            raise NotReplayable(f"run {name[:8]} cannot be rebuilt: {error.message}", faults=error.faults, hint=error.hint) from None


def _replayed(
    recorded: Recorded,
    root: Path,
    folder: Path,
    tracker: Tracker,
    place: Place,
    options: ReplayOptions,
    watcher: Watcher,
    progress: Progress,
    machine: Machine,
    stack: ExitStack,
) -> Replayed:
    spec = with_params(_on_lake(recorded.spec, root, options.lake), options.what_if.params)
    for name in (SPEC, LOCK):
        shutil.copy(recorded.folder / name, folder / name)
    machine = machine._replace(cores=_cores(recorded.record, machine.cores))
    lake = None
    if spec.datasets:
        lake = stack.enter_context(closing(open_lake(spec.lake.endpoint, root, machine.environ, machine.home, declared_in="the record")))
    sources, materials = make_ready(
        folder,
        spec,
        recorded.lock,
        lake,
        machine,
        code=lambda: recorded.snapshot,
        what_if=options.what_if,
        offline=False,
        progress=progress,
        replay_of=recorded.record.run_id,
    )
    reporter = Reporter(folder, tracker, online=True, warn=watcher.warn)
    materials = materials._replace(code_root=recorded.code)
    performance = Performance(folder, sources, materials, reporter, machine, recorded.record)
    run_options = RunOptions(
        what_if=options.what_if, publishing_off=True, name=f"replay of {recorded.record.run_id[:8]}", stdout=options.stdout
    )
    if options.dry_run:
        done = performance.rehearse(run_options, watcher, place)
        return Replayed(recorded.record, done.record, folder, None, False)
    done = performance.perform(run_options, watcher, place)
    verdict = None
    if not options.what_if:
        verdict = compare(recorded, done.record, folder, python=performance.python, environ=performance.environ)
    if verdict is not None:
        _link(tracker, recorded.record, done.record, verdict, watcher)
    return Replayed(recorded.record, done.record, folder, verdict, done.sent)


def _place(root: Path, given: str | None, machine: Machine) -> Place:
    declared = read_spec(root).mlflow.tracking_uri if given is None and (root / SPEC).exists() else None
    return find_place(declared, root, machine.environ, given)


def _source(run: str, tracker: Tracker) -> tuple[str, Callable[[Path], Path]]:
    """The run's ID, and what brings its artifacts into a folder."""
    given = Path(run)
    for folder in (given, given / "reprolock"):
        if (folder / RECORD).is_file():
            return given.resolve().name, lambda target: _copied(folder, target)
    if given.is_dir():
        raise UsageError(f"{run} is a folder without {RECORD}", hint="name the folder of a run's artifacts, or a run's ID")
    run_id = tracker.find(run)
    return run_id, lambda target: tracker.download(run_id, target)


def _copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


def _fresh(folder: Path, name: str) -> Path:
    """A folder for this replay, numbered: two replays of a run never meet."""
    number = 1
    while True:
        made = folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:12]}-{number}"
        try:
            made.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return made


def _on_lake(spec: Spec, root: Path, given: str | None) -> Spec:
    """The spec with an endpoint that does not depend on where the replay's folder stands."""
    endpoint = given or spec.lake.endpoint
    if endpoint and endpoint.startswith("file:"):
        endpoint = f"file:{root / endpoint.removeprefix('file:')}"
    return spec.model_copy(update={"lake": LakeSpec(endpoint=endpoint)})


def _cores(record: Record, here: int) -> int:
    """The recorded N of `local[N]`: partitions decide sums and samples."""
    match = re.match(r"local\[(\d+)", record.spark.master) if record.spark else None
    return int(match[1]) if match else here


def _link(tracker: Tracker, recorded: Record, replayed: Record, verdict: Verdict, watcher: Watcher) -> None:
    """Both runs name one another. The recorded run may be in another MLflow, or in none."""
    try:
        tracker.tag(replayed.run_id, {"reprolock.verdict": verdict.kind})
    except ReprolockError as error:
        watcher.warn(f"the verdict could not be noted in MLflow: {error.message}")
        return
    try:
        tracker.tag(tracker.find(recorded.run_id), {f"reprolock.replay.{replayed.run_id}": verdict.kind})
    except ReprolockError:
        watcher.warn(f"run {recorded.run_id[:8]} is not in {tracker.place.shown}, so it does not name its replay")
