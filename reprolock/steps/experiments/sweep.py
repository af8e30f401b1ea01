"""`sweep`: one run for each combination of a grid, side by side, nested under one parent run of MLflow's.

1. Everything that is the same for all is looked at once: the lock, each value of a param, the commit of each ref.
2. The parent run is made; where the same was asked for before, its own is taken, and what finished then is not run again.
3. Each combination is a run like any other, with a whole record, the seed that repro.toml declares, and its outputs in its own folder.
4. A failure ends no other run. Ctrl-C ends those that are under way, and the same call goes on later.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import NamedTuple, Protocol

from reprolock.engine.process import collected_signals
from reprolock.errors import ReprolockError, UsageError
from reprolock.files.atomic_write import own_folder
from reprolock.lake.open import open_lake
from reprolock.model.digest import digest_of
from reprolock.model.lock import DatasetPin, Lock
from reprolock.model.record import Digests, Record
from reprolock.model.sections import digests, pinned_sections
from reprolock.model.spec import Spec
from reprolock.steps.experiments.check_grid import check_values
from reprolock.steps.experiments.grid import Grid
from reprolock.steps.experiments.output_log import output_kept_in
from reprolock.steps.experiments.parent import Earlier, ParentRun, combination_of
from reprolock.steps.locking.overrides import WhatIf, with_data
from reprolock.steps.locking.staleness import require_fresh
from reprolock.steps.project.code import project_code
from reprolock.steps.project.locate import which_mlflow
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress
from reprolock.steps.project.project import read_project
from reprolock.steps.running.options import Part, RunOptions
from reprolock.steps.running.run import run
from reprolock.tracker import open_tracker, warm

_LOGS = "sweeps"
_OF_THE_GRID = ("data", "params")
"""Sections of a record in which the runs of a sweep may differ; those of the project are one for all."""


class SweepOptions(NamedTuple):
    """What `reprolock sweep` was asked for. `merge` merges what each run publishes; with `publishing_off` none does."""

    jobs: int = 1
    merge: bool = False
    publishing_off: bool = False


class SweepRun(NamedTuple):
    """One combination: its record, or the problem that kept it from running; neither of one that has not begun. `earlier`: an
    earlier call ran it. `log` has what its command printed."""

    what_if: WhatIf
    record: Record | None = None
    problem: ReprolockError | None = None
    earlier: bool = False
    log: Path | None = None

    @property
    def finished(self) -> bool:
        """Whether it has run, and well."""
        return self.record is not None and self.record.status == "FINISHED"


class Sweep(NamedTuple):
    """The runs in the order of the grid, the ID of their parent run, and the metrics that repro.toml declares.

    `signal` is what stopped it, None where nothing did.
    """

    parent: str
    grid: Grid
    runs: tuple[SweepRun, ...]
    metrics: tuple[str, ...]
    tracking: str
    signal: int | None = None

    def best(self, metric: str, *, least: bool = False) -> SweepRun | None:
        """The finished run with the greatest value of a metric, or the least; None where none has it."""
        found = [run for run in self.runs if run.finished and run.record is not None and metric in run.record.metrics]
        found = [run for run in found if run.record and run.record.metrics[metric] == run.record.metrics[metric]]
        choose = min if least else max
        return choose(found, key=lambda run: run.record.metrics[metric] if run.record else 0.0, default=None)


class SweepWatcher(Protocol):
    """Told how far a sweep has come."""

    def begun(self, runs: int, earlier: int) -> None:
        """So many runs, of which an earlier call has finished some."""
        ...

    def ended(self, run: SweepRun) -> None:
        """One run more has ended."""
        ...

    def warn(self, sentence: str) -> None:
        """Something went wrong that ends nothing."""
        ...


class _Unwatched:
    def begun(self, runs: int, earlier: int) -> None:
        pass

    def ended(self, run: SweepRun) -> None:
        pass

    def warn(self, sentence: str) -> None:
        pass


def sweep(
    root: Path,
    grid: Grid,
    options: SweepOptions = SweepOptions(),
    watcher: SweepWatcher = _Unwatched(),
    machine: Machine | None = None,
) -> Sweep:
    """Run every combination. A run that fails is data, and so is being stopped.

    UsageError for a param, a dataset or a value that the project does not take, and where runs would publish to one address;
    LockError, PinError and ServiceError as of `run`.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    project = read_project(root)
    locked, spec = require_fresh(project), project.spec
    check_values(spec, grid, machine.scanner(), merge=options.merge, publishing_off=options.publishing_off)
    place = which_mlflow(root, machine)
    warm(place)
    pins = _pin_refs(root, spec, locked, grid, machine)
    code = project_code(root, spec, machine).state.digest
    base = digests(pinned_sections(spec, locked.dataset, locked.environment, locked.jars, code))
    publishing = {"merge": options.merge, "off": options.publishing_off} if spec.published else None
    asked = digest_of(
        {
            "project": base.total,
            "publishing": publishing,
            "grid": [[combination_of(each.params, each.data), _commits(each, pins)] for each in grid.combinations()],
        }
    )
    with closing(open_tracker(place, machine.environ, machine.home)) as tracker:
        parent = ParentRun.of(tracker, spec.experiment, _title(grid), asked, machine)
        earlier = Earlier(root, parent.run_id, lambda record: not _differing(base, record))
        logs = own_folder(root) / _LOGS / asked[:12]
        redact = machine.scanner(spec.run.pass_env).redact
        with collected_signals() as signals:
            work = _Work(root, grid, base, parent.run_id, pins, options, watcher, machine, signals, logs, redact)
            runs = work.do_all(earlier)
        stopped = signals[0] if signals else None
        status = "KILLED" if stopped else "FINISHED" if all(each.finished for each in runs) else "FAILED"
        try:
            parent.finish(status)
        except ReprolockError as error:
            watcher.warn(f"MLflow still shows the sweep as it was: {error.message}")
    if work.moved is not None:
        raise work.moved
    return Sweep(parent.run_id, grid, tuple(runs), tuple(spec.metrics), place.shown, stopped)


class _Work:
    """The runs of one sweep. `moved`: why it was given up, for the project is no longer what was swept."""

    def __init__(
        self,
        root: Path,
        grid: Grid,
        base: Digests,
        parent: str,
        pins: dict[tuple[str, str], DatasetPin],
        options: SweepOptions,
        watcher: SweepWatcher,
        machine: Machine,
        signals: list[int],
        logs: Path,
        redact: Callable[[str], str],
    ) -> None:
        self.root, self.grid, self.base, self.parent, self.pins = root, grid, base, parent, pins
        self.options, self.watcher, self.machine, self.signals = options, watcher, machine, signals
        self.logs, self.redact = logs, redact
        self.moved: ReprolockError | None = None

    def do_all(self, earlier: Earlier) -> list[SweepRun]:
        """In the order of the grid, whichever ends first."""
        combinations = list(self.grid.combinations())
        runs = {
            number: SweepRun(what_if, record, earlier=True)
            for number, what_if in enumerate(combinations)
            if (record := earlier.finished(what_if)) is not None
        }
        self.watcher.begun(len(combinations), len(runs))
        with ThreadPoolExecutor(self.options.jobs, thread_name_prefix="sweep") as pool:
            left = {
                pool.submit(self.do, number, what_if): number
                for number, what_if in enumerate(combinations)
                if number not in runs
            }
            for future in as_completed(left):
                runs[left[future]] = done = future.result()
                if done.record is not None or done.problem is not None:
                    self.watcher.ended(done)
        return [runs[number] for number in sorted(runs)]

    def do(self, number: int, what_if: WhatIf) -> SweepRun:
        """One run; nothing, once the sweep was stopped."""
        if self.signals or self.moved is not None:
            return SweepRun(what_if)
        log = self.logs / f"{number + 1}.log"
        name = self.grid.told(what_if)
        pins = tuple(self.pins[item] for item in what_if.data.items())
        try:
            with output_kept_in(log, self.redact) as output:
                options = RunOptions(
                    what_if=what_if,
                    name=name,
                    merge=self.options.merge,
                    publishing_off=self.options.publishing_off,
                    part=Part(self.parent, pins, output, self.signals),
                )
                done = run(self.root, options, _Quiet(name, self.watcher), machine=self.machine)
        except ReprolockError as error:
            return SweepRun(what_if, problem=error, log=log)
        self._check_project(done.record)
        return SweepRun(what_if, done.record, done.incomplete, log=log)

    def _check_project(self, record: Record) -> None:
        """Runs of a project that was changed meanwhile are not comparable: no more of them are begun."""
        differing = _differing(self.base, record)
        if differing and self.moved is None:
            self.moved = UsageError(
                f"the sweep was given up, for the project changed while it ran: {', '.join(differing)}",
                hint="undo the change and call it again to go on, or call it again to sweep the project as it is now",
            )


class _Quiet:
    """What a run has to say, with the name of the run before it; its progress is that of the sweep."""

    def __init__(self, name: str, watcher: SweepWatcher) -> None:
        self._name, self._watcher = name, watcher

    def ready(self, record: Record) -> None:
        """Nothing is said."""

    def publishing(self) -> AbstractContextManager[Progress]:
        """Nothing is drawn."""
        return nullcontext(SILENT)

    def warn(self, sentence: str) -> None:
        self._watcher.warn(f"{self._name}: {sentence}")


def _differing(base: Digests, record: Record) -> list[str]:
    """The sections in which a run is one of another project than the one that is swept."""
    return [
        name
        for name, digest in base.sections.items()
        if name not in _OF_THE_GRID and record.pinned.sections.get(name) != digest
    ]


def _pin_refs(root: Path, spec: Spec, locked: Lock, grid: Grid, machine: Machine) -> dict[tuple[str, str], DatasetPin]:
    """Dataset and ref → its pin: all runs of a sweep read a branch as it was when the sweep began."""
    axes = [axis for axis in grid.axes if axis.of_data]
    if not axes:
        return {}
    found = {}
    with closing(open_lake(spec.lake.endpoint, root, machine.environ, machine.home)) as lake:
        for axis in axes:
            for ref in axis.values:
                pins = with_data(spec, locked.dataset, lake, {axis.name: ref})
                found[axis.name, ref] = next(pin for pin in pins if pin.name == axis.name)
    return found


def _commits(what_if: WhatIf, pins: dict[tuple[str, str], DatasetPin]) -> list[str]:
    return [pins[item].commit for item in what_if.data.items()]


def _title(grid: Grid) -> str:
    return f"sweep of {', '.join(axis.name for axis in grid.axes)}"
