"""`Lineage`: what Spark read and wrote, compared with what was declared. Part of a `Record`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from reprolock.model.value import Value

Strings = Annotated[tuple[str, ...], Strict(False)]

NOT_OBSERVED = "plain file access was not observed"
"""What no listener observes; every record says so."""


class Read(Value):
    """One location that Spark read."""

    uri: str = Field(
        description="lakefs://… at the commit for a dataset; a path in the run's folder; else as Spark named it."
    )
    kind: Literal["dataset", "own", "moving", "undeclared"] = Field(
        description="dataset: declared. own: the code, or what the run itself wrote. moving: a branch of the lake. undeclared: all else."
    )
    dataset: str | None = Field(None, description="The dataset that declares it.")

    @property
    def sentence(self) -> str:
        """What is wrong with an undeclared read."""
        if self.kind == "moving":
            return f"Spark read {self.uri}, a ref that moves and no dataset pins"
        return f"Spark read {self.uri}, which no dataset declares"


class Write(Value):
    """One location that Spark wrote."""

    uri: str = Field(description="A path in the run's folder, or as Spark named it.")
    output: str | None = Field(None, description="The output that declares it.")
    columns: dict[str, Strings] = Field(
        {}, description="Column → URI#COLUMN of each column that it was made from, where Spark reports it."
    )


class Lineage(Value):
    """What was observed of a run, and what could not be."""

    coverage: str = Field(description="What was observed, and what was not.")
    observed: bool = Field(False, description="Whether Spark's reads and writes were observed.")
    sessions: int = Field(0, description="Spark sessions that were seen to start.")
    reads: Annotated[tuple[Read, ...], Strict(False)] = Field(
        (), description="What OpenLineage's listener reported as read, each location once."
    )
    writes: Annotated[tuple[Write, ...], Strict(False)] = Field(
        (), description="What it reported as written, each location once."
    )
    unlocked: Strings = Field(
        (),
        description="Jars and settings that a session brought from outside the lock, from its own environment report.",
    )

    @property
    def undeclared(self) -> tuple[Read, ...]:
        """Reads that no dataset pins."""
        return tuple(read for read in self.reads if read.kind in ("moving", "undeclared"))
