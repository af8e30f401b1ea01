"""`stack`: a local lakeFS on an object store, and an MLflow server."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from reprolock.cli.options import Settings, add_shared_options

if TYPE_CHECKING:
    from reprolock.stack.verbs import Stack

NAMES = ("store", "lakefs", "mlflow")
STORES = ("minio", "versitygw", "seaweedfs")
PORT = click.IntRange(1, 65535)


@click.group()
def stack() -> None:
    """Run a real lakeFS on a real object store, and an MLflow server, for this project alone.

    They are local processes on loopback; their data and credentials are in .reprolock/stack/.
    """


@stack.command()
@click.option("--store", type=click.Choice(STORES), help="The object store; default: that of the last start, or minio.")
@click.option("--store-port", type=PORT, help="The port of the object store; default: a free one.")
@click.option("--lakefs-port", type=PORT, help="The port of lakeFS.")
@click.option("--mlflow-port", type=PORT, help="The port of MLflow.")
@click.option(
    "--install", is_flag=True, help="Install the store and lakefs in their official ways where they are not on PATH."
)
@add_shared_options
def up(
    settings: Settings,
    store: str | None,
    store_port: int | None,
    lakefs_port: int | None,
    mlflow_port: int | None,
    install: bool,
) -> None:
    """Start the servers that are not running, and wait until they answer. Credentials and data are those of the last start."""
    from reprolock.stack.verbs import up as start  # loaded when the command runs

    given = dict(zip(NAMES, (store_port, lakefs_port, mlflow_port), strict=True))
    ports = {name: port for name, port in given.items() if port is not None}
    done = start(settings.root, ports, store=store, install=install, tell=settings.remark)
    if done.changed:
        settings.rows(
            [
                [server.title, "started" if server.name in done.changed else "was up", server.endpoint or ""]
                for server in done.servers
            ]
        )
        settings.line('Next: eval "$(reprolock stack env)"')
    else:
        settings.line("The stack is already running.")
    settings.result(_document(done))


@stack.command()
@click.option("--purge", is_flag=True, help="Remove its data and credentials too.")
@add_shared_options
def down(settings: Settings, purge: bool) -> None:
    """Stop every server; the data stays for the next `up`."""
    from reprolock.stack.verbs import down as stop  # loaded when the command runs

    done = stop(settings.root, purge=purge)
    titles = [server.title for server in done.servers if server.name in done.changed]
    settings.line(f"Ended {', '.join(titles)}" if titles else "The stack was not running.")
    if purge:
        settings.line("Its data was removed.")
    settings.result({**_document(done), "purged": purge})


@stack.command()
@add_shared_options
def status(settings: Settings) -> None:
    """Say which servers are up, and where."""
    from reprolock.stack.verbs import status as asked  # loaded when the command runs

    found = asked(settings.root)
    words = {"up": "up", "silent": "no answer", "down": "down"}
    settings.rows(
        [
            [
                server.title,
                words[server.state],
                server.endpoint or "never started",
                f"process {server.pid}" if server.pid else "",
            ]
            for server in found.servers
        ]
    )
    settings.result(_document(found))


@stack.command()
@add_shared_options
def env(settings: Settings) -> None:
    """Print what a shell has to export to use the stack.

    Credentials are included: `eval "$(reprolock stack env)"`. A project whose repro.toml names no lake and no MLflow then uses these.
    """
    from reprolock.stack.verbs import variables  # loaded when the command runs

    found = variables(settings.root)
    for name, value in found.items():
        settings.line(f"export {name}={shlex.quote(value)}")
    settings.result(found)


@stack.command()
@click.argument("server", required=False, type=click.Choice(NAMES))
@click.option(
    "-n", "--lines", type=click.IntRange(min=1), default=20, show_default=True, help="At most this many lines."
)
@add_shared_options
def logs(settings: Settings, server: str | None, lines: int) -> None:
    """Print the last lines of the servers' logs, without secrets."""
    from reprolock.stack.verbs import logs as read  # loaded when the command runs

    found = read(settings.root, server, lines)
    for name, said in found.items():
        for line in said:
            settings.line(line if server else f"{name:<6}  {line}")
    settings.result(found)


def _document(found: Stack) -> dict[str, object]:
    servers = [{**server._asdict(), "log": str(server.log)} for server in found.servers]
    return {"folder": str(found.folder), "up": found.is_up, "changed": list(found.changed), "servers": servers}
