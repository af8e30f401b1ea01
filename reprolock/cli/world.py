"""`verify`, `env` and `cache`: what the lock names, as it is found in the world."""

from __future__ import annotations

import re
from datetime import timedelta

import click

import reprolock
from reprolock.cli.options import Settings, shared
from reprolock.cli.progress import progress
from reprolock.errors import PinError, UsageError
from reprolock.model.words import counted, size


@click.command()
@click.option("--deep", is_flag=True, help="Read every object and hold it against its checksum.")
@shared
def verify(settings: Settings, deep: bool) -> None:
    """Check that the world still holds every pinned byte: data, jars, environment.

    Exit 4 when something is gone or has changed. What has no checksum that can be computed again is counted
    apart.
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
    faults = [item for item in found if item.fails]
    if faults:
        first = faults[0]
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise PinError(
            f"{first.kind} {first.name}: {first.detail}{more}",
            hint=first.hint or "restore what is pinned; `reprolock lock --upgrade` pins what is there now",
        )


@click.command()
@click.option(
    "--export",
    "form",
    type=click.Choice(["requirements", "pylock"]),
    help="Print the packages in another tool's format.",
)
@click.option("--prune", is_flag=True, help="Remove environments that were not used for a while.")
@click.option(
    "--days", type=click.FloatRange(min=0), default=30, show_default=True, help="With --prune: how long a while is."
)
@click.option("--offline", is_flag=True, help="With --export pylock: look files up in uv's cache alone.")
@shared
def env(settings: Settings, form: str | None, prune: bool, days: float, offline: bool) -> None:
    """Show the locked environment: where it is, and how the current interpreter differs from it."""
    from reprolock.steps.maintenance.env import export_environment  # loaded when the command runs
    from reprolock.steps.maintenance.env import prune as prune_environments

    if prune and form is not None:
        raise UsageError("--prune and --export exclude one another", hint="leave one out")
    if prune:
        gone = prune_environments(days=days)
        settings.line(f"Removed {counted(len(gone.folders), 'environment')}, {size(gone.bytes)}")
        settings.result({"removed": [str(folder) for folder in gone.folders], "bytes": gone.bytes})
        return
    if form is not None:
        text = export_environment(settings.root, form, offline=offline)  # type: ignore[arg-type]
        settings.result({"format": form, "text": text})
        if not settings.json:
            click.echo(text, nl=False)
        return
    view = reprolock.env(settings.root)
    settings.line(
        f"Locked   {counted(len(view.pin.package), 'package')} for Python {view.pin.python}, seal {view.pin.seal[:8]}"
    )
    settings.line(f"Path     {view.built.folder if view.built else 'not built here yet; the first run builds it'}")
    failing = [difference for difference in view.differences if difference.fails]
    if failing:
        settings.line(f"The current interpreter differs in {counted(len(failing), 'package')}:")
        settings.rows(
            [[item.name, f"locked {item.locked or '-'}", f"here {item.found or '-'}"] for item in failing], indent="  "
        )
    else:
        settings.line("The current interpreter has every locked package.")
    settings.result(
        {
            "python": view.pin.python,
            "packages": {package.name: package.version for package in view.pin.package},
            "path": str(view.built.folder) if view.built else None,
            "differences": [{**item._asdict(), "fails": item.fails} for item in view.differences],
        }
    )


class Bytes(click.ParamType):
    """`500MB`, `2 GB`, `10000`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", str(value))
        if not match:
            self.fail(f'"{value}" is no size; write "500MB" or "2GB"', param, ctx)
        return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))


@click.command()
@click.option(
    "--trim",
    is_flag=True,
    help="Remove data: what --older-than and --max-size say, else all of it. Trees of runs keep theirs.",
)
@click.option(
    "--max-size", type=Bytes(), metavar="SIZE", help="With --trim: keep the most recently used data up to this size."
)
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="With --trim: remove what was not used for so long.",
)
@shared
def cache(settings: Settings, trim: bool, max_size: int | None, older_than: float | None) -> None:
    """Show this user's cache of data, jars and environments; trim its data."""
    for option, value in (("--max-size", max_size), ("--older-than", older_than)):
        if value is not None and not trim:
            raise UsageError(
                f"{option} is about what to remove, and nothing is removed without --trim", hint="add --trim"
            )
    if trim:
        from reprolock.steps.maintenance.cache import trim as trim_cache  # loaded when the command runs

        limit = 0 if max_size is None and older_than is None else max_size
        gone = trim_cache(max_bytes=limit, older_than=None if older_than is None else timedelta(days=older_than))
        settings.line(f"Removed {counted(gone.objects, 'object')}, {size(gone.bytes)}")
        settings.result({"objects": gone.objects, "bytes": gone.bytes})
        return
    view = reprolock.cache()
    settings.line(f"{view.folder}")
    settings.rows([[f"  {part.name}", counted(part.files, "file"), size(part.bytes)] for part in view.parts])
    settings.result(
        {
            "folder": str(view.folder),
            "parts": {part.name: {"files": part.files, "bytes": part.bytes} for part in view.parts},
        }
    )
