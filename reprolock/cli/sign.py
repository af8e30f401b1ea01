"""`sign`: a person's name and word under a run."""

from __future__ import annotations

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options, tracking_option
from reprolock.cli.run_name import RUN_OR_FILE


@click.command()
@click.argument("run", type=RUN_OR_FILE)
@click.option("--name", required=True, metavar="TEXT", help="The name of the person who signs.")
@click.option(
    "--meaning",
    default="approved",
    show_default=True,
    metavar="TEXT",
    help='What the signature means; "rejected" speaks against the run.',
)
@click.option("--comment", metavar="TEXT", help="A comment.")
@tracking_option
@add_shared_options
def sign(settings: Settings, run: str, name: str, meaning: str, comment: str | None, tracking_uri: str | None) -> None:
    """Sign a run, with all statements and verdicts on it. REPROLOCK_SIGNING_KEY names the key.

    RUN is an ID, the beginning of one, a name ("#435"), a tag, @latest, @latest~1, a folder with artifacts, or a bundle.
    A run whose parts do not agree is not signed: exit 7.
    """
    done = reprolock.sign(
        settings.root,
        run,
        name=name,
        meaning=meaning,
        comment=comment,
        tracking_uri=tracking_uri,
        warn=settings.warning,
    )
    settings.line(
        f"Signed run {done.record.run_id[:8]} as {name}: {meaning}   {done.kind} {done.key[:12]}, behind {done.behind} statements"
    )
    settings.result(
        {"run": done.record.run_id, "name": name, "meaning": meaning, "key": done.key, "behind": done.behind}
    )
