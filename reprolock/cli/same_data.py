"""`same-data`: whether runs used the same data."""

from __future__ import annotations

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options, tracking_option
from reprolock.cli.run_name import RUN
from reprolock.errors import Diverged
from reprolock.model.words import counted


@click.command("same-data")
@click.argument("runs", nargs=-1, required=True, type=RUN, metavar="RUN RUN...")
@tracking_option
@add_shared_options
def same_data(settings: Settings, runs: tuple[str, ...], tracking_uri: str | None) -> None:
    """Say whether runs used the same data: the same bytes under the same names.

    RUN is an ID, the beginning of one, a name ("#435"), a tag, @latest, @latest~1, or a folder with artifacts.
    Exit 0 where they did, 6 where they did not.
    """
    found = reprolock.same_data(*runs, root=settings.root, tracking_uri=tracking_uri)
    settings.result(
        {"same": bool(found), "runs": [record.run_id for record in found.runs], "differences": list(found.differences)}
    )
    if found:
        names = ", ".join(sorted(item.name for item in found.runs[0].datasets))
        settings.line(f"The {counted(len(found.runs), 'run')} used the same data: {names}")
        return
    for sentence in found.differences:
        settings.line(sentence)
    raise Diverged("the runs did not use the same data", hint="`reprolock diff` shows which objects differ")
