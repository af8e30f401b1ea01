"""`run`, `show` and `sync`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, aligned, shared
from reprolock.cli.progress import progress
from reprolock.errors import CommandFailed, Interrupted
from reprolock.model.words import counted, duration, short, size

if TYPE_CHECKING:
    from reprolock.model.lock import Lock
    from reprolock.model.record import DatasetRecord, Record
    from reprolock.steps.project.progress import Progress

RULE = "─" * 64


class Screen:
    """What stands around the command's own output, on stderr: the output itself may be piped on."""

    def __init__(self, settings: Settings, clear: Callable[[], None] = lambda: None) -> None:
        """`clear` takes a progress bar away: the screen is the command's from `ready` on."""
        self.settings = settings
        self.clear = clear

    def ready(self, record: Record) -> None:
        self.clear()
        for line in aligned(opening_rows(record)):
            self.settings.remark(line)
        self.settings.remark(RULE)

    def publishing(self) -> AbstractContextManager[Progress]:
        return progress(self.settings, "Publishing")

    def warn(self, sentence: str) -> None:
        self.settings.warning(sentence)


@click.command()
@click.option(
    "--set", "params", metavar="NAME=VALUE", multiple=True, help="Another value of a param, for this run only."
)
@click.option("--data", metavar="NAME=REF", multiple=True, help="A dataset at another ref, for this run only.")
@click.option(
    "--locked", is_flag=True, help="Say aloud that a missing or stale lock is an error (it always is); for CI."
)
@click.option("--relock", is_flag=True, help="Run `reprolock lock` first.")
@click.option("--in-place", is_flag=True, help="Run in the project's folder, and record that.")
@click.option("--if-changed", is_flag=True, help="Skip when an equal run finished and its outputs still match.")
@click.option("--offline", is_flag=True, help="Ask no service; record on disk, and let `reprolock sync` send it.")
@click.option("--name", help="The run's name in MLflow.")
@click.option("--tag", metavar="NAME", help="Tag the commit of the published outputs in the lake.")
@click.option("--merge", is_flag=True, help="Merge the published outputs into the branch that publish names.")
@click.option("--openlineage", metavar="URL", help="Send what was seen to a catalogue; OPENLINEAGE_* do the same.")
@click.option("--dry-run", is_flag=True, help="Check and make everything ready, and say what would run.")
@shared
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
    openlineage: str | None,
    dry_run: bool,
) -> None:
    """Rebuild the inputs that repro.lock pins, run the command, record it in MLflow.

    A missing or stale lock is exit 3; nothing is resolved here without --relock.
    """
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
        settings.remark(f"Would run  {click.style(' '.join(record.command), bold=True)}")
        return
    settings.remark(RULE)
    for line in aligned(closing_rows(record)):
        settings.remark(line)
    kept = "" if done.sent else ", kept on disk until `reprolock sync`"
    settings.remark(
        f"Recorded run {record.run_id[:8]} ({record.experiment}) in {duration(record.ending.seconds)}{kept}"
    )
    settings.remark(
        f"Look     reprolock show {record.run_id[:8]}" + (f"      {_mlflow_page(done.tracking)}" if done.sent else "")
    )
    _fail(record)
    if done.incomplete is not None:
        raise done.incomplete


def _mlflow_page(tracking: str) -> str:
    """Where a person sees the run in MLflow: a server's address, or the command that shows a database."""
    return tracking if tracking.startswith(("http://", "https://")) else f"mlflow ui --backend-store-uri {tracking}"


def _fail(record: Record) -> None:
    """The exit code of a command that did not end well."""
    assert record.ending is not None
    hint = f"`reprolock show {record.run_id[:8]}` shows the record; its folder is .reprolock/runs/{record.run_id}"
    if record.status == "KILLED" and record.ending.signal is not None:
        raise Interrupted(f"the run was ended: {record.ending.reason}", signal_number=record.ending.signal, hint=hint)
    if record.status != "FINISHED":
        raise CommandFailed(f"the command failed: {record.ending.reason}", hint=hint)


def pairs(option: str, texts: tuple[str, ...]) -> list[tuple[str, str]]:
    """`NAME=VALUE` texts taken apart."""
    for text in texts:
        if "=" not in text:
            raise click.BadParameter(f'"{text}" is not NAME=VALUE', param_hint=option)
    return [(name, value) for name, _, value in (text.partition("=") for text in texts)]


def opening_rows(record: Record) -> list[list[str]]:
    """Inputs, code, environment and why, as rows."""
    rows = [
        ["Inputs" if index == 0 else "", item.name, _shortened(item.url, item.commit), _extent(item)]
        for index, item in enumerate(record.datasets)
    ]
    code = record.code
    state = (
        f" at {code.commit[:7]} ({'dirty' if code.dirty else 'clean'})"
        if code.commit
        else f", digest {code.digest[:8]}"
    )
    rows.append(["Code", f"{counted(code.files, 'file')}{state}"])
    rows.append(["Env", _environment(record)])
    if record.why:
        rows.append(["Why", "; ".join(record.why)])
    return rows


def _extent(item: DatasetRecord) -> str:
    rows = () if item.rows is None else (counted(item.rows, "row"),)
    return ", ".join([counted(item.objects, "object"), size(item.bytes), *rows])


def closing_rows(record: Record) -> list[list[str]]:
    """Outputs and metrics, as rows."""
    rows = []
    for index, output in enumerate(record.outputs):
        found = "missing" if output.digest is None else f"{counted(output.files, 'file')}, {size(output.bytes)}"
        digest = f"{output.compare} {short(output.compared or output.digest)[:8]}" if output.digest else ""
        digest = output.fault or digest
        rows.append(["Outputs" if index == 0 else "", output.name, output.path, found, digest])
    for index, item in enumerate(record.published):
        where = f"commit {short(item.commit)}" if item.commit else "no commit"
        state = [
            f"tagged {item.tag}" if item.tag else "",
            f"merged in {short(item.merged)}" if item.merged else f"on {item.branch}",
        ]
        rows.append(["Published" if index == 0 else "", item.name, item.uri, where, ", ".join(filter(None, state))])
    if record.metrics:
        rows.append(
            ["Metrics", "   ".join(f"{name} {_number(value)}" for name, value in sorted(record.metrics.items()))]
        )
    return rows


def lineage_rows(record: Record) -> list[list[str]]:
    """What was observed, and what nobody declared, as rows."""
    if record.lineage is None:
        return []
    rows = [["Lineage", record.lineage.coverage]]
    rows += [["", read.sentence] for read in record.lineage.undeclared]
    rows += [["", f"past the lock: {sentence}"] for sentence in record.lineage.unlocked]
    return rows


def _environment(record: Record) -> str:
    parts = [counted(len(record.environment.packages), "package"), f"Python {record.environment.python}"]
    if record.spark:
        java = f"Java {record.spark.java}" if record.spark.java else ""
        parts = [*parts[:1], *([java] if java else parts[1:]), f"Spark {record.spark.version}", record.spark.master]
    return f"{record.observed.sections['packages'][:8]} ({', '.join(parts)})"


def _shortened(url: str, commit: str) -> str:
    return url.replace(commit, f"{commit[:12]}…")


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"


@click.command()
@click.argument("target", metavar="[RUN]", required=False)
@click.option("--tracking-uri", metavar="URI", help="Where MLflow is, instead of repro.toml's.")
@click.option("--lock", "of_lock", is_flag=True, help="Show repro.lock.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the run as one self-contained page.",
)
@shared
def show(settings: Settings, target: str | None, tracking_uri: str | None, of_lock: bool, html: Path | None) -> None:
    """Show a recorded run (the newest, where none is named), or the lock where nothing has run yet.

    RUN is a run's ID, the beginning of one, or a folder with its artifacts.
    """
    found = reprolock.show(settings.root, target, tracking_uri=tracking_uri, of_lock=of_lock)
    if html is not None:
        _write_page(settings, html, found)
    settings.result(_document(found))
    if hasattr(found, "run_id"):
        settings.rows(record_rows(found))
    else:
        settings.rows(lock_rows(found))


def _write_page(settings: Settings, html: Path, found: Record | Lock) -> None:
    from reprolock.model.record import Record  # the library is loaded when a command runs
    from reprolock.steps.inspecting.report.html import report, write_report
    from reprolock.steps.project.machine import Machine

    if not isinstance(found, Record):
        raise click.UsageError("--html shows a run, and there is none yet; it has no page for a lock")
    write_report(html, report(found), Machine.here())
    settings.remark(f"Wrote {html}")


def _document(found: Record | Lock) -> dict[str, object]:
    """As JSON has it: NaN by its name."""
    document: dict[str, object] = json.loads(found.model_dump_json())
    return document


def record_rows(record: Record) -> list[list[str]]:
    """A record for people."""
    ended = f"{record.status}" + (
        f" in {duration(record.ending.seconds)}, {record.ending.reason}" if record.ending else ""
    )
    rows = [
        ["Run", f"{record.run_id}  {record.run_name}" if record.run_name else record.run_id],
        ["Project", f"{record.project} (experiment {record.experiment})"],
        ["Started", f"{record.started:%Y-%m-%d %H:%M:%S}Z"],
        ["Status", ended],
        ["Command", " ".join(record.command)],
    ]
    rows += opening_rows(record)
    rows += [
        ["Commits" if index == 0 else "", item.name, item.resolved, item.digest[:20]]
        for index, item in enumerate(record.datasets)
    ]
    rows += [
        ["Params" if index == 0 else "", f"{name} = {value}"]
        for index, (name, value) in enumerate(record.params.items())
    ]
    if record.seed is not None:
        rows.append(["Seed", str(record.seed)])
    rows += closing_rows(record)
    rows += lineage_rows(record)
    rows += [["Unpublished", item.name, item.fault] for item in record.published if item.fault]
    rows.append(["Pinned", record.pinned.total])
    rows.append(["Observed", record.observed.total])
    return rows


def lock_rows(lock: Lock) -> list[list[str]]:
    """A lock for people."""
    rows = [
        [
            f"dataset {pin.name}",
            pin.uri,
            f"→ {short(pin.commit)}",
            f"{pin.time:%Y-%m-%d %H:%M}Z",
            f"{counted(pin.objects, 'object')}, {size(pin.bytes)}",
        ]
        for pin in lock.dataset
    ]
    if lock.environment:
        rows.append(
            [
                "packages",
                f"{len(lock.environment.package)} for Python {lock.environment.python}",
                lock.environment.seal[:8],
            ]
        )
    if lock.jars:
        rows.append(
            ["jars", f"{len(lock.jars.jar)} for Spark {lock.jars.spark}", size(lock.jars.bytes), lock.jars.seal[:8]]
        )
    return rows


@click.command()
@click.option("--tracking-uri", metavar="URI", help="Where MLflow is, instead of repro.toml's.")
@shared
def sync(settings: Settings, tracking_uri: str | None) -> None:
    """Send records that could not reach MLflow."""
    answers = reprolock.sync(settings.root, tracking_uri=tracking_uri)
    for answer in answers:
        for remark in answer.remarks:
            settings.warning(f"run {answer.run_id[:8]}: {remark}")
        if answer.error is None:
            settings.line(
                f"Sent run {answer.run_id[:8]}"
                + (f" as {answer.mlflow_run[:8]}" if answer.mlflow_run != answer.run_id else "")
            )
        else:
            settings.warning(f"run {answer.run_id[:8]} stays: {answer.error.message}")
    if not answers:
        settings.line("Nothing waits to be sent")
    sent = [
        {"run_id": answer.run_id, "mlflow_run": answer.mlflow_run, "error": answer.error and answer.error.message}
        for answer in answers
    ]
    settings.result({"sent": sent})
    failed = [answer.error for answer in answers if answer.error is not None]
    if failed:
        raise failed[0]


@click.command(hidden=True)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("cache", type=click.Path(path_type=Path))
@click.argument("name")
@click.argument("item", required=False)
def materialise(folder: Path, cache: Path, name: str, item: str | None) -> None:
    """Make a dataset's local tree, or one object of it, while a run's command is running; print its path."""
    from reprolock.steps.running.materialise_for_run import materialise_for_run  # called by reprolock.script alone

    with progress(Settings(), f"Getting {name}") as bar:
        path = materialise_for_run(folder, cache, name, item, bar)
    click.echo(path)
