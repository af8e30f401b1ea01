"""`Project`: a folder with its repro.toml and repro.lock, read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reprolock.files.lock_file import read_lock
from reprolock.files.spec_file import read_spec
from reprolock.model.lock import Lock
from reprolock.model.spec import Spec


class Project(NamedTuple):
    """The folder (absolute), what repro.toml declares, and what repro.lock pins (None: there is none)."""

    root: Path
    spec: Spec
    lock: Lock | None


def read_project(root: Path) -> Project:
    """Read both files. UsageError for an invalid repro.toml, LockError for a lock that cannot be taken."""
    root = root.resolve()
    return Project(root, read_spec(root), read_lock(root))
