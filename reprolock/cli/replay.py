"""`replay`: a recorded run again, and a verdict."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.declared_name import DATASET_REF, PARAM_VALUE
from reprolock.cli.options import Settings, add_shared_options, tracking_option
from reprolock.cli.progress import progress
from reprolock.cli.run_name import RUN_OR_FILE
from reprolock.cli.screen import RULE, Screen, pairs
from reprolock.cli.terminal import styled
from reprolock.errors import CommandFailed, Diverged, Interrupted, NotReplayable, UsageError
from reprolock.model.words import command_line, counted, short

if TYPE_CHECKING:
    from reprolock.model.record import Record
    from reprolock.steps.replaying.replay import Replayed


class _ReplayScreen(Screen):
    """What stands above the output of a replayed command."""

    def ready(self, record: Record) -> None:
        self.clear()
        count = len(record.pinned.sections)
        software = [
            counted(len(record.environment.packages), "package"),
            *([counted(record.spark.jars, "jar")] if record.spark else []),
        ]
        data = [f"{item.name} at {short(item.commit)}" for item in record.datasets]
        self.settings.remark(f"Record   complete, {count} of {count} sections as recorded")
        self.settings.remark(f"Rebuilt  {', '.join([f'code {record.code.digest[:8]}', *software, *data])}")
        if record.pass_env:
            self.settings.remark(f"Passed   {', '.join(record.pass_env)}")
        self.settings.remark(RULE)


@click.command()
@click.argument("run", type=RUN_OR_FILE)
@tracking_option
@click.option("--lake", metavar="ENDPOINT", help="Lake endpoint to use instead of the one in the record.")
@click.option(
    "--master", metavar="URL", help="Spark master, or sc://HOST:PORT, to use instead of the one in the record."
)
@click.option(
    "--times",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of replays; reports the spread of each metric.",
)
@click.option(
    "--set",
    "params",
    metavar="NAME=VALUE",
    type=PARAM_VALUE,
    multiple=True,
    help="Another value of a param: a comparison, no verdict.",
)
@click.option(
    "--data",
    metavar="NAME=REF",
    type=DATASET_REF,
    multiple=True,
    help="A dataset at another ref: a comparison, no verdict.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the verdict as one self-contained page.",
)
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="trust.toml: refuse (exit 7), before anything is executed, a run that it does not trust.",
)
@click.option("--dry-run", is_flag=True, help="Check the record and show what would run, without running it.")
@add_shared_options
def replay(
    settings: Settings,
    run: str,
    tracking_uri: str | None,
    lake: str | None,
    master: str | None,
    times: int,
    params: tuple[str, ...],
    data: tuple[str, ...],
    html: Path | None,
    trust: Path | None,
    dry_run: bool,
) -> None:
    """Rebuild a recorded run from its record alone, run it again, compare, give a verdict.

    RUN is an ID, the beginning of one, a name ("#435"), a tag, @latest, @latest~1, a folder with artifacts, or a bundle.
    Exit 0: REPRODUCED; 6: DIVERGED; 7: NOT
    REPLAYABLE. The command of the record is executed, with the variables that it names: `--dry-run` shows it first.
    """
    from reprolock.steps.locking.overrides import WhatIf, parse_param
    from reprolock.steps.replaying.replay import ReplayOptions  # the library is loaded when a command runs

    if html is not None and not html.absolute().parent.is_dir():
        raise UsageError(
            f"--html {html}: {html.parent} is not a folder",
            hint="make it first; the page is written when the replay has ended",
        )
    options = ReplayOptions(
        tracking_uri=tracking_uri,
        lake=lake,
        master=master,
        what_if=WhatIf(dict(parse_param(text) for text in params), dict(pairs("--data", data))),
        dry_run=dry_run,
        trust=trust,
        stdout=sys.stderr.fileno() if settings.json else None,
    )
    answers: list[Replayed] = []
    for _ in range(times):
        try:
            with ExitStack() as bars:
                bar = bars.enter_context(progress(settings, "Fetching inputs"))
                done = reprolock.replay(settings.root, run, options, _ReplayScreen(settings, bars.close), bar)
        except NotReplayable as error:
            settings.result({"run": run, "verdict": _verdict(error)})
            if html is not None:
                _write_refusal(settings, html, run, error)
            raise
        answers.append(done)
        _say(settings, done, dry_run)
        if done.replay.status == "KILLED":
            break
    if len(answers) > 1:
        _say_spread(settings, answers)
    settings.result(_document(answers))
    if html is not None and not dry_run:
        _write_page(settings, html, answers)
    _end(answers)


def _write_page(settings: Settings, html: Path, answers: list[Replayed]) -> None:
    """The page of the one replay, or of the first of several that did not reproduce."""
    from reprolock.steps.inspecting.report.html import report, write_report
    from reprolock.steps.project.machine import Machine  # the library is loaded when a command runs

    worst = next((answer for answer in answers if answer.verdict is not None and answer.verdict.exit_code), answers[-1])
    write_report(html, report(worst.recorded, replay=worst.replay, verdict=worst.verdict), Machine.here())
    settings.remark(f"Wrote {html}")


def _write_refusal(settings: Settings, html: Path, run: str, error: NotReplayable) -> None:
    """The page of a run that could not be tried."""
    from reprolock.model.verdict import not_replayable  # the library is loaded when a command runs
    from reprolock.steps.inspecting.report.html import refusal, write_report
    from reprolock.steps.project.machine import Machine

    write_report(html, refusal(run, not_replayable(error.message), error.problems, error.hint), Machine.here())
    settings.remark(f"Wrote {html}")


def _say(settings: Settings, done: Replayed, dry_run: bool) -> None:
    """One replay for people."""
    recorded, replay = done.recorded, done.replay
    if dry_run:
        settings.line(f"Code     {done.code}")
        settings.line(f"Would run  {command_line(replay.command)}")
        if replay.seed is not None:
            settings.line(f"Seed     {replay.seed}")
        for name, value in sorted(replay.env.items()):
            settings.line(f"Sets     {name}={command_line([value])}")
        if recorded.pass_env:
            settings.line(f"Passes   {', '.join(recorded.pass_env)}")
        return
    settings.remark(RULE)
    if done.verdict is None:
        if replay.status == "FINISHED":
            settings.rows(_changes(recorded, replay))
    else:
        settings.rows(
            [
                [
                    item.name,
                    item.how,
                    _brief(item.recorded),
                    _brief(item.found),
                    item.state + ", both empty" * (item.empty and item.passed),
                ]
                for item in done.verdict.comparisons
            ]
        )
        for item in done.verdict.comparisons:
            for sentence in item.differences:
                settings.line(f"  {item.name}: {sentence}")
        settings.line(RULE)
        reason = f"{done.verdict.kind}   {done.verdict.reason}"
        settings.line("   ".join([styled(reason, bold=True), *done.verdict.unlocked]))
        if done.verdict.kind == "DIVERGED" or done.verdict.differing:
            settings.line(done.verdict.inputs[0].upper() + done.verdict.inputs[1:])
            for sentence in replay.why if done.verdict.differing else ():
                settings.line(f"  {sentence}")
    settings.line(f"Recorded replay {replay.run_id[:8]} of {recorded.run_id[:8]}")
    if done.signer is not None:
        settings.line(f"Signed   the verdict, by {done.signer[:12]}")


def _brief(value: str | None) -> str:
    """A digest by its first eight digits, a number as it is."""
    if value is None:
        return "-"
    return short(value)[:8] if ":" in value else value


def _changes(recorded: Record, replay: Record) -> list[list[str]]:
    """What a what-if changed in the outcome."""
    from reprolock.model.verdict import displayed  # the library is loaded when a command runs

    rows = [["changed", "; ".join(replay.why)]] if replay.why else []
    for name in sorted(recorded.metrics.keys() | replay.metrics.keys()):
        values = [record.metrics.get(name) for record in (recorded, replay)]
        shown = [displayed(value) or "-" for value in values]
        rows.append([name, "same" if shown[0] == shown[1] else "changed", *shown])
    before = {output.name: output for output in recorded.outputs}
    for output in replay.outputs:
        old, new = before[output.name].compared, output.compared
        if old or new:  # with compare = "none", or where it could not be read, this is not known
            rows.append([output.name, "same" if old == new else "changed", _brief(old), _brief(new)])
    return rows


def _say_spread(settings: Settings, answers: list[Replayed]) -> None:
    """How far each metric moves from replay to replay, so that a tolerance can be chosen before it is promised."""
    from reprolock.model.verdict import displayed  # the library is loaded when a command runs

    rows = []
    for name in sorted({name for answer in answers for name in answer.replay.metrics}):
        values = [answer.replay.metrics[name] for answer in answers if name in answer.replay.metrics]
        low, high = min(values), max(values)
        if low == high:
            rows.append(
                [
                    name,
                    f"{counted(len(values), 'value')}, equal" if len(values) > 1 else "1 value",
                    displayed(low) or "-",
                ]
            )
            continue
        spread = high - low
        relative = spread / max(abs(low), abs(high)) if spread else 0.0
        rows.append(
            [
                name,
                f"{len(values)} values",
                f"{displayed(low)} to {displayed(high)}",
                f"spread {spread:.3g}",
                f"rel {relative:.1g}",
            ]
        )
    settings.line(f"Spread over {counted(len(answers), 'replay')}")
    settings.rows(rows, indent="  ")


def _document(answers: list[Replayed]) -> dict[str, object]:
    documents: list[dict[str, object]] = [
        {
            "recorded": answer.recorded.run_id,
            "replay": answer.replay.run_id,
            "folder": str(answer.folder),
            "code": str(answer.code),
            "command": list(answer.replay.command),
            "seed": answer.replay.seed,
            "env": dict(answer.replay.env),
            "pass_env": list(answer.replay.pass_env),
            "status": answer.replay.status,
            "verdict": answer.verdict.model_dump(mode="json") if answer.verdict else None,
            "metrics": json.loads(answer.replay.model_dump_json(include={"metrics"}))["metrics"],
        }
        for answer in answers
    ]
    return documents[0] if len(documents) == 1 else {"replays": documents}


def _end(answers: list[Replayed]) -> None:
    """The exit code: of the worst of the verdicts."""
    last = answers[-1].replay
    if answers[-1].verdict is None and last.ending is not None and (signal := last.interrupted_by):
        raise Interrupted(f"the replay was ended: {last.ending.reason}", signal_number=signal)
    for answer in answers:
        if answer.verdict is not None and answer.verdict.kind == "NOT REPLAYABLE":
            raise NotReplayable(
                f"run {answer.recorded.run_id[:8]} is not replayable: {answer.verdict.reason}",
                hint=f"what was found is in {answer.folder}",
            )
    for answer in answers:
        if answer.verdict is None and answer.replay.status not in ("FINISHED", "RUNNING"):
            raise CommandFailed(f"the command failed: {answer.replay.ending.reason if answer.replay.ending else ''}")
        if answer.verdict is not None and answer.verdict.kind == "DIVERGED":
            raise Diverged(
                f"the replay of {answer.recorded.run_id[:8]} diverged: {answer.verdict.reason}",
                hint=f"its outputs are in {answer.folder}",
            )


def _verdict(error: NotReplayable) -> dict[str, object]:
    """What stopped a replay, as the verdict that it is."""
    from reprolock.model.verdict import not_replayable  # only where it is printed

    return not_replayable(str(error)).model_dump(mode="json")
