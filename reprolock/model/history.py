"""`PastRun`: one line of a project's history, and what changed from the run before. Values, no IO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field, Strict

from reprolock.model.record import Measured
from reprolock.model.value import Value

Strings = Annotated[tuple[str, ...], Strict(False)]


class Inputs(Value):
    """What went into a run, as far as a list of runs compares it."""

    data: dict[str, str] = Field({}, description="Dataset → the commit that was read.")
    params: dict[str, str] = Field({}, description="Param → its value as MLflow has it.")
    code: str | None = Field(None, description="The code's digest.")
    observed: str | None = Field(None, description="The digest of all that was found: software, settings, command too.")


class PastRun(Value):
    """One recorded run. `changed`: against the run before it, whichever project folder that was made in."""

    run_id: str = Field(description="The run's ID.")
    name: str = Field("", description="Its name in MLflow.")
    started: datetime = Field(description="When it started, UTC.")
    status: str = Field(description="RUNNING, FINISHED, FAILED or KILLED.")
    mode: str = Field(
        "", description="isolated, in-place or interactive, as the run's record says; empty where MLflow does not."
    )
    inputs: Inputs = Field(description="What went into it.")
    metrics: dict[str, Measured] = Field({}, description="Last value of each metric.")
    verdicts: Strings = Field((), description="What its replays found, by MLflow's tags.")
    changed: Strings = Field((), description="What is not as in the run before it.")

    @property
    def outcome(self) -> str:
        """The status as a list of runs shows it: a run that no replay can repeat is told apart at a glance."""
        interactive = ", interactive" if self.mode == "interactive" else ""
        return self.status.lower() + interactive


def with_changes(newest_first: Sequence[PastRun]) -> list[PastRun]:
    """The same runs, each with what changed against the next older one."""
    older = [*newest_first[1:], None][: len(newest_first)]
    return [
        run.replaced({"changed": tuple(_changes(before.inputs, run.inputs)) if before else ()})
        for run, before in zip(newest_first, older, strict=True)
    ]


def varying(runs: Sequence[PastRun]) -> list[str]:
    """Params that not all of the runs have with one value, in the order of their names."""
    names = sorted({name for run in runs for name in run.inputs.params})
    return [name for name in names if len({run.inputs.params.get(name) for run in runs}) > 1]


def _changes(old: Inputs, new: Inputs) -> Iterator[str]:
    yield from _moved(
        "data ",
        {name: commit[:7] for name, commit in old.data.items()},
        {name: commit[:7] for name, commit in new.data.items()},
    )
    yield from _moved("", old.params, new.params)
    same = (old.data, old.params) == (new.data, new.params)
    if old.code != new.code:
        yield "code"
    elif same and old.observed != new.observed:
        yield "environment or command"


def _moved(prefix: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            yield f"{prefix}{name} {'added' if before is None else 'removed'}"
        elif before != after:
            yield f"{prefix}{name} {before} → {after}"
