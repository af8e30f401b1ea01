"""`Outcome`: how a command ended and what it left."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Ending(NamedTuple):
    """How the process ended. `reason` is a sentence for people: "exit code 3", "time-out after 2h", "Ctrl-C"."""

    status: Status
    exit_code: int | None
    signal: int | None
    reason: str
    started: datetime
    ended: datetime

    @property
    def seconds(self) -> float:
        """How long the command ran."""
        return (self.ended - self.started).total_seconds()


class Output(NamedTuple):
    """One declared output as it was found. `files` is 0 and `digest` None when the run did not write it.

    `problem`: why what stands there is no output, such as a link that leads nowhere.
    """

    name: str
    path: str
    files: int
    bytes: int
    digest: str | None
    problem: str | None = None

    @property
    def missing(self) -> bool:
        """True when the run did not write it."""
        return self.digest is None


class Outcome(NamedTuple):
    """The ending, and the outputs in the order of repro.toml."""

    ending: Ending
    outputs: tuple[Output, ...]
