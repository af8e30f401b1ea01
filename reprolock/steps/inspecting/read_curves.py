"""Read metrics of runs step by step out of MLflow, for pages. They are decoration: what cannot be read is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from reprolock.errors import ReprolockError, ServiceError
from reprolock.steps.project.locate import which_mlflow
from reprolock.steps.project.machine import Machine
from reprolock.tracker import open_tracker
from reprolock.tracker.errors import NoRun
from reprolock.tracker.protocol import Tracker

Curves = Mapping[str, Mapping[str, Sequence[tuple[int, float]]]]
"""Metric → run → its values with their steps, of runs that have more than one step."""


def read_curves(
    root: Path,
    logged: Mapping[str, Mapping[str, float]],
    metrics: Sequence[str],
    *,
    tracking_uri: str | None = None,
    warn: Callable[[str], object] = lambda sentence: None,
    machine: Machine | None = None,
) -> Curves:
    """The metrics of each run, step by step, where MLflow has the run. `logged`: run → the metrics that it has. An MLflow that is
    away is a warning."""
    machine = machine or Machine.here()
    curves: dict[str, dict[str, Sequence[tuple[int, float]]]] = {}
    if not any(metric in values for metric in metrics for values in logged.values()):
        return curves
    try:
        place = which_mlflow(root.resolve(), machine, tracking_uri)
        with closing(open_tracker(place, machine.environ, machine.home)) as tracker:
            for run, its_metrics in logged.items():
                for metric, values in _of_run(tracker, run, [name for name in metrics if name in its_metrics]):
                    curves.setdefault(metric, {})[run] = values
    except ServiceError as error:
        warn(f"the page has no curves of metrics: {error.message}")
    except ReprolockError:
        pass  # an MLflow that is not installed, not trusted, or of another version
    return {metric: curves[metric] for metric in metrics if metric in curves}


def _of_run(tracker: Tracker, run: str, metrics: Sequence[str]) -> list[tuple[str, Sequence[tuple[int, float]]]]:
    found: list[tuple[str, Sequence[tuple[int, float]]]] = []
    with suppress(NoRun):
        stored = tracker.find(run)  # one that was recorded offline has another ID there
        for metric in metrics:
            values = tracker.curve(stored, metric)
            if len({step for step, _ in values}) > 1:
                found.append((metric, values))
    return found
