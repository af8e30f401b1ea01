"""`runs`: past runs as a table."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options
from reprolock.cli.terminal import styled

if TYPE_CHECKING:
    from reprolock.steps.inspecting.runs import History

_COLOURS = {"REPRODUCED": "green", "DIVERGED": "red"}


@click.command()
@click.option("--last", default=20, show_default=True, type=click.IntRange(1, 100_000), help="How many runs to show.")
@click.option(
    "--where", default="", metavar="FILTER", help="Only runs that MLflow finds, by its filter: 'metrics.auc >= 0.9'."
)
@click.option("--replays", is_flag=True, help="Show replays, too.")
@click.option("--parent", default="", metavar="ID", help="Only the runs of this sweep.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the table, with metrics step by step, as one self-contained page.",
)
@click.option("--tracking-uri", metavar="URI", help="MLflow tracking URI to use instead of the one in repro.toml.")
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
        settings.remark("No runs" + (" that the filter lets through" if where else " yet; `reprolock run` makes one"))
        return
    params = varying(found.runs)
    metrics = found.shown_metrics
    head = ["RUN", "NAME", "STARTED", "STATUS", "CHANGED", *params, *metrics, "REPLAYED"]
    rows = [[styled(cell, bold=True) for cell in head]]
    room = max(20, shutil.get_terminal_size().columns - 80) if sys.stdout.isatty() else 1000
    for run in found.runs:
        changed = ", ".join(run.changed) or "–"
        rows.append(
            [
                run.run_id[:8],
                _cut(run.name, 24) or "–",
                f"{run.started.astimezone():%Y-%m-%d %H:%M}",
                styled(run.status.lower(), fg=None if run.status == "FINISHED" else "red"),
                _cut(changed, room),
                *(run.inputs.params.get(name, "–") for name in params),
                *(f"{run.metrics[name]:.6g}" if name in run.metrics else "–" for name in metrics),
                ", ".join(styled(kind, fg=_COLOURS.get(kind)) for kind in dict.fromkeys(run.verdicts)) or "–",
            ]
        )
    settings.rows(rows)
    if html is not None:
        _write_page(settings, html, found, tracking_uri)


def _write_page(settings: Settings, html: Path, found: History, tracking_uri: str | None) -> None:
    from reprolock.steps.inspecting.report.html import runs_page, write_report  # jinja2, where a page is wanted
    from reprolock.steps.inspecting.runs import read_curves
    from reprolock.steps.project.machine import Machine

    curves = read_curves(settings.root, found, tracking_uri=tracking_uri, warn=settings.warning)
    title = f"Runs of {found.project}" if found.project else "Runs"
    write_report(html, runs_page(title, found, curves), Machine.here())
    settings.remark(f"Wrote {html}")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
