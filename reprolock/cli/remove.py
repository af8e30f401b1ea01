"""`remove`: something less in repro.toml, in place, and locked."""

from __future__ import annotations

import click

from reprolock.cli.add import NO_LOCK, change
from reprolock.cli.declared_name import DeclaredName
from reprolock.cli.options import Settings, add_shared_options

KINDS = ("dataset", "package", "param", "output")


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("names", metavar="NAME...", type=DeclaredName(), nargs=-1, required=True)
@NO_LOCK
@add_shared_options
def remove(settings: Settings, kind: str, names: tuple[str, ...], no_lock: bool) -> None:
    """Remove datasets, packages, params or outputs from repro.toml in place, comments and order kept, then lock."""
    change(settings, "Removed", lambda editor: editor.remove(kind, names), no_lock=no_lock)
