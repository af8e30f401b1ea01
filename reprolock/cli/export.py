"""`export`: a recorded run in the format of a standard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options, tracking_option
from reprolock.cli.run_name import RUN

if TYPE_CHECKING:
    from reprolock.steps.inspecting.standards import Format


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--format", "standard", type=click.Choice(["openlineage", "prov", "ro-crate"]), required=True, help="The standard."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The file to write, or a new folder for an RO-Crate; default: stdout.",
)
@tracking_option
@add_shared_options
def export(settings: Settings, run: str, standard: Format, output: Path | None, tracking_uri: str | None) -> None:
    """Write a recorded run as OpenLineage events, a W3C PROV document, or an RO-Crate.

    RUN is an ID, the beginning of one, a name ("#435"), a tag, @latest, @latest~1, or a folder with artifacts.
    """
    text = reprolock.export(settings.root, run, standard, output, tracking_uri=tracking_uri)
    if text is not None:
        settings.document(text)
    if output is not None:
        settings.remark(f"Wrote {output}")
    settings.result({"format": standard, "output": output, "document": text})
