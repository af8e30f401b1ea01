"""`report`: what a change of the lock did, as a comment for a pull request."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options
from reprolock.cli.progress import progress
from reprolock.errors import Diverged


@click.command()
@click.option("--base", default="HEAD", show_default=True, metavar="REV", help="The git revision to compare with.")
@click.option(
    "--run",
    "run_both",
    is_flag=True,
    help="Run both sides, or take finished runs of the same inputs, and compare results.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["markdown", "json"]),
    default="markdown",
    show_default=True,
    help="The output format.",
)
@add_shared_options
def report(settings: Settings, base: str, run_both: bool, style: str) -> None:
    """Write what changed in the lock since the merge base with a git revision and, with --run, how the result changed.

    The Markdown begins with a marker by which a bot finds its comment again. With --run, exit 6 when a metric of
    [metrics] left its tolerance. Nothing is published.
    """
    if style == "json":
        settings = settings._replace(json=True)
    from reprolock.cli.report_markdown import markdown  # loaded when the command runs
    from reprolock.cli.screen import Screen

    with ExitStack() as bars:
        bar = bars.enter_context(progress(settings, "Preparing the report"))
        found = reprolock.report(
            settings.root,
            base,
            run_both=run_both,
            stdout=sys.stderr.fileno(),
            watcher=Screen(settings, bars.close),
            progress=bar,
        )
    for line in markdown(found):
        settings.line(line)
    settings.result(found.model_dump(mode="json"))
    if found.beyond:
        raise Diverged(
            f"{'a metric' if len(found.beyond) == 1 else 'metrics'} left the declared tolerance: {', '.join(found.beyond)}",
            hint=f"the runs are {(found.base.run_id or '')[:8]} and {(found.head.run_id or '')[:8]}; `reprolock diff` shows all of both",
        )
