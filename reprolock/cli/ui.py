"""`ui`: open MLflow at the project's experiment."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from reprolock.cli.options import Settings, add_shared_options, tracking_option
from reprolock.cli.terminal import RESULT, flush
from reprolock.errors import MachineError

if TYPE_CHECKING:
    from reprolock.steps.maintenance.ui import Page

_STARTING_SECONDS = 120.0
_ENDING_SECONDS = 10.0


@click.command()
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="The port of the page.")
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
@tracking_option
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
    from reprolock.stack.process import is_free  # where a server is started

    if not is_free(port):
        raise MachineError(f"port {port} is taken by another program", hint="choose another one with --port")
    with TemporaryDirectory(prefix="reprolock-ui-", ignore_cleanup_errors=True) as folder:
        _serve(settings, found, port, no_browser, Path(folder))


def _serve(settings: Settings, found: Page, port: int, no_browser: bool, folder: Path) -> None:
    """Until Ctrl-C or another signal to end, in an empty folder: Python and MLflow's server import what stands where they are started."""
    from reprolock.engine.process_tree import MARKER, Tree
    from reprolock.stack.process import answers

    for name in ("SIGTERM", "SIGHUP"):  # a service manager, a terminal that is closed
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    server = subprocess.Popen(
        found.command,
        cwd=folder,
        env=dict(os.environ) | {"PYTHONSAFEPATH": "1", MARKER: str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _STARTING_SECONDS
        while not answers(port, "/health"):
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
        Tree(str(folder)).end(_ENDING_SECONDS)  # it, and the workers that it started
        server.wait()


def _show(settings: Settings, address: str, no_browser: bool) -> None:
    settings.line(address)
    if not no_browser:
        click.launch(address)
