"""Where a command of this folder finds MLflow: what is given, what repro.toml declares, what the environment says."""

from __future__ import annotations

from pathlib import Path

from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_spec
from reprolock.steps.machine import Machine
from reprolock.tracker.place import Place, find_place


def which_mlflow(root: Path, machine: Machine, given: str | None = None) -> Place:
    """A folder without a repro.toml, where others' runs are replayed or looked at, declares nothing."""
    declared = read_spec(root).mlflow.tracking_uri if given is None and (root / SPEC).exists() else None
    return find_place(declared, root, machine.environ, given)
