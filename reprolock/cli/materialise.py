"""`materialise` (hidden): asked by a script for a dataset while its run is under way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reprolock.cli.options import Settings
from reprolock.cli.progress import progress
from reprolock.cli.terminal import say_document

if TYPE_CHECKING:
    pass


@click.command(hidden=True)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("cache", type=click.Path(path_type=Path))
@click.argument("name")
@click.argument("item", required=False)
def materialise(folder: Path, cache: Path, name: str, item: str | None) -> None:
    """Make a dataset's local tree, or one object of it, while a run's command is running; print its path."""
    from reprolock.steps.running.materialise_for_run import materialise_for_run  # called by reprolock.script alone

    with progress(Settings(), f"Getting {name}") as bar:
        path = materialise_for_run(folder, cache, name, item, bar)
    say_document(f"{path}\n")  # a script reads it
