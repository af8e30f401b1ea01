"""`ui`: find MLflow's page of the project's runs, or serve one where the runs are in a file."""

from __future__ import annotations

import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import UsageError
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_spec
from reprolock.parts import needed
from reprolock.steps.project.locate import which_mlflow
from reprolock.steps.project.machine import Machine
from reprolock.tracker import open_tracker
from reprolock.tracker.tracking_uri import for_sqlalchemy


class Page(NamedTuple):
    """The page of the project's experiment, and the command that serves it; () where a server does already."""

    address: str
    command: tuple[str, ...]


def page(root: Path, port: int, *, tracking_uri: str | None = None, machine: Machine | None = None) -> Page:
    """The runs of the project's experiment; the list of all experiments where there is no repro.toml, or none has run yet.

    `port` is that of the server on this machine, which only this machine can reach. UsageError for an MLflow without pages.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    place = which_mlflow(root, machine, tracking_uri)
    if not place.is_server and place.file is None:
        raise UsageError(
            f"MLflow at {place} has no web page that reprolock knows", hint="ask its owner for the address"
        )
    experiment = read_spec(root).experiment if (root / SPEC).exists() else None
    with closing(open_tracker(place, machine.environ, machine.home)) as tracker:
        found = tracker.experiment_id(experiment) if experiment is not None else None
    below = f"#/experiments/{found}" if found else ""
    if place.is_server:
        return Page(f"{place.shown.rstrip('/')}/{below}", ())
    if not found:
        raise UsageError(f"nothing is recorded in {place} yet", hint="`reprolock run` records a run there")
    with needed("mlflow", f"MLflow at {place.shown}"):
        store = for_sqlalchemy(place.uri, version("sqlalchemy"))
    serving = ("ui", "--backend-store-uri", store, "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    return Page(f"http://127.0.0.1:{port}/{below}", (sys.executable, "-m", "mlflow", *serving))
