"""`ui`: open MLflow at the project's experiment."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from reprolock.cli.options import Settings, add_shared_options
from reprolock.cli.terminal import RESULT, flush
from reprolock.errors import MachineError

if TYPE_CHECKING:
    from reprolock.steps.maintenance.ui import Page

_STARTING_SECONDS = 120.0


@click.command()
@click.option(
    "--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="Where the page is served."
)
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
@click.option("--tracking-uri", metavar="URI", help="MLflow tracking URI to use instead of the one in repro.toml.")
@add_shared_options
def ui(settings: Settings, port: int, no_browser: bool, tracking_uri: str | None) -> None:
    """Open MLflow at the project's experiment. Where runs are in a file, its page is served to this machine until Ctrl-C."""
    from reprolock.steps.maintenance.ui import page  # the library is loaded when a command runs

    found = page(settings.root, port, tracking_uri=tracking_uri)
    if settings.json:
        settings.result({"address": found.address})
        RESULT.say()  # a program that started this waits for it
        flush()
    if not found.command:
        _show(settings, found.address, no_browser)
        return
    if _listens(port):
        raise MachineError(f"port {port} is taken by another program", hint="choose another one with --port")
    with TemporaryDirectory(prefix="reprolock-ui-", ignore_cleanup_errors=True) as folder:
        _serve(settings, found, port, no_browser, Path(folder))


def _serve(settings: Settings, found: Page, port: int, no_browser: bool, folder: Path) -> None:
    """Until Ctrl-C, in an empty folder: Python and MLflow's server import what stands where they are started."""
    server = subprocess.Popen(
        found.command,
        cwd=folder,
        env=dict(os.environ) | {"PYTHONSAFEPATH": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _STARTING_SECONDS
        while not _listens(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise MachineError(
                    "MLflow's page could not be served", hint=f"run `mlflow ui --port {port}` to see what it says"
                )
            time.sleep(0.1)
        _show(settings, found.address, no_browser)
        settings.remark("Ctrl-C ends it")
        server.wait()
    except KeyboardInterrupt:
        settings.remark("")
    finally:
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """It, and the workers that it started."""
    import psutil  # only where a server runs

    with suppress(psutil.Error):
        every = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        for process in every:
            with suppress(psutil.Error):
                process.terminate()
        _, left = psutil.wait_procs(every, timeout=10)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
    server.wait()


def _show(settings: Settings, address: str, no_browser: bool) -> None:
    settings.line(address)
    if not no_browser:
        click.launch(address)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
