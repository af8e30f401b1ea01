"""`diff`: two locks, two git revisions of the lock, or two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options
from reprolock.cli.run_name import RUN_OR_FILE
from reprolock.cli.terminal import flush

if TYPE_CHECKING:
    pass


@click.command()
@click.argument("left", metavar="A", type=RUN_OR_FILE)
@click.argument("right", metavar="B", type=RUN_OR_FILE)
@click.option("--objects", "all_objects", is_flag=True, help="List every object that changed, not only the first few.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "markdown"]),
    default="text",
    show_default=True,
    help="The output format.",
)
@click.option("--exit-code", is_flag=True, help="Exit 1 where A and B differ, as git does.")
@click.option("--lake", metavar="ENDPOINT", help="Lake endpoint to use instead of the declared one.")
@click.option("--tracking-uri", metavar="URI", help="MLflow tracking URI.")
@add_shared_options
def diff(
    settings: Settings,
    left: str,
    right: str,
    all_objects: bool,
    style: str,
    exit_code: bool,
    lake: str | None,
    tracking_uri: str | None,
) -> None:
    """Compare two locks, two git revisions of repro.lock, or two runs.

    A and B are lock files, revisions ("HEAD~1", or "HEAD~1:sub/repro.lock"), or runs, by an
    ID, the beginning of one, a name ("#435"), a tag, @latest, @latest~1, or a folder with artifacts.
    Exit 0 also where they differ, unless --exit-code is given.
    """
    from reprolock.cli.difference import markdown_lines, text_lines  # loaded when the command runs

    found = reprolock.diff(settings.root, left, right, tracking_uri=tracking_uri, lake=lake, all_objects=all_objects)
    for line in (text_lines if style == "text" else markdown_lines)(found):
        settings.line(line)
    settings.result(
        {
            **found.model_dump(mode="json"),
            "same": found.same,
            "things": found.things,
            "results": found.results,
            "sentence": found.sentence,
        }
    )
    if exit_code and not found.same:
        flush()
        raise click.exceptions.Exit(1)
