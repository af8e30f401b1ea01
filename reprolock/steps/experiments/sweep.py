"""`sweep`: one run for each combination of a grid, side by side, nested under one parent run of MLflow's.

1. Everything that is the same for all is looked at once: the lock, each value of a param, the commit of each ref.
2. No other process runs the same now. The parent run is made; where the same was asked for before, its own is taken, and what finished then is not run again.
3. Each combination is a run like any other, with a whole record, the seed that repro.toml declares, and its outputs in its own folder.
4. A failure ends no other run. Ctrl-C ends those that are under way, and the same call goes on later.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import NamedTuple, Protocol

from reprolock.engine.process import collected_signals
from reprolock.errors import ReprolockError, UsageError
from reprolock.files.atomic_write import guard, own_folder
from reprolock.model.record import Record
from reprolock.steps.experiments.grid import Grid
from reprolock.steps.experiments.output_log import output_kept_in
from reprolock.steps.experiments.parent import Earlier, ParentRun
from reprolock.steps.experiments.swept import SweepOptions, Swept, look
from reprolock.steps.locking.overrides import WhatIf
from reprolock.steps.project.locate import which_mlflow
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress
from reprolock.steps.running.options import Part, RunOptions
from reprolock.steps.running.run import run
from reprolock.tracker import open_tracker, warm

_LOGS = "sweeps"


class SweepRun(NamedTuple):
    """One combination: its record, or the problem that kept it from running; neither of one that has not begun. With a record, the
    problem is what was left undone: its outputs are not published. `earlier`: an earlier call ran it. `log` has what its command
    printed."""

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

    MachineError where another process runs the same sweep now. UsageError for a param, a dataset or a value that the project does not take, and where runs would publish to one address;
    LockError, PinError and ServiceError as of `run`.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    place = which_mlflow(root, machine)
    warm(place)
    swept = look(root, grid, options, machine)
    spec = swept.spec
    with (
        guard(own_folder(root) / f"sweep-{swept.digest[:12]}", "running this sweep", seconds=0),
        closing(open_tracker(place, machine.environ, machine.home)) as tracker,
    ):
        parent = ParentRun.of(tracker, spec.experiment, _title(grid), swept.digest, machine)
        earlier = Earlier(root, parent.run_id, swept.has_done)
        with collected_signals() as signals:
            work = _Work(swept, parent.run_id, options, watcher, machine, signals)
            runs = work.do_all(earlier)
        stopped = signals[0] if signals else None
        status = (
            "KILLED"
            if stopped
            else "FINISHED"
            if all(each.finished and each.problem is None for each in runs)
            else "FAILED"
        )
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
        swept: Swept,
        parent: str,
        options: SweepOptions,
        watcher: SweepWatcher,
        machine: Machine,
        signals: list[int],
    ) -> None:
        self.swept, self.parent, self.options = swept, parent, options
        self.watcher, self.machine, self.signals = watcher, machine, signals
        self.logs = own_folder(swept.root) / _LOGS / swept.digest[:12]
        self.redact = machine.scanner(swept.spec.run.pass_env).redact
        self.moved: ReprolockError | None = None

    def do_all(self, earlier: Earlier) -> list[SweepRun]:
        """In the order of the grid, whichever ends first."""
        combinations = list(self.swept.grid.combinations())
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
        name = self.swept.grid.told(what_if)
        pins = tuple(self.swept.pins[item] for item in what_if.data.items())
        try:
            with output_kept_in(log, self.redact) as output:
                options = RunOptions(
                    what_if=what_if,
                    name=name,
                    merge=self.options.merge,
                    publishing_off=self.options.publishing_off,
                    part=Part(self.parent, pins, output, self.signals),
                )
                done = run(self.swept.root, options, _Quiet(name, self.watcher), machine=self.machine)
        except ReprolockError as error:
            return SweepRun(what_if, problem=error, log=log)
        self._check_project(done.record)
        return SweepRun(what_if, done.record, done.incomplete, log=log)

    def _check_project(self, record: Record) -> None:
        """Runs of a project that was changed meanwhile are not comparable: no more of them are begun."""
        differing = self.swept.differing(record)
        if differing and self.moved is None:
            self.moved = UsageError(
                f"the sweep was stopped because the project changed while it ran: {', '.join(differing)}",
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


def _title(grid: Grid) -> str:
    return f"sweep of {', '.join(axis.name for axis in grid.axes)}"
