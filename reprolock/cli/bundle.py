"""`bundle`: a run and all that it needs in one file."""

from __future__ import annotations

from pathlib import Path

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options, tracking_option
from reprolock.cli.progress import progress
from reprolock.cli.run_name import RUN
from reprolock.model.words import counted, size


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file to write; default: PROJECT-RUN.zip.",
)
@click.option("--thin", is_flag=True, help="Leave the data out, and list where it is.")
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="NAME",
    help="Include the packages for linux-x86_64, linux-aarch64, macos-arm64 or windows-x86_64 instead of this machine's; repeatable.",
)
@click.option("--lake", metavar="ENDPOINT", help="Lake endpoint to use instead of the one in the record.")
@tracking_option
@add_shared_options
def bundle(
    settings: Settings,
    run: str,
    output: Path | None,
    thin: bool,
    platforms: tuple[str, ...],
    lake: str | None,
    tracking_uri: str | None,
) -> None:
    """Put a recorded run, its data, packages and jars into one file, from which it can be audited and replayed.

    RUN is an ID, the beginning of one, a name ("#435"), a tag, @latest, @latest~1, or a folder with artifacts.
    `reprolock replay FILE` needs no network, no lake
    and no MLflow. The file is a BagIt bag and an RO-Crate in a ZIP file without compression.
    """
    with progress(settings, "Fetching") as bar:
        done = reprolock.bundle(
            settings.root,
            run,
            output.absolute() if output else None,
            platforms=platforms,
            thin=thin,
            lake=lake,
            tracking_uri=tracking_uri,
            progress=bar,
        )
    parts = [counted(done.objects, "object"), counted(done.packages, "package"), counted(done.jars, "jar")]
    left_out = f", {counted(done.left_out, 'object')} left out" if done.left_out else ""
    settings.line(f"Wrote {done.file}   {size(done.bytes)}   {', '.join(parts)}{left_out}")
    settings.result(
        {
            "file": str(done.file),
            "bytes": done.bytes,
            "objects": done.objects,
            "packages": done.packages,
            "jars": done.jars,
            "left_out": done.left_out,
        }
    )
