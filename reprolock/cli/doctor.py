"""`doctor`: what is missing on this machine."""

from __future__ import annotations

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options
from reprolock.errors import MachineError


@click.command()
@add_shared_options
def doctor(settings: Settings) -> None:
    """Say what is missing on this machine, and how to get it."""
    findings = reprolock.doctor(settings.root)
    settings.rows(
        [
            ["ok" if finding.ok else "missing" if finding.needed else "-", finding.name, finding.found]
            for finding in findings
        ]
    )
    for finding in findings:
        if not finding.ok and finding.hint:
            settings.line(f"hint: {finding.name}: {finding.hint}")
    settings.result({"findings": [finding._asdict() for finding in findings]})
    wrong = [finding.name for finding in findings if finding.needed and not finding.ok]
    if wrong:
        raise MachineError(f"not ready: {', '.join(wrong)}", hint="the hints above say how to get what is missing")
