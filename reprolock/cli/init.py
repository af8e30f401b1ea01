"""`init`: a starting repro.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options
from reprolock.model.words import counted, size

if TYPE_CHECKING:
    pass


@click.command()
@click.argument("uri", required=False, metavar="[lakefs://REPO/REF/PATH]")
@click.option("--lake", metavar="ENDPOINT", help='"file:FOLDER" or the address of a lakeFS server.')
@add_shared_options
def init(settings: Settings, uri: str | None, lake: str | None) -> None:
    """Write a starting repro.toml, from data that is in the lake if its address is given."""
    done = reprolock.init(settings.root, uri, lake=lake)
    found = ""
    if done.dataset:
        found = f'  (dataset "{done.dataset}", {done.format}, {counted(done.objects, "object")}, {size(done.bytes)})'
    settings.line(f"Wrote repro.toml{found}")
    settings.line(
        "Next: reprolock lock" if done.dataset else "Next: declare a dataset in repro.toml, then reprolock lock"
    )
    settings.result({**done._asdict(), "path": str(done.path)})
