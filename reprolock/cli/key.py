"""`key`: make a pair of keys, and show one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from reprolock.cli.options import Settings, add_shared_options

if TYPE_CHECKING:
    from reprolock.signing.keys import PublicKey

_KINDS = ("ecdsa", "ed25519", "rsa")


@click.group()
def key() -> None:
    """Keys that sign the evidence of runs, replays and reviews.

    REPROLOCK_SIGNING_KEY names the private key: a PEM file, or a signer URI of securesystemslib.
    """


@key.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--type", "kind", type=click.Choice(_KINDS), default="ecdsa", show_default=True, help="Kind of key.")
@click.option(
    "--passphrase",
    "ask",
    is_flag=True,
    help="Ask for a passphrase; REPROLOCK_SIGNING_KEY_PASSPHRASE is used where it is set.",
)
@add_shared_options
def new(settings: Settings, file: Path, kind: str, ask: bool) -> None:
    """Make a pair: FILE has the private key (mode 0600), FILE.pub the public one, which you may give to others.

    An existing file is never overwritten.
    """
    from reprolock.signing.keys import PASSPHRASE, Kind, new_key, public_file  # loaded where a key is made

    choice: Kind = next(each for each in get_args(Kind) if each == kind)
    passphrase = os.environ.get(PASSPHRASE) or None
    if ask and passphrase is None:
        passphrase = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    path = settings.root / file
    made = new_key(path, choice, passphrase)
    protected = "with a passphrase" if passphrase else "without a passphrase"
    settings.line(f"Wrote {path}      private, mode 0600, {protected}")
    settings.line(f"Wrote {public_file(path)}  public: {made.kind}, {made.id[:12]}")
    settings.line(f"Next: export REPROLOCK_SIGNING_KEY={path.resolve()}")
    settings.result({"id": made.id, "kind": made.kind, "private": str(path), "public": str(public_file(path))})


@key.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@add_shared_options
def show(settings: Settings, file: Path | None) -> None:
    """Show a public key: of FILE, public or private, or of the key that REPROLOCK_SIGNING_KEY names. Never the private one."""
    found = _found(settings, file)
    settings.rows([["Kind", found.kind], ["ID", found.id]])
    for line in (found.pem or "").splitlines():
        settings.line(line)
    settings.result({"id": found.id, "kind": found.kind, "pem": found.pem})


def _found(settings: Settings, file: Path | None) -> PublicKey:
    from reprolock.errors import UsageError
    from reprolock.signing.keys import PASSPHRASE, open_key, read_private, read_public  # loaded where a key is read

    if file is not None:
        path = settings.root / file
        private = path.is_file() and b"PRIVATE KEY-----" in path.read_bytes()[: 1 << 16]
        return (
            read_private(path, os.environ.get(PASSPHRASE) or None, str(path)).public if private else read_public(path)
        )
    found = open_key(os.environ)
    if found is None:
        raise UsageError("REPROLOCK_SIGNING_KEY is not set, and no file is named", hint="`reprolock key show FILE`")
    return found.public
