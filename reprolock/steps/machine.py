"""`Machine`: what a step may know of the machine it runs on, handed in and never looked up twice."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple


def _now() -> datetime:
    return datetime.now(UTC)


class Machine(NamedTuple):
    """Variables, home, cores, interpreter and clock. `now()` is UTC."""

    environ: Mapping[str, str]
    home: Path
    cores: int
    python: Path
    now: Callable[[], datetime] = _now

    @classmethod
    def here(cls) -> Machine:
        """This process's own."""
        return cls(dict(os.environ), Path.home(), os.cpu_count() or 1, Path(sys.executable))
