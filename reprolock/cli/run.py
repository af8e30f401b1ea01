"""`run`: rebuild the inputs, run the command, record it."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.declared_name import DATASET_REF, PARAM_VALUE
from reprolock.cli.options import Settings, add_shared_options, align
from reprolock.cli.progress import progress
from reprolock.cli.terminal import styled
from reprolock.errors import CommandFailed, Interrupted
from reprolock.model.words import command_line, duration
from reprolock.tracker.tracking_uri import for_sqlalchemy

if TYPE_CHECKING:
    from reprolock.model.record import Record
from reprolock.cli.record_rows import closing_rows
from reprolock.cli.screen import RULE, Screen, pairs
from reprolock.cli.show import _document
from reprolock.cli.width import of_stderr


@click.command()
@click.option(
    "--set",
    "params",
    metavar="NAME=VALUE",
    type=PARAM_VALUE,
    multiple=True,
    help="Another value of a param, for this run only.",
)
@click.option(
    "--data", metavar="NAME=REF", type=DATASET_REF, multiple=True, help="A dataset at another ref, for this run only."
)
@click.option(
    "--locked", is_flag=True, help="Require an up-to-date lock (the default); rejects --relock, --set, --data."
)
@click.option("--relock", is_flag=True, help="Run `reprolock lock` first.")
@click.option("--in-place", is_flag=True, help="Run in the project's folder, and record that.")
@click.option(
    "--if-changed", is_flag=True, help="Skip the run when an equal one has finished and its outputs still match."
)
@click.option("--offline", is_flag=True, help="Contact no service; record on disk until `reprolock sync` sends it.")
@click.option("--name", help="The run's name in MLflow.")
@click.option("--tag", metavar="NAME", help="Tag the commit of the published outputs in the lake.")
@click.option("--merge", is_flag=True, help="Merge the published outputs into the branch that publish names.")
@click.option("--publish-to", metavar="BRANCH", help="Publish to this branch instead of the one that publish names.")
@click.option(
    "--openlineage",
    metavar="URL",
    help="Send what Spark read and wrote to an OpenLineage catalogue; OPENLINEAGE_* variables do the same.",
)
@click.option("--dry-run", is_flag=True, help="Check and prepare everything, and show what would run.")
@add_shared_options
def run(
    settings: Settings,
    params: tuple[str, ...],
    data: tuple[str, ...],
    locked: bool,
    relock: bool,
    in_place: bool,
    if_changed: bool,
    offline: bool,
    name: str | None,
    tag: str | None,
    merge: bool,
    publish_to: str | None,
    openlineage: str | None,
    dry_run: bool,
) -> None:
    """Rebuild the inputs that repro.lock pins, run the command, record it in MLflow.

    Exit 3 where the lock is missing or out of date; nothing is resolved without --relock.
    """
    begun = time.monotonic()
    from reprolock.steps.locking.overrides import WhatIf, parse_param
    from reprolock.steps.running.options import RunOptions  # the library is loaded when a command runs

    options = RunOptions(
        what_if=WhatIf(dict(parse_param(text) for text in params), dict(pairs("--data", data))),
        locked=locked,
        relock=relock,
        in_place=in_place,
        offline=offline,
        dry_run=dry_run,
        if_changed=if_changed,
        name=name,
        tag=tag,
        merge=merge,
        publish_to=publish_to,
        openlineage=openlineage,
        stdout=sys.stderr.fileno() if settings.json else None,
    )
    with ExitStack() as bars:
        bar = bars.enter_context(progress(settings, "Fetching inputs"))
        done = reprolock.run(settings.root, options, Screen(settings, bars.close), bar)
    record = done.record
    settings.result({**_document(record), "sent": done.sent, "skipped": done.skipped})
    if done.skipped:
        settings.remark(
            f"Skipped: run {record.run_id[:8]} has finished with the same inputs, and its outputs are as it left them"
        )
        return
    if dry_run:
        settings.remark(f"Would run  {styled(command_line(record.command), bold=True)}")
        return
    settings.remark(RULE)
    for line in align(closing_rows(record, of_stderr())):
        settings.remark(line)
    own = time.monotonic() - begun - record.ending.seconds
    took = f"command {duration(record.ending.seconds)}" + (f", reprolock {duration(own)}" if own > 1 else "")
    settings.remark(f"Recorded run {record.run_id[:8]} ({record.experiment}): {took}")
    if not done.sent:
        settings.remark("Kept     on disk: `reprolock sync` sends it to MLflow")
    if done.signer is not None:
        settings.remark(f"Signed   by {done.signer[:12]}: rules and pins before the command, the record after it")
    settings.remark(_look(record.run_id, done.tracking if done.sent else None, of_stderr()))
    _fail(record)
    if done.incomplete is not None:
        raise done.incomplete


def _look(run_id: str, tracking: str | None, width: int | None) -> str:
    """Where to look at a run. An address of MLflow that does not fit the terminal is what `reprolock ui` opens."""
    line = f"Look     reprolock show {run_id[:8]}"
    if tracking is None:
        return line
    whole = f"{line}      {_mlflow_page(tracking)}"
    return whole if width is None or len(whole) <= width else f"{line}      reprolock ui"


def _mlflow_page(tracking: str) -> str:
    """Where a person sees the run in MLflow: a server's address, or the command that shows a database."""
    return (
        tracking
        if tracking.startswith(("http://", "https://"))
        else f"mlflow ui --backend-store-uri {shlex.quote(for_sqlalchemy(tracking, '2.1'))}"
    )


def _fail(record: Record) -> None:
    """The exit code of a command that did not end well."""
    assert record.ending is not None
    hint = f"`reprolock show {record.run_id[:8]}` shows the record; its folder is .reprolock/runs/{record.run_id}"
    if signal := record.interrupted_by:
        raise Interrupted(f"the run was ended: {record.ending.reason}", signal_number=signal, hint=hint)
    if record.status != "FINISHED":
        raise CommandFailed(f"the command failed: {record.ending.reason}", hint=hint)
