"""`status`: the pins compared with the lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options
from reprolock.model.words import counted, short

if TYPE_CHECKING:
    from reprolock.steps.inspecting.status import DatasetStatus, Status


@click.command()
@add_shared_options
def status(settings: Settings) -> None:
    """Show which branches have moved on, what in repro.lock is out of date, and what differs from the last run of this folder:
    data, packages, code, params, seed, command.
    """
    found = reprolock.status(settings.root)
    settings.rows([_status_row(dataset) for dataset in found.datasets])
    for stale in found.stale:
        settings.line(f"stale: {stale.sentence}")
    if found.since is not None:
        run = f"run {found.since.run_id[:8]}" + (f" ({found.since.name})" if found.since.name else "")
        if found.since.changes:
            settings.line(f"Changed since {run}: {'; '.join(found.since.changes)}")
        else:
            settings.line(f"Nothing changed since {run}")
    settings.line(_closing(found))
    settings.result(
        {
            "stale": [stale._asdict() for stale in found.stale],
            "since": found.since._asdict() if found.since else None,
            "datasets": [{**dataset._asdict(), "moved": dataset.moved} for dataset in found.datasets],
        }
    )


def _closing(found: Status) -> str:
    """What follows from all of it, and what to do."""
    if found.stale:
        return "repro.lock is out of date; `reprolock lock` pins what is missing."
    moved = [dataset for dataset in found.datasets if dataset.moved]
    with_new = [dataset.name for dataset in moved if any(dataset.changes.values())]
    if with_new:
        many = "--upgrade" if len(with_new) > 1 else f"--upgrade-dataset {with_new[0]}"
        return f"repro.lock is up to date; `reprolock lock {many}` takes the new data."
    if moved:
        return "repro.lock is up to date, and no pinned data changed."
    if any(dataset.gone for dataset in found.datasets):
        return "repro.lock is up to date; `reprolock verify` says whether the pinned commits are still there."
    return "repro.lock is up to date, and no branch moved on."


def _status_row(dataset: DatasetStatus) -> list[str]:
    staged = "uncommitted changes" if dataset.uncommitted else ""
    if dataset.head is None:
        return [dataset.name, f"gone: {dataset.gone}"]
    if not dataset.moved:
        return [dataset.name, f"{dataset.ref} is still at {short(dataset.pinned)}", staged]
    move = f"{short(dataset.pinned)} → {short(dataset.head)}"
    if dataset.behind is None:
        return [dataset.name, f"{dataset.ref} was reset, {move}", _changes(dataset.changes), staged]
    return [
        dataset.name,
        f"{dataset.ref} moved on by {counted(dataset.behind, 'commit')}, {move}",
        _changes(dataset.changes),
        staged,
    ]


def _changes(changes: dict[str, int]) -> str:
    """`1 object removed, 1 changed`."""
    parts = [(changes[kind], kind) for kind in ("added", "removed", "changed") if changes.get(kind)]
    if not parts:
        return "nothing under the path changed"
    (first, kind), *rest = parts
    return ", ".join([f"{counted(first, 'object')} {kind}", *(f"{count} {kind}" for count, kind in rest)])
