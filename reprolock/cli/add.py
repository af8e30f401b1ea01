"""`add`: something more in repro.toml, in place, and locked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from reprolock.cli.lock import say_locked
from reprolock.cli.options import Settings, add_shared_options
from reprolock.cli.progress import progress

if TYPE_CHECKING:
    from reprolock.steps.locking.edit import Edited, Editor

NO_LOCK = click.option("--no-lock", is_flag=True, help="Edit repro.toml, and do not lock.")


@click.group()
def add() -> None:
    """Add to repro.toml in place, comments and order kept, then lock. What cannot be locked is not added."""


@add.command()
@click.argument("name")
@click.argument("uri", metavar="lakefs://REPO/REF/PATH")
@click.option("--format", "kind", help="The format of the files; default: found from their names.")
@click.option("--option", "options", metavar="NAME=VALUE", multiple=True, help="An option of Spark's reader.")
@click.option("--glob", metavar="GLOB", help='Only objects whose name matches, such as "*.csv".')
@NO_LOCK
@add_shared_options
def dataset(
    settings: Settings, name: str, uri: str, kind: str | None, options: tuple[str, ...], glob: str | None, no_lock: bool
) -> None:
    """Add a dataset that is in the lake."""
    change(
        settings,
        "Added",
        lambda editor: editor.add_dataset(name, uri, format=kind, options=options, glob=glob),
        no_lock=no_lock,
    )


@add.command()
@click.argument("requirements", metavar="REQ...", nargs=-1, required=True)
@NO_LOCK
@add_shared_options
def package(settings: Settings, requirements: tuple[str, ...], no_lock: bool) -> None:
    """Add Python packages: pandas, "pandas>=2.2". One that is there is replaced."""
    change(settings, "Added", lambda editor: editor.add_packages(requirements), no_lock=no_lock)


@add.command()
@click.argument("text", metavar="NAME=VALUE")
@NO_LOCK
@add_shared_options
def param(settings: Settings, text: str, no_lock: bool) -> None:
    """Add a param, or change its value. VALUE is TOML; anything else is taken as text."""
    change(settings, "Added", lambda editor: editor.add_param(text), no_lock=no_lock)


@add.command()
@click.argument("name")
@click.argument("path")
@click.option("--compare", type=click.Choice(["bytes", "table", "json", "none"]), help="How a replay compares it.")
@click.option("--format", "kind", help='The format of a table; needed for "--compare table".')
@click.option("--publish", metavar="lakefs://REPO/BRANCH/PATH", help="The lake address to publish it to.")
@NO_LOCK
@add_shared_options
def output(
    settings: Settings,
    name: str,
    path: str,
    compare: str | None,
    kind: str | None,
    publish: str | None,
    no_lock: bool,
) -> None:
    """Add an output: what the command writes to a path in the project."""
    change(
        settings,
        "Added",
        lambda editor: editor.add_output(name, path, compare=compare, format=kind, publish=publish),
        no_lock=no_lock,
    )


def change(settings: Settings, done: str, edit: Callable[[Editor], Edited], *, no_lock: bool) -> None:
    """One change of repro.toml, and what `lock` made of it."""
    from reprolock.steps.locking.edit import Editor  # the library is loaded when a command runs

    started = time.monotonic()
    with progress(settings, "Resolving") as bar:
        edited = edit(Editor(settings.root, locking=not no_lock, progress=bar))
    settings.line(f"{done} {edited.sentence}")
    locked = say_locked(settings, edited.locked, time.monotonic() - started) if edited.locked else None
    settings.result({done.lower(): edited.sentence, "lock": locked})
