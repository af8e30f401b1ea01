"""`evidence`: where a run's record answers what a regulation asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options, tracking_option
from reprolock.cli.run_name import RUN_OR_FILE

if TYPE_CHECKING:
    from reprolock.model.demands import Name


@click.command()
@click.argument("run", type=RUN_OR_FILE)
@click.option(
    "--for",
    "framework",
    type=click.Choice(["part11", "eu-ai-act", "sr26-2"]),
    required=True,
    help="21 CFR Part 11, the EU AI Act, or the Federal Reserve's SR 26-2.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it as one self-contained page, instead of Markdown on stdout.",
)
@tracking_option
@add_shared_options
def evidence(settings: Settings, run: str, framework: Name, html: Path | None, tracking_uri: str | None) -> None:
    """Show, for each demand of a regulation, which fields of a run's record answer it, or that none does.

    RUN is an ID, the beginning of one, a name ("#435"), a tag, @latest, @latest~1, a folder with artifacts, or a bundle.
    It says where to look, not that a demand
    is met.
    """
    from reprolock.steps.inspecting.report.html import demands_page, demands_text, write_report
    from reprolock.steps.project.machine import Machine  # the library is loaded when a command runs

    found = reprolock.evidence(settings.root, run, framework, tracking_uri=tracking_uri)
    if html is not None:
        write_report(html, demands_page(found), Machine.here())
        settings.remark(f"Wrote {html}")
    else:
        text = demands_text(found)
        Machine.here().scanner().check(text, "the table", lines=False)
        settings.document(text)
    settings.result(json.loads(found.model_dump_json()))
