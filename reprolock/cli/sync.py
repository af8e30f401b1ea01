"""`sync`: send records that could not reach MLflow."""

from __future__ import annotations

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options, tracking_option


@click.command()
@tracking_option
@add_shared_options
def sync(settings: Settings, tracking_uri: str | None) -> None:
    """Send records that could not reach MLflow."""
    answers = reprolock.sync(settings.root, tracking_uri=tracking_uri)
    failed = [answer.error for answer in answers if answer.error is not None]
    for answer in answers:
        for remark in answer.remarks:
            settings.warning(f"run {answer.run_id[:8]}: {remark}")
        if answer.error is None:
            settings.line(
                f"Sent run {answer.run_id[:8]}"
                + (f" as {answer.mlflow_run[:8]}" if answer.mlflow_run != answer.run_id else "")
            )
        else:
            said = answer.error.message
            why = "" if said == failed[0].message else f": {said}"  # the first is the error that this ends with
            settings.warning(f"run {answer.run_id[:8]} stays{why}")
    if not answers:
        settings.line("Nothing to send")
    sent = [
        {"run_id": answer.run_id, "mlflow_run": answer.mlflow_run, "error": answer.error and answer.error.message}
        for answer in answers
    ]
    settings.result({"sent": sent})
    if failed:
        raise failed[0]
