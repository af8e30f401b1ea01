"""The table of a sweep, for people: as a page with a picture for each thing that was varied, and for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reprolock.model.placeholders import as_argument
from reprolock.steps.experiments.sweep import Sweep, SweepRun
from reprolock.steps.inspecting.report.chart import Chart, Point, chart
from reprolock.steps.inspecting.report.html import sweep_page, write_report
from reprolock.steps.project.machine import Machine

_MOST_METRICS = 3


class Row(NamedTuple):
    """One run. `cells` are in the order of the head; `status` is the last of them."""

    cells: tuple[str, ...]
    run: SweepRun
    best: bool


class Table(NamedTuple):
    """`metric` is the one that stands first: that which decides, else the first that repro.toml declares."""

    head: tuple[str, ...]
    rows: tuple[Row, ...]
    metric: str | None


def table(done: Sweep, best: SweepRun | None, decisive: str | None) -> Table:
    """What was varied, the metrics that repro.toml declares (else the first few that there are), the run, how it ended."""
    logged = {name for run in done.runs if run.record for name in run.record.metrics}
    metrics = [name for name in done.metrics if name in logged] or sorted(logged)[:_MOST_METRICS]
    if decisive in logged:
        metrics = [str(decisive), *(name for name in metrics if name != decisive)]
    head = (*(axis.name for axis in done.grid.axes), *metrics, "run", "status")
    rows = tuple(Row(_cells(done, run, metrics), run, run is best) for run in done.runs)
    return Table(head, rows, metrics[0] if metrics else None)


def write_page(path: Path, done: Sweep, shown: Table) -> None:
    """Write the page whole. UsageError where it holds a secret, MachineError where it cannot be written."""
    machine = Machine.here()
    title = f"Sweep of {', '.join(axis.name for axis in done.grid.axes)}"
    rows = [
        ((*row.cells[:-1], f"{row.cells[-1]}, best" if row.best else row.cells[-1]), row.best) for row in shown.rows
    ]
    page = sweep_page(title, done.parent, shown.head, rows, shown.metric, _charts(done, shown))
    write_report(path, page, machine)


def _cells(done: Sweep, run: SweepRun, metrics: list[str]) -> tuple[str, ...]:
    found = run.record.metrics if run.record else {}
    return (
        *(axis.shown(run.what_if) for axis in done.grid.axes),
        *(f"{found[name]:.6g}" if name in found else "–" for name in metrics),
        run.record.run_id[:8] if run.record else "–",
        (run.record.status.lower() if run.record else "not run") + ", earlier" * run.earlier,
    )


def _charts(done: Sweep, shown: Table) -> list[Chart]:
    charts = []
    for axis in done.grid.axes:
        points = []
        for row in shown.rows:
            found = row.run.record.metrics if row.run.finished and row.run.record else {}
            value = found.get(shown.metric or "")
            if value is not None and abs(value) < float("inf"):
                told = ", ".join(f"{name} {cell}" for name, cell in zip(shown.head, row.cells, strict=True))
                points.append(Point(axis.values.index(axis.value_of(row.run.what_if)), value, told, row.best))
        if points:
            charts.append(chart(axis.name, [as_argument(value) for value in axis.values], points))
    return charts
