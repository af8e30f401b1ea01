"""`lock`: resolve what is not pinned yet."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.declared_name import DATASET
from reprolock.cli.options import Settings, add_shared_options
from reprolock.cli.progress import progress
from reprolock.errors import UsageError
from reprolock.model.words import counted, duration

if TYPE_CHECKING:
    from datetime import datetime

    from reprolock.steps.locking.lock import LockResult, Pin


class Moment(click.ParamType["datetime"]):
    """A date and time with an offset from UTC, as ISO 8601 writes it."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from datetime import datetime  # completion, which comes through here without a value, is to be quick

        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f'"{value}" is not a time; write "2026-11-22T12:00:00Z"', param, ctx)


@click.command()
@click.option("--upgrade", is_flag=True, help="Resolve everything again.")
@click.option(
    "--upgrade-dataset",
    "upgrade_datasets",
    metavar="NAME",
    type=DATASET,
    multiple=True,
    help="Resolve one dataset again.",
)
@click.option(
    "--upgrade-package", "upgrade_packages", metavar="NAME[==V]", multiple=True, help="Resolve one package again."
)
@click.option(
    "--as-of", type=Moment(), metavar="TIME", help="Pin the newest commit made at or before TIME (with a UTC offset)."
)
@click.option("--strict", is_flag=True, help="Refuse a branch with uncommitted changes under a dataset's path.")
@click.option("--offline", is_flag=True, help="Contact no service; use what is stored on this machine.")
@click.option(
    "--check", is_flag=True, help="Change nothing and contact no service; exit 3 when repro.lock is out of date."
)
@click.option("--no-build", is_flag=True, help="Run no package's build code; only packages with wheels are taken.")
@click.option("--dry-run", is_flag=True, help="Show what would change, without changing it.")
@add_shared_options
def lock(
    settings: Settings,
    upgrade: bool,
    upgrade_datasets: tuple[str, ...],
    upgrade_packages: tuple[str, ...],
    as_of: datetime | None,
    strict: bool,
    offline: bool,
    check: bool,
    dry_run: bool,
    no_build: bool,
) -> None:
    """Resolve what repro.toml declares and repro.lock does not pin yet, and write repro.lock.

    Pins that still match repro.toml are kept: a branch that moved on changes nothing without --upgrade.
    """
    if check:
        given = {"--upgrade": upgrade, "--upgrade-dataset": upgrade_datasets, "--upgrade-package": upgrade_packages}
        given |= {"--as-of": as_of, "--strict": strict, "--no-build": no_build}
        if other := next((option for option, value in given.items() if value), None):
            raise UsageError(
                f"--check and {other} cannot be used together: --check contacts no service and pins nothing",
                hint="use one of them",
            )
        found = reprolock.check(settings.root)
        settings.line(f"repro.lock is up to date ({counted(len(found.dataset), 'dataset')})")
        settings.result({"fresh": True, "datasets": len(found.dataset)})
        return
    from reprolock.steps.locking.options import LockOptions  # loaded past --check, which has to be quick

    started = time.monotonic()
    options = LockOptions(upgrade, upgrade_datasets, upgrade_packages, as_of, strict, offline, dry_run, no_build)
    with progress(settings, "Resolving") as bar:
        done = reprolock.lock(settings.root, options, progress=bar)
    settings.result(say_locked(settings, done, time.monotonic() - started, dry_run=dry_run))


def say_locked(settings: Settings, done: LockResult, seconds: float, *, dry_run: bool = False) -> dict[str, object]:
    """What `lock` did, for people; its document for programs is the answer."""
    from reprolock.cli.changes import change_rows  # the library is loaded when a command runs

    settings.rows([row for change in done.changes for row in change_rows(change)])
    for remark in done.remarks:
        settings.warning(remark)
    if dry_run:
        settings.line("Would write repro.lock" if done.changes else "repro.lock would not change")
    elif done.written:
        settings.line(f"Wrote repro.lock in {duration(seconds)}")
    else:
        settings.line("repro.lock is up to date")
    changes = [
        {"kind": change.kind, "name": change.name, "before": _document(change.before), "after": _document(change.after)}
        for change in done.changes
    ]
    return {"written": done.written, "changes": changes, "remarks": list(done.remarks)}


def _document(pin: Pin | None) -> dict[str, object] | None:
    return pin.model_dump(mode="json", exclude_none=True) if pin else None
