"""`git-driver`: git merges and shows repro.lock by its pins."""

from __future__ import annotations

from pathlib import Path

import click

from reprolock.cli.options import Settings, add_shared_options
from reprolock.cli.terminal import say_document

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("git-driver")
def git_driver() -> None:
    """Let git merge repro.lock pin by pin, and show its changes by pin.

    `install` sets up one clone; commit the line that it adds to .gitattributes; each clone has to be set up by itself.
    """


@git_driver.command()
@add_shared_options
def install(settings: Settings) -> None:
    """Set up the merge and diff driver in this clone."""
    from reprolock.steps.locking.git_driver import install as set_up  # the library is loaded when a command runs

    done = set_up(settings.root)
    settings.line("git merges and shows repro.lock by its pins in this clone")
    if done.changed:
        settings.line(f"Next: git add {done.attributes.name}, and commit it")
    settings.result({"attributes": str(done.attributes), "changed": done.changed})


@git_driver.command()
@add_shared_options
def uninstall(settings: Settings) -> None:
    """Remove the merge and diff driver from this clone."""
    from reprolock.steps.locking.git_driver import uninstall as take_away  # the library is loaded when a command runs

    done = take_away(settings.root)
    settings.line("git merges repro.lock as text again in this clone")
    settings.result({"attributes": str(done.attributes), "changed": done.changed})


@git_driver.command(hidden=True)
@click.argument("base", type=_FILE)
@click.argument("ours", type=_FILE)
@click.argument("theirs", type=_FILE)
def merge(base: Path, ours: Path, theirs: Path) -> None:
    """What git calls to merge; the result stands in OURS. Any exit but 0 is a conflict."""
    from reprolock.steps.locking.git_driver import merge_files  # the library is loaded when a command runs

    merge_files(base, ours, theirs)


@git_driver.command(hidden=True)
@click.argument("file", type=_FILE)
def textconv(file: Path) -> None:
    """What git calls to show FILE; one that is no lock is shown as it is."""
    from reprolock.errors import LockError
    from reprolock.steps.locking.git_driver import text_lines  # the library is loaded when a command runs

    data = file.read_bytes()
    try:
        say_document("\n".join(text_lines(data)) + "\n")
    except LockError:
        say_document(data.decode(errors="replace"))


@git_driver.command()
@click.argument("before", required=False, envvar="PRE_COMMIT_FROM_REF")
@click.argument("after", required=False, envvar="PRE_COMMIT_TO_REF")
@add_shared_options
def moved(settings: Settings, before: str | None, after: str | None) -> None:
    """Show which pins differ between two revisions: for a hook after checkout or merge.

    Without revisions: between the previous HEAD and HEAD. Prints nothing where the lock is the same, or where one of them has none.
    """
    from reprolock.steps.locking.git_driver import moved_lines  # the library is loaded when a command runs

    lines = moved_lines(settings.root, before or "HEAD@{1}", after or "HEAD")
    for line in lines:
        settings.line(line)
    settings.result({"moved": lines})
