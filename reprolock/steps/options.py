"""What a person asked of a step, as values: the command line's options without the command line."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from reprolock.steps.what_if import WhatIf


class LockOptions(NamedTuple):
    """What `reprolock lock` was asked for. `as_of` carries an offset."""

    upgrade: bool = False
    upgrade_datasets: tuple[str, ...] = ()
    upgrade_packages: tuple[str, ...] = ()
    as_of: datetime | None = None
    strict: bool = False
    offline: bool = False
    dry_run: bool = False


class RunOptions(NamedTuple):
    """What `reprolock run` was asked for. `tag` and `merge` are about what is published to the lake, `openlineage` is
    the address of a catalogue; `stdout` is a descriptor for the command's output, None for ours."""

    what_if: WhatIf = WhatIf()
    locked: bool = False
    relock: bool = False
    in_place: bool = False
    offline: bool = False
    dry_run: bool = False
    if_changed: bool = False
    name: str | None = None
    tag: str | None = None
    merge: bool = False
    publishing_off: bool = False
    openlineage: str | None = None
    stdout: int | None = None
