"""`env`: the locked environment."""

from __future__ import annotations

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options
from reprolock.errors import UsageError
from reprolock.model.words import counted, size


@click.command()
@click.option(
    "--export",
    "form",
    type=click.Choice(["requirements", "pylock"]),
    help="Print the packages in another tool's format.",
)
@click.option("--prune", is_flag=True, help="Remove environments that have not been used for some time.")
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    help="With --prune: days without use after which an environment is removed.",
)
@click.option("--offline", is_flag=True, help="With --export pylock: look files up in uv's cache only.")
@add_shared_options
def env(settings: Settings, form: str | None, prune: bool, days: float, offline: bool) -> None:
    """Show the locked environment: where it is, and how the current interpreter differs from it."""
    from reprolock.steps.maintenance.env import export_environment  # loaded when the command runs
    from reprolock.steps.maintenance.env import prune as prune_environments

    if prune and form is not None:
        raise UsageError("--prune and --export cannot be used together", hint="use one of them")
    if prune:
        gone = prune_environments(days=days)
        settings.line(f"Removed {counted(len(gone.folders), 'environment')}, {size(gone.bytes)}")
        settings.result({"removed": [str(folder) for folder in gone.folders], "bytes": gone.bytes})
        return
    if form is not None:
        text = export_environment(settings.root, form, offline=offline)  # type: ignore[arg-type]
        settings.result({"format": form, "text": text})
        settings.document(text)
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
