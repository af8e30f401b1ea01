"""The lake and the MLflow that a command of this folder works on: what is given, declared, or configured."""

from __future__ import annotations

from pathlib import Path

from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_spec
from reprolock.lake.open import check_endpoint, open_lake
from reprolock.lake.protocol import Lake
from reprolock.steps.project.machine import Machine
from reprolock.tracker.tracking_uri import Place, find_place

EMBEDDED = "file:lake"
"""The embedded lake of a project that names no other."""


def lake_endpoint(root: Path, given: str | None, machine: Machine) -> str | None:
    """`given` (--lake), else repro.toml's, else the folder `lake`, else None: lakectl's own, if it has one.

    UsageError where what is given is not a lake's endpoint.
    """
    if given is not None:
        check_endpoint(given, "--lake")
        return given
    if (root / SPEC).exists():
        return read_spec(root).lake.endpoint
    configured = "LAKECTL_SERVER_ENDPOINT_URL" in machine.environ or (machine.home / ".lakectl.yaml").exists()
    return EMBEDDED if (root / "lake").is_dir() or not configured else None


def open_the_lake(root: Path, given: str | None = None, machine: Machine | None = None) -> Lake:
    """Open the lake that `lake_endpoint` chooses; the caller closes it."""
    machine = machine or Machine.here()
    root = root.resolve()
    declared_in = "--lake" if given else SPEC
    return open_lake(lake_endpoint(root, given, machine), root, machine.environ, machine.home, declared_in=declared_in)


def which_mlflow(root: Path, machine: Machine, given: str | None = None) -> Place:
    """A folder without a repro.toml, where others' runs are replayed or looked at, declares nothing."""
    declared = read_spec(root).mlflow.tracking_uri if given is None and (root / SPEC).exists() else None
    return find_place(declared, root, machine.environ, given)
