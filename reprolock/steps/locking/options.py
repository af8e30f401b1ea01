"""What `lock` is asked for, as values: the command line's options without the command line."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class LockOptions(NamedTuple):
    """What `reprolock lock` was asked for. `as_of` carries an offset."""

    upgrade: bool = False
    upgrade_datasets: tuple[str, ...] = ()
    upgrade_packages: tuple[str, ...] = ()
    as_of: datetime | None = None
    strict: bool = False
    offline: bool = False
    dry_run: bool = False
    no_build: bool = False
