"""`sweep`: every combination of some params and data, as a table at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.declared_name import DATASET_REF, PARAM_VALUE
from reprolock.cli.options import Settings, add_shared_options, is_watched
from reprolock.cli.terminal import styled
from reprolock.errors import CommandFailed, Interrupted, UsageError
from reprolock.model.words import counted, duration, plain

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from reprolock.steps.experiments.grid import Grid
    from reprolock.steps.experiments.page import Table
    from reprolock.steps.experiments.sweep import Sweep, SweepRun


@click.command()
@click.option(
    "--set",
    "params",
    metavar="NAME=VALUE,…",
    type=PARAM_VALUE,
    multiple=True,
    help="Values of a param, with commas: depth=1,2,3.",
)
@click.option(
    "--data",
    metavar="NAME=REF,…",
    type=DATASET_REF,
    multiple=True,
    help="Refs of a dataset, with commas: train=main,experiment1.",
)
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 256), help="How many runs at once.")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="Only N combinations, drawn by --seed.")
@click.option("--seed", default=0, show_default=True, help="The seed of --sample; each run has that of repro.toml.")
@click.option("--max", "most", metavar="METRIC", help="Mark the run with the highest value of this metric.")
@click.option("--min", "least", metavar="METRIC", help="Mark the run with the lowest value of this metric.")
@click.option("--merge", is_flag=True, help="Merge what each run publishes into the branch that publish names.")
@click.option("--no-publish", is_flag=True, help="Publish nothing to the lake.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the table, with a picture of each param, as one self-contained page.",
)
@click.option("--dry-run", is_flag=True, help="List the combinations, and run none.")
@add_shared_options
def sweep(
    settings: Settings,
    params: tuple[str, ...],
    data: tuple[str, ...],
    jobs: int,
    sample: int | None,
    seed: int,
    most: str | None,
    least: str | None,
    merge: bool,
    no_publish: bool,
    html: Path | None,
    dry_run: bool,
) -> None:
    """Run every combination of some values of params and some refs of datasets, side by side.

    Each is a run like any other, nested under one parent run in MLflow; its outputs stay in its own folder, .reprolock/runs/ID/outputs.
    Called again, it goes on: what has finished, and is published, is not run again. Exit 1 where a run failed.
    """
    from reprolock.steps.experiments.grid import parse_grid
    from reprolock.steps.experiments.parent import as_recorded
    from reprolock.steps.experiments.swept import SweepOptions  # the library is loaded when a command runs

    if most and least:
        raise UsageError("--max and --min cannot be used together", hint="name the one metric that decides")
    if html is not None and not html.absolute().parent.is_dir():
        raise UsageError(f"--html {html}: {html.parent} is not a folder", hint="make it first")
    grid = parse_grid(params, data)
    if sample is not None:
        grid = grid.sampled(sample, seed)
    if dry_run:
        names = [axis.name for axis in grid.axes]
        settings.rows([names, *([axis.shown(each) for axis in grid.axes] for each in grid.combinations())])
        settings.result(
            {"runs": [{"params": as_recorded(each.params), "data": dict(each.data)} for each in grid.combinations()]}
        )
        return
    from reprolock.steps.experiments.page import table, write_page  # jinja2, where something is run

    with _watching(settings, grid) as watcher:
        done = reprolock.sweep(settings.root, grid, SweepOptions(jobs, merge, no_publish), watcher)
    best = done.best(most or least or "", least=least is not None)
    if best is None and (wanted := most or least) and any(run.record for run in done.runs):
        settings.warning(f"no run of the sweep has a metric {wanted}: none is marked as best")
    shown = table(done, best, most or least)
    settings.rows(_rows(shown))
    settings.result(_document(done, best))
    settings.remark(f"Parent run {done.parent[:8]} holds them   Look  reprolock runs --parent {done.parent[:8]}")
    if html is not None:
        write_page(html, done, shown)
        settings.remark(f"Wrote {html}")
    _end(done)


def _rows(shown: Table) -> list[list[str]]:
    rows = [[styled(cell.upper() if cell in ("run", "status") else cell, bold=True) for cell in shown.head]]
    for row in shown.rows:
        *cells, status = row.cells
        mark = styled("   best", fg="green", bold=True) if row.best else ""
        rows.append([*cells, styled(status, fg=None if row.run.finished else "red") + mark])
    return rows


def _document(done: Sweep, best: SweepRun | None) -> dict[str, object]:
    from reprolock.steps.experiments.parent import as_recorded  # the library is loaded when a command runs

    return {
        "parent": done.parent,
        "runs": [
            {
                "params": as_recorded(run.what_if.params),
                "data": dict(run.what_if.data),
                "run_id": run.record.run_id if run.record else None,
                "status": run.record.status if run.record else None,
                "metrics": json.loads(run.record.model_dump_json(include={"metrics"}))["metrics"] if run.record else {},
                "problem": str(run.problem) if run.problem else None,
                "earlier": run.earlier,
            }
            for run in done.runs
        ],
        "best": best.record.run_id if best and best.record else None,
    }


def _end(done: Sweep) -> None:
    left = [run for run in done.runs if not run.finished]
    if done.signal is not None:
        raise Interrupted(
            f"the sweep was stopped with {counted(len(left), 'run')} to go",
            signal_number=done.signal,
            hint="call it again to go on",
        )
    if left:
        failed = [run for run in left if run.log is not None]
        raise CommandFailed(
            f"{len(left)} of {counted(len(done.runs), 'run')} failed",
            hint=f"the output of the first that failed is in {failed[0].log}; call it again to run those"
            if failed
            else None,
        )
    undone = [run.problem for run in done.runs if run.problem is not None]
    if undone:
        first = undone[0]
        if isinstance(first, Interrupted):
            raise first
        raise type(first)(
            f"{len(undone)} of {counted(len(done.runs), 'run')} left something undone, the first of them: {first.message}",
            hint=f"{first.hint or ''}; call it again to run them again".removeprefix("; "),
            problems=first.problems,
        )


class _Lines:
    """A line for each run that has ended, and a bar with the time that is left where a person watches."""

    def __init__(self, settings: Settings, grid: Grid, bar: Progress | None = None, task: TaskID | None = None) -> None:
        self.settings, self.grid, self.bar, self.task = settings, grid, bar, task
        self.total = self.done = 0

    def begun(self, runs: int, earlier: int) -> None:
        self.total, self.done = runs, earlier
        told = f", {earlier} of them finished before" if earlier else ""
        self.settings.remark(f"{counted(runs, 'run')}{told}")
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, total=runs, completed=earlier)

    def ended(self, run: SweepRun) -> None:
        self.done += 1
        given = self.grid.told(run.what_if)
        if run.record is not None and run.record.ending is not None:
            end = f"{run.record.status.lower()} in {duration(run.record.ending.seconds)}"
            end += f": {run.record.ending.reason}" if run.record.status != "FINISHED" else ""
        else:
            end = f"not run: {run.problem}"
        self.settings.remark(f"{self.done} of {self.total}  {given}  {end}")
        if run.record is not None and run.problem is not None:
            self.warn(f"{given}: {run.problem}")
        if self.bar is not None and self.task is not None:
            self.bar.advance(self.task)

    def warn(self, sentence: str) -> None:
        self.settings.warning(sentence)


@contextmanager
def _watching(settings: Settings, grid: Grid) -> Iterator[_Lines]:
    if settings.quiet or settings.json or not is_watched():
        yield _Lines(settings, grid)
        return
    # rich is needed only at a terminal
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(plain("Runs")),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Lines(settings, grid, bar, bar.add_task("Runs", total=None))
