"""`diff`: two locks, two git revisions of the lock, or two runs and more."""

from __future__ import annotations

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options, tracking_option
from reprolock.cli.run_name import RUN_OR_FILE
from reprolock.cli.terminal import flush, styled
from reprolock.cli.width import of_stdout


@click.command()
@click.argument("left", metavar="A", type=RUN_OR_FILE)
@click.argument("right", metavar="B", type=RUN_OR_FILE)
@click.argument("further", metavar="[C…]", type=RUN_OR_FILE, nargs=-1)
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
@tracking_option
@add_shared_options
def diff(
    settings: Settings,
    left: str,
    right: str,
    further: tuple[str, ...],
    all_objects: bool,
    style: str,
    exit_code: bool,
    lake: str | None,
    tracking_uri: str | None,
) -> None:
    """Compare two locks, two git revisions of repro.lock, or runs; of more than two runs a table says what differs.

    A and B are lock files, revisions ("HEAD~1", or "HEAD~1:sub/repro.lock"), or runs, by an
    ID, the beginning of one, a name ("#435"), a tag, @latest, @latest~1, or a folder with artifacts.
    Exit 0 also where they differ, unless --exit-code is given.
    """
    from reprolock.cli.difference import markdown_lines, text_lines  # loaded when the command runs

    if further:
        _compare(settings, (left, right, *further), style, exit_code, lake, tracking_uri)
        return
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
    _exit(exit_code and not found.same)


def _compare(
    settings: Settings, runs: tuple[str, ...], style: str, exit_code: bool, lake: str | None, tracking_uri: str | None
) -> None:
    """More than two: a column for each."""
    from reprolock.cli.difference import comparison_markdown, comparison_tables
    from reprolock.steps.inspecting.diff import compare

    found = compare(settings.root, runs, tracking_uri=tracking_uri, lake=lake)
    if style == "markdown":
        for line in comparison_markdown(found):
            settings.line(line)
    else:
        for number, rows in enumerate(comparison_tables(found, of_stdout())):
            if number:
                settings.line()
            settings.rows(rows)
        settings.line(styled(found.sentence, bold=True))
    settings.result({**found.model_dump(mode="json"), "sentence": found.sentence})
    _exit(exit_code and bool(found.rows))


def _exit(differing: bool) -> None:
    if differing:
        flush()
        raise click.exceptions.Exit(1)
