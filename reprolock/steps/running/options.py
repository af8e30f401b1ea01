"""What `run` is asked for, as values: the command line's options without the command line."""

from __future__ import annotations

from typing import NamedTuple

from reprolock.model.lock import DatasetPin
from reprolock.steps.locking.overrides import WhatIf


class Part(NamedTuple):
    """A run that is a part of a sweep, beside others in this process.

    `parent` is MLflow's ID of the run that it is nested in; `pins` are the datasets of --data, resolved once for all; `output` is
    a descriptor for what the command prints; `signals` are those that this process received. What it writes stays in the run's
    folder, for all parts of a sweep write to the same paths.
    """

    parent: str
    pins: tuple[DatasetPin, ...]
    output: int
    signals: list[int]


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
    part: Part | None = None
