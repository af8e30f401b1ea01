"""`audit`: is a run what it claims to be, by public keys alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options, tracking_option
from reprolock.cli.run_name import RUN_OR_FILE
from reprolock.cli.screen import RULE
from reprolock.cli.terminal import styled

if TYPE_CHECKING:
    from reprolock.model.claims import Audit, Claim


@click.command()
@click.argument("run", type=RUN_OR_FILE)
@click.option(
    "--trust",
    "trust",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="trust.toml: the keys that you trust, and what you require.",
)
@click.option(
    "--threshold",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many keys must have signed REPRODUCED, instead of trust.toml's.",
)
@click.option(
    "--statements",
    "more",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Further statements: attestations.jsonl of another machine's replay.",
)
@click.option("--online", is_flag=True, help="Ask MLflow and the lake, too, what they say of the run today.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the audit as one self-contained page.",
)
@click.option(
    "--lake", metavar="ENDPOINT", help="With --online: lake endpoint to use instead of the one in the record."
)
@tracking_option
@add_shared_options
def audit(
    settings: Settings,
    run: str,
    trust: Path,
    threshold: int | None,
    more: tuple[Path, ...],
    online: bool,
    html: Path | None,
    tracking_uri: str | None,
    lake: str | None,
) -> None:
    """Check what is claimed of a run, with public keys only: rules, data, software, result, verdicts. Executes nothing.

    RUN is an ID, the beginning of one, a name ("#435"), a tag, @latest, @latest~1, a folder with artifacts, or a bundle.
    Exit 0 when all that trust.toml asks for is
    there; 7, with the first reason, when it is not.
    """
    from reprolock.steps.evidence.audit import refusal  # the library is loaded when a command runs

    found = reprolock.audit(
        settings.root,
        run,
        trust,
        threshold=threshold,
        statements=more,
        online=online,
        tracking_uri=tracking_uri,
        lake=lake,
    )
    if html is not None:
        from reprolock.steps.inspecting.report.html import audit_page, write_report  # jinja2, where a page is wanted
        from reprolock.steps.project.machine import Machine

        write_report(html, audit_page(found), Machine.here())
        settings.remark(f"Wrote {html}")
    settings.result(json.loads(found.model_dump_json()))
    if found.reasons:
        raise refusal(found)
    _say(settings, found)


def _say(settings: Settings, found: Audit) -> None:
    """The claims, one a line."""
    settings.line(f"audit of run {found.run[:8]} of {found.project}")
    settings.rows([[claim.topic, claim.says, _by(claim)] for claim in found.claims])
    settings.line(RULE)
    settings.line(f"{styled(found.outcome, bold=True)}   {found.asked}: all that trust.toml asks for")
    for sentence in found.author_alone:
        settings.line(f"rests only on the author's word: {sentence}")
    for sentence in found.remarks:
        settings.line(f"remark: {sentence}")


def _by(claim: Claim) -> str:
    return f"{claim.by}, time-stamped {claim.stamped:%Y-%m-%d %H:%M:%S}Z" if claim.stamped else claim.by
