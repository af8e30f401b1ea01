"""`runs`: past runs as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options, tracking_option
from reprolock.cli.terminal import styled
from reprolock.cli.width import cut_end, narrowed, of_stdout, table_width

if TYPE_CHECKING:
    from reprolock.model.history import PastRun
    from reprolock.steps.inspecting.runs import History

_COLOURS = {"REPRODUCED": "green", "DIVERGED": "red"}
_WIDE = 100
"""Columns of a terminal that has room for the year of each run."""
_LEAST = {4: 12, 1: 8}
"""What shortens first where a terminal is narrow, and to how much: what changed, and then the name."""
_LEAST_WITHOUT_STATUS = {3: 12, 1: 8}
_NAME_WIDTH = 24
"""Characters of a name that are shown where the table does not fit as it is."""


@click.command()
@click.option("--last", default=20, show_default=True, type=click.IntRange(1, 100_000), help="How many runs to show.")
@click.option(
    "--where", default="", metavar="FILTER", help="Only runs that match this MLflow filter: 'metrics.auc >= 0.9'."
)
@click.option("--replays", is_flag=True, help="Show replays, too.")
@click.option("--parent", default="", metavar="ID", help="Only the runs of this sweep.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the table, with metrics step by step, as one self-contained page.",
)
@tracking_option
@add_shared_options
def runs(
    settings: Settings, last: int, where: str, replays: bool, parent: str, html: Path | None, tracking_uri: str | None
) -> None:
    """Show past runs, newest first: what changed against the run before, params that vary, declared metrics, verdicts.

    They are the runs of the project's experiment in MLflow and those that only this folder has.
    """
    from reprolock.model.history import varying  # loaded when the command runs

    found = reprolock.runs(
        settings.root,
        last=last,
        where=where,
        replays=replays,
        parent=parent,
        tracking_uri=tracking_uri,
        warn=settings.warning,
    )
    settings.result({"runs": [json.loads(run.model_dump_json()) for run in found.runs]})
    if not found.runs:
        settings.remark(_nothing(where, parent))
        return
    rows, left_out = _table(found, varying(found.runs), of_stdout())
    settings.rows(rows)
    if left_out:
        settings.remark(f"No room for {', '.join(left_out)}: a wider terminal, --json and --html show them")
    if html is not None:
        _write_page(settings, html, found, tracking_uri)


def _nothing(where: str, parent: str) -> str:
    if where:
        return "No runs match the filter"
    if parent:
        return f"No runs of a sweep {parent}: --parent takes the ID that `reprolock sweep` names at its end"
    return "No runs yet; `reprolock run` makes one"


def _table(found: History, params: Sequence[str], width: int | None) -> tuple[list[list[str]], list[str]]:
    """The rows, with those of the params and metrics that vary for which a terminal has room, and the names of the others."""
    shown = [*((name, "param") for name in params), *((name, "metric") for name in found.shown_metrics)]
    whole = _rows(found, shown, "%Y-%m-%d %H:%M", name_width=None)
    if width is None or table_width(whole) <= width:
        return whole, []
    given_up = sorted(shown, key=lambda column: column[1] == "param")  # CHANGED tells of params already
    time = "%m-%d %H:%M" if width < _WIDE else "%Y-%m-%d %H:%M"
    alike = all(run.outcome == "finished" for run in found.runs)
    for count in range(len(shown), -1, -1):
        left_out = given_up[count:]
        kept = [column for column in shown if column not in left_out]
        rows = narrowed(_rows(found, kept, time), width, _LEAST)
        if table_width(rows) > width and alike:
            # A column that says the same of every run goes before one that tells them apart.
            rows = narrowed([row[:3] + row[4:] for row in _rows(found, kept, time)], width, _LEAST_WITHOUT_STATUS)
        if table_width(rows) <= width:
            break
    return rows, [name for name, _ in left_out]


def _rows(
    found: History, shown: Sequence[tuple[str, str]], time: str, name_width: int | None = _NAME_WIDTH
) -> list[list[str]]:
    head = ["RUN", "NAME", "STARTED", "STATUS", "CHANGED", *(name for name, _ in shown), "REPLAYED"]
    rows = [[styled(cell, bold=True) for cell in head]]
    for run in found.runs:
        rows.append(
            [
                run.run_id[:8],
                (run.name if name_width is None else cut_end(run.name, name_width)) or "–",
                run.started.astimezone().strftime(time),
                styled(run.outcome, fg=None if run.status == "FINISHED" else "red"),
                ", ".join(run.changed) or "–",
                *(_value(run, name, kind) for name, kind in shown),
                ", ".join(styled(kind, fg=_COLOURS.get(kind)) for kind in dict.fromkeys(run.verdicts)) or "–",
            ]
        )
    return rows


def _value(run: PastRun, name: str, kind: str) -> str:
    if kind == "param":
        return run.inputs.params.get(name, "–")
    return f"{run.metrics[name]:.6g}" if name in run.metrics else "–"


def _write_page(settings: Settings, html: Path, found: History, tracking_uri: str | None) -> None:
    from reprolock.steps.inspecting.read_curves import read_curves
    from reprolock.steps.inspecting.report.html import runs_page, write_report  # jinja2, where a page is wanted
    from reprolock.steps.project.machine import Machine

    logged = {run.run_id: run.metrics for run in found.runs}
    curves = read_curves(settings.root, logged, found.shown_metrics, tracking_uri=tracking_uri, warn=settings.warning)
    title = f"Runs of {found.project}" if found.project else "Runs"
    write_report(html, runs_page(title, found, curves), Machine.here())
    settings.remark(f"Wrote {html}")
