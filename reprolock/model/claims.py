"""`Audit`: what is claimed of a run, by which keys, and whether it is all that an auditor asks for. Values alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from reprolock.model.value import Value

Strings = Annotated[tuple[str, ...], Strict(False)]
Topic = Literal["rules", "data", "software", "result", "replayed", "reviewed", "held", "online"]


class Claim(Value):
    """One thing that is said of the run."""

    topic: Topic
    says: str = Field(description="What is claimed, for people.")
    by: str = Field(description="Whose signature it rests on, or what else.")
    stamped: datetime | None = Field(None, description="When an authority time-stamped it, UTC.")


class StatementRow(Value):
    """One line of attestations.jsonl."""

    kind: Literal["intent", "run", "verdict", "review", "hold", "unknown"]
    key: str = Field(description="ID of the key that its envelope names.")
    signer: str | None = Field(description="The key's name in trust.toml; None: it has none there.")
    created: datetime | None = Field(None, description="By the signer's clock, UTC.")
    stamped: datetime | None = Field(None, description="By a trusted time-stamping authority, UTC.")


class Audit(Value):
    """The whole of an audit. `reasons` are why the run is not trusted, the first that was found first."""

    run: str = Field(description="The run's ID.")
    name: str = Field("", description="The run's name in MLflow.")
    project: str
    outcome: Literal["TRUSTED", "NOT TRUSTED"]
    reasons: Strings = ()
    claims: Annotated[tuple[Claim, ...], Strict(False)] = ()
    author_alone: Strings = Field((), description="What rests on the word of the run's author alone.")
    remarks: Strings = ()
    statements: Annotated[tuple[StatementRow, ...], Strict(False)] = ()
    asked: str = Field("", description="What trust.toml asks for, and how much of it is there.")

    @model_validator(mode="after")
    def _outcome_rests_on_reasons(self) -> Audit:
        if (self.outcome == "TRUSTED") == bool(self.reasons):
            raise ValueError("TRUSTED needs no reason against it, and NOT TRUSTED at least one")
        return self
