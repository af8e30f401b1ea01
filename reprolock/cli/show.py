"""`show`: the lock, or a recorded run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options, align_blocks, tracking_option
from reprolock.cli.run_name import RUN
from reprolock.model.words import command_line, counted, duration, short, size

if TYPE_CHECKING:
    from reprolock.model.lock import Lock
    from reprolock.model.record import Record
from reprolock.cli.record_rows import closing_rows, fit_addresses, lineage_rows, opening_rows, short_address
from reprolock.cli.width import of_stdout

_WIDER_HEADS = len("Unpublished") - len("Inputs")
"""Characters by which the heads of a whole record are wider than those of a run that begins."""
_MOST_CURVES, _MOST_PICTURES = 8, 24
"""How many runs of the command's own, and how many metrics, a page draws."""


@click.command()
@click.argument("target", metavar="[RUN]", type=RUN, required=False)
@tracking_option
@click.option("--lock", "of_lock", is_flag=True, help="Show repro.lock.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the run as one self-contained page.",
)
@add_shared_options
def show(settings: Settings, target: str | None, tracking_uri: str | None, of_lock: bool, html: Path | None) -> None:
    """Show a recorded run (the newest, where none is named), or the lock where nothing has run yet.

    RUN is an ID, the beginning of one, a name ("#435"), a tag, @latest, @latest~1, or a folder with artifacts.
    """
    found = reprolock.show(settings.root, target, tracking_uri=tracking_uri, of_lock=of_lock)
    if html is not None:
        _write_page(settings, html, found, tracking_uri)
    settings.result(_document(found))
    if hasattr(found, "run_id"):
        for text in align_blocks(record_rows(found)):
            settings.line(text)
    else:
        settings.rows(lock_rows(found))


def _write_page(settings: Settings, html: Path, found: Record | Lock, tracking_uri: str | None) -> None:
    from reprolock.model.record import Record  # the library is loaded when a command runs
    from reprolock.steps.inspecting.read_curves import read_curves
    from reprolock.steps.inspecting.report.html import report, write_report
    from reprolock.steps.project.machine import Machine

    if not isinstance(found, Record):
        raise click.UsageError("--html writes the page of a run, and nothing has run here yet")
    logged = {found.run_id: found.metrics} | {child.run_id: child.metrics for child in found.children[:_MOST_CURVES]}
    names = sorted({name for metrics in logged.values() for name in metrics})[:_MOST_PICTURES]
    curves = read_curves(settings.root, logged, names, tracking_uri=tracking_uri, warn=settings.warning)
    write_report(html, report(found, curves=curves), Machine.here())
    settings.remark(f"Wrote {html}")


def _document(found: Record | Lock) -> dict[str, object]:
    """As JSON has it: NaN by its name."""
    document: dict[str, object] = json.loads(found.model_dump_json())
    return document


def record_rows(record: Record) -> list[list[str]]:
    """A record for people."""
    ended = f"{record.status}" + (
        f" in {duration(record.ending.seconds)}, {record.ending.reason}" if record.ending else ""
    )
    rows = [
        ["Run", f"{record.run_id}  {record.run_name}" if record.run_name else record.run_id],
        ["Project", f"{record.project} (experiment {record.experiment})"],
        ["Started", f"{record.started:%Y-%m-%d %H:%M:%S}Z"],
        ["Status", ended],
        ["Block", f"{record.command[0]}, interactive: no replay can repeat it"]
        if record.mode == "interactive"
        else ["Command", command_line(record.command)],
    ]
    width = of_stdout()
    rows += opening_rows(record, width and width - _WIDER_HEADS)
    commits = [
        [
            "Commits" if index == 0 else "",
            item.name,
            item.resolved if width is None else short_address(item),
            item.digest[:20],
        ]
        for index, item in enumerate(record.datasets)
    ]
    rows += fit_addresses(commits, width and width - _WIDER_HEADS)
    rows += [
        ["Params" if index == 0 else "", f"{name} = {value}"]
        for index, (name, value) in enumerate(record.params.items())
    ]
    if record.seed is not None:
        rows.append(["Seed", str(record.seed)])
    rows += closing_rows(record, width)
    rows += lineage_rows(record)
    rows += [["Unpublished", item.name, item.problem] for item in record.published if item.problem]
    rows.append(["Pinned", record.pinned.total])
    rows.append(["Observed", record.observed.total])
    return rows


def lock_rows(lock: Lock) -> list[list[str]]:
    """A lock for people."""
    rows = [
        [
            f"dataset {pin.name}",
            pin.uri,
            f"→ {short(pin.commit)}",
            f"{pin.time:%Y-%m-%d %H:%M}Z",
            f"{counted(pin.objects, 'object')}, {size(pin.bytes)}",
        ]
        for pin in lock.dataset
    ]
    if lock.environment:
        rows.append(
            [
                "packages",
                f"{len(lock.environment.package)} for Python {lock.environment.python}",
                lock.environment.seal[:8],
            ]
        )
    if lock.jars:
        rows.append(
            ["jars", f"{len(lock.jars.jar)} for Spark {lock.jars.spark}", size(lock.jars.bytes), lock.jars.seal[:8]]
        )
    return rows
