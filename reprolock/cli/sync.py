"""`sync`: send records that could not reach MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options

if TYPE_CHECKING:
    pass


@click.command()
@click.option("--tracking-uri", metavar="URI", help="MLflow tracking URI to use instead of the one in repro.toml.")
@add_shared_options
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
