"""`Report`: what changed between two revisions of a project, and what that did to its result. Values, no IO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from reprolock.model.difference import Difference
from reprolock.model.record import OutputRecord, Record
from reprolock.model.spec import Spec
from reprolock.model.value import Value
from reprolock.model.verdict import close, shown_tolerance

State = Literal["identical", "within tolerance", "beyond tolerance", "missing"]


class ReportSide(Value):
    """One revision, and its run; None without --run."""

    label: str = Field(description="The revision, as the caller named it.")
    commit: str | None = Field(None, description="Its git commit; None for files that are not committed.")
    run_id: str | None = None
    found: bool = Field(False, description="The run was found, and not made for this report.")


class MetricChange(Value):
    """A declared metric on both sides; None where that side did not log it."""

    name: str
    before: float | None
    after: float | None
    tolerance: str = Field(
        description='As declared: "±1e-6", "±0.01 absolute", "exact"; "exact → ±0.1" where the change declares another.'
    )
    state: State


class OutputChange(Value):
    """A declared output on both sides, by what a replay compares; None where that side does not have it."""

    name: str
    compare: str
    before: str | None
    after: str | None
    equal: bool


class RowChange(Value):
    """How many rows a dataset has on both sides, where its format tells."""

    name: str
    before: int | None
    after: int | None


class Report(Value):
    """Two sides, what differs in what went into them, and in what came out."""

    project: str
    base: ReportSide
    head: ReportSide
    difference: Difference = Field(description="What went in: of the locks, or with --run of the runs.")
    rows: Annotated[tuple[RowChange, ...], Strict(False)] = ()
    metrics: Annotated[tuple[MetricChange, ...], Strict(False)] = ()
    outputs: Annotated[tuple[OutputChange, ...], Strict(False)] = ()

    @property
    def beyond(self) -> tuple[str, ...]:
        """Declared metrics that left their tolerance, or that one side alone has."""
        return tuple(each.name for each in self.metrics if each.state in ("beyond tolerance", "missing"))


def metric_changes(old: Spec, new: Spec, before: Record, after: Record) -> tuple[MetricChange, ...]:
    """Each metric of either side's `[metrics]`, by the tolerance of both: a change cannot loosen the rule that it is judged by."""
    found = []
    for name in dict.fromkeys([*old.metrics, *new.metrics]):
        tolerances = [spec.metrics[name] for spec in (old, new) if name in spec.metrics]
        one, other = before.metrics.get(name), after.metrics.get(name)
        state: State = "missing"
        if one is not None and other is not None:
            same = one == other or (one != one and other != other)
            near = all(close(one, other, each.rel, each.abs) for each in tolerances)
            state = "identical" if same else "within tolerance" if near else "beyond tolerance"
        texts = [
            shown_tolerance(spec.metrics[name].rel, spec.metrics[name].abs) or "exact"
            if name in spec.metrics
            else "none"
            for spec in (old, new)
        ]
        shown = texts[0] if texts[0] == texts[1] else " → ".join(texts)
        found.append(MetricChange(name=name, before=one, after=other, tolerance=shown, state=state))
    return tuple(found)


def output_changes(before: Record, after: Record) -> tuple[OutputChange, ...]:
    """Each output that one side has, but for those that nothing compares."""
    olds, news = ({item.name: item for item in record.outputs} for record in (before, after))
    found = []
    for name in [*news, *(name for name in olds if name not in news)]:
        one, other = olds.get(name), news.get(name)
        compare = (other or one).compare  # type: ignore[union-attr]  # one of them is there
        if compare != "none":
            digests = [_digest(each) for each in (one, other)]
            equal = digests[0] is not None and digests[0] == digests[1]
            found.append(OutputChange(name=name, compare=compare, before=digests[0], after=digests[1], equal=equal))
    return tuple(found)


def row_changes(before: Record, after: Record) -> tuple[RowChange, ...]:
    """Each dataset whose number of rows is known on a side."""
    olds, news = ({item.name: item.rows for item in record.datasets} for record in (before, after))
    names = [*news, *(name for name in olds if name not in news)]
    found = (RowChange(name=name, before=olds.get(name), after=news.get(name)) for name in names)
    return tuple(each for each in found if each.before is not None or each.after is not None)


def _digest(output: OutputRecord | None) -> str | None:
    return (output.compared or output.digest) if output else None
