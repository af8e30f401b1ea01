"""`trust`: the addresses that the user's credentials may go to."""

from __future__ import annotations

import click

import reprolock
from reprolock.cli.options import Settings, add_shared_options


@click.command()
@click.argument("url", required=False)
@click.option("--list", "listed", is_flag=True, help="List the trusted addresses.")
@click.option("--remove", is_flag=True, help="Trust the address no longer.")
@add_shared_options
def trust(settings: Settings, url: str | None, listed: bool, remove: bool) -> None:
    """Let credentials of the environment go to the server at URL, even where only a repro.toml or a record names it.

    The scheme, host and port are kept in your own configuration folder. The server that
    MLFLOW_TRACKING_URI names needs no such confirmation.
    """
    if listed == (url is not None):
        raise click.UsageError("name one address, or --list")
    if remove and url is None:
        raise click.UsageError("--remove needs an address")
    known = reprolock.trust(url, remove=remove)
    for address in known if listed else ():
        settings.line(address)
    if listed and not known:
        settings.line("No address is trusted; `reprolock trust URL` confirms one")
    if url is not None:
        settings.line("Trusted no longer" if remove else "Trusted: credentials of the environment may go there")
    settings.result({"trusted": list(known)})
