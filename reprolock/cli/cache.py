"""`cache`: what the cache holds, and its trimming."""

from __future__ import annotations

import re
from datetime import timedelta

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options
from reprolock.errors import UsageError
from reprolock.model.words import counted, size


class Bytes(click.ParamType[int]):
    """`500MB`, `2 GB`, `10000`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", str(value))
        if not match:
            self.fail(f'"{value}" is not a size; write "500MB" or "2GB"', param, ctx)
        return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))


@click.command()
@click.option(
    "--trim",
    is_flag=True,
    help="Remove cached data: what --older-than and --max-size select, else all of it. Data linked into runs stays.",
)
@click.option(
    "--max-size", type=Bytes(), metavar="SIZE", help="With --trim: keep the most recently used data up to this size."
)
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="With --trim: remove data that has not been used for this long.",
)
@add_shared_options
def cache(settings: Settings, trim: bool, max_size: int | None, older_than: float | None) -> None:
    """Show this user's cache of data, jars and environments; trim its data.

    In a project --trim also removes what old runs and replays left, such as files that no output declares: what is
    older than [run] keep, or than --older-than. Records stay.
    """
    for option, value in (("--max-size", max_size), ("--older-than", older_than)):
        if value is not None and not trim:
            raise UsageError(f"{option} has no effect without --trim", hint="add --trim")
    if trim:
        from reprolock.steps.maintenance.cache import trim as trim_cache  # loaded when the command runs
        from reprolock.steps.maintenance.cache import trim_project

        limit = 0 if max_size is None and older_than is None else max_size
        age = None if older_than is None else timedelta(days=older_than)
        gone = trim_cache(max_bytes=limit, older_than=age)
        settings.line(f"Removed {counted(gone.objects, 'object')}, {size(gone.bytes)}")
        left = trim_project(settings.root, older_than=age)
        if left is not None and left.files:
            settings.line(f"Removed {counted(left.files, 'file')} of old runs, {size(left.bytes)}; their records stay")
        runs = {} if left is None else {"runs": {"files": left.files, "bytes": left.bytes}}
        settings.result({"objects": gone.objects, "bytes": gone.bytes, **runs})
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
