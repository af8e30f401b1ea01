"""`verify`: whether every pinned byte still exists."""

from __future__ import annotations

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options
from reprolock.cli.progress import progress
from reprolock.errors import PinError
from reprolock.model.words import counted


@click.command()
@click.option("--deep", is_flag=True, help="Read every object and check it against its checksum.")
@add_shared_options
def verify(settings: Settings, deep: bool) -> None:
    """Check that all pinned data, jars and packages still exist.

    Exit 4 when something is gone or has changed. Objects without a checksum that can be computed again are counted separately.
    """
    with progress(settings, "Reading") as bar:
        found = reprolock.verify(settings.root, deep=deep, progress=bar)
    settings.rows(
        [
            [
                item.kind,
                item.name,
                item.state,
                item.detail,
                f"{counted(item.unverifiable, 'object')} unverifiable" if item.unverifiable else "",
            ]
            for item in found
        ]
    )
    settings.result({"deep": deep, "pins": [{**item._asdict(), "fails": item.fails} for item in found]})
    problems = [item for item in found if item.fails]
    if problems:
        first = problems[0]
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise PinError(
            f"{first.kind} {first.name}: {first.detail}{more}",
            hint=first.hint or "restore what is pinned; `reprolock lock --upgrade` pins what is there now",
        )
