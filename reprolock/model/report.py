"""`Report`: what changed between two revisions of a project, and what that did to its result. Values, no IO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict, computed_field

from reprolock.model.difference import Difference
from reprolock.model.record import Record
from reprolock.model.spec import Spec
from reprolock.model.value import Value
from reprolock.model.verdict import close, shown_tolerance

State = Literal["identical", "within tolerance", "beyond tolerance", "missing"]


class ReportSide(Value):
    """One revision, and its run; None without --run."""

    label: str = Field(description="The revision, as the caller named it.")
    commit: str | None = Field(None, description="Its git commit; None for files that are not committed.")
    run_id: str | None = Field(None, description="MLflow's ID of its run; None without --run.")
    found: bool = Field(False, description="The run was found, and not made for this report.")


class MetricChange(Value):
    """A declared metric on both sides; None where that side did not log it."""

    name: str = Field(description="Its name under [metrics].")
    before: float | None = Field(description="Its last value in the base's run.")
    after: float | None = Field(description="Its last value in the change's run.")
    tolerance: str = Field(
        description='As declared: "±1e-6", "±0.01 absolute", "exact"; "exact → ±0.1" where the change declares another.'
    )
    state: State = Field(description='What the tolerance says of both; "missing" where one run did not log it.')


class OutputChange(Value):
    """A declared output on both sides, by what a replay compares; None where that side does not have it."""

    name: str = Field(description="Its name under [outputs].")
    compare: str = Field(description="How a replay compares it, as the change declares: bytes, table or json.")
    before: str | None = Field(description="The digest that a replay compares, of the base's run.")
    after: str | None = Field(description="The same of the change's run.")
    equal: bool = Field(description="Both are there and equal.")


class RowChange(Value):
    """How many rows a dataset has on both sides, where its format tells."""

    name: str = Field(description="Its name under [datasets].")
    before: int | None = Field(description="Rows that the base's run had as its input.")
    after: int | None = Field(description="Rows that the change's run had as its input.")


class Report(Value):
    """Two sides, what differs in what went into them, and in what came out."""

    project: str = Field(description="project.name in repro.toml.")
    base: ReportSide = Field(description="Where the change parted from the revision that it is compared with.")
    head: ReportSide = Field(description="The project as it stands.")
    difference: Difference = Field(description="What went in: of the locks, or with --run of the runs.")
    rows: Annotated[tuple[RowChange, ...], Strict(False)] = Field((), description="Rows of each dataset, where known.")
    metrics: Annotated[tuple[MetricChange, ...], Strict(False)] = Field((), description="Each declared metric.")
    outputs: Annotated[tuple[OutputChange, ...], Strict(False)] = Field(
        (), description="Each declared output, but for those that nothing compares."
    )

    @computed_field(description="Declared metrics that left their tolerance, or that one side alone has.")  # type: ignore[prop-decorator]
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
            near = all(close(one, other, each.rel, each.abs) for each in tolerances)
            state = "identical" if close(one, other, 0, 0) else "within tolerance" if near else "beyond tolerance"
        texts = dict.fromkeys(_tolerance(spec, name) for spec in (old, new))
        found.append(MetricChange(name=name, before=one, after=other, tolerance=" → ".join(texts), state=state))
    return tuple(found)


def _tolerance(spec: Spec, metric: str) -> str:
    rule = spec.metrics.get(metric)
    return "none" if rule is None else shown_tolerance(rule.rel, rule.abs) or "exact"


def output_changes(before: Record, after: Record) -> tuple[OutputChange, ...]:
    """Each output that one side has, but for those that nothing compares."""
    olds, news = ({item.name: item for item in record.outputs} for record in (before, after))
    found = []
    for name, output in {**olds, **news}.items():
        if output.compare != "none":
            old, new = (side[name].decisive if name in side else None for side in (olds, news))
            equal = old is not None and old == new
            found.append(OutputChange(name=name, compare=output.compare, before=old, after=new, equal=equal))
    return tuple(found)


def row_changes(before: Record, after: Record) -> tuple[RowChange, ...]:
    """Each dataset whose number of rows is known on a side."""
    olds, news = ({item.name: item.rows for item in record.datasets} for record in (before, after))
    found = (RowChange(name=name, before=olds.get(name), after=news.get(name)) for name in {**olds, **news})
    return tuple(each for each in found if each.before is not None or each.after is not None)
