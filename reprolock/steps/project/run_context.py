"""`RunContext`: what every step of one run is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from reprolock.environment.caches import cache_folder
from reprolock.files.object_cache import ObjectCache
from reprolock.model.lock import DatasetPin
from reprolock.model.spec import Spec
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress


def _ignore(sentence: str) -> None:
    """No warning is shown."""


class RunContext(NamedTuple):
    """Where a run stands, what it is made from, and what it may ask.

    `root` is the project's folder: outputs go there, and runs have their folders below it. `spec` and `pins` are
    those of the run, with what --set and --data changed. `offline` asks no service. `rehearsing` (--dry-run) executes
    nothing foreign, no package's build code either. `hashing` hashes what is taken from this user's caches, whatever
    sizes and times say. `objects` is where data is kept, None: in this user's cache. `warn` is told what is worth a
    warning.
    """

    root: Path
    spec: Spec
    pins: tuple[DatasetPin, ...]
    machine: Machine
    progress: Progress = SILENT
    offline: bool = False
    rehearsing: bool = False
    hashing: bool = False
    objects: ObjectCache | None = None
    warn: Callable[[str], None] = _ignore

    @property
    def cache(self) -> ObjectCache:
        """Where data is kept on this machine."""
        return self.objects or ObjectCache(cache_folder(self.machine.environ) / "objects", hashing=self.hashing)
