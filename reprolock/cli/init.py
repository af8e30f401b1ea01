"""`init`: a starting repro.toml."""

from __future__ import annotations

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options
from reprolock.model.words import counted, size


@click.command()
@click.argument("uri", required=False, metavar="[lakefs://REPO/REF/PATH]")
@click.option("--lake", metavar="ENDPOINT", help='The lake: "file:FOLDER", or the address of a lakeFS server.')
@add_shared_options
def init(settings: Settings, uri: str | None, lake: str | None) -> None:
    """Write a starting repro.toml, from data that is in the lake if its address is given, and from what is in the folder: a script
    and its options, requirements.txt, pyproject.toml, MLproject, dvc.yaml, a checkout of `lakectl local`. Nothing of it is executed.
    """
    from reprolock.files.atomic_write import own_folder
    from reprolock.steps.maintenance.schema import write_schemas  # loaded when the command runs
    from reprolock.steps.project.init import SCHEMAS

    done = reprolock.init(settings.root, uri, lake=lake)
    write_schemas(own_folder(settings.root.resolve()) / SCHEMAS)  # for editors; the first line of repro.toml names it
    found = ""
    if done.dataset:
        extent = f", {counted(done.objects, 'object')}, {size(done.bytes or 0)}" if done.objects is not None else ""
        found = f'  (dataset "{done.dataset}", {done.format}{extent})'
    settings.line(f"Wrote repro.toml{found}")
    if done.sources:
        settings.line(f"Taken from {', '.join(done.sources)}")
    for remark in done.remarks:
        settings.warning(remark)
    settings.line(
        "Next: reprolock lock"
        if done.dataset
        else "Next: reprolock add dataset NAME lakefs://REPOSITORY/BRANCH/PATH/, or reprolock lock without data"
    )
    settings.result({**done._asdict(), "path": str(done.path)})
