"""What `run` is asked for, as values: the command line's options without the command line."""

from __future__ import annotations

from typing import NamedTuple

from reprolock.steps.locking.overrides import WhatIf


class RunOptions(NamedTuple):
    """What `reprolock run` was asked for. `tag`, `merge` and `publish_to`, a branch instead of the declared ones, are about
    what is published to the lake; `openlineage` is the address of a catalogue; `lake` and `tracking_uri` stand in for what
    repro.toml declares; `stdout` is a descriptor for the command's output, None for ours."""

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
    publish_to: str | None = None
    publishing_off: bool = False
    openlineage: str | None = None
    lake: str | None = None
    tracking_uri: str | None = None
    stdout: int | None = None
