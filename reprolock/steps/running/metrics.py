"""Check that a command logged every metric that `[metrics]` declares: a run without one could never be replayed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from reprolock.model.outcome import Ending
from reprolock.model.record import ChildRecord


def gather_metrics(own: Mapping[str, float], children: Sequence[ChildRecord]) -> dict[str, float]:
    """What the run logged, and of each metric that it did not, the value of the child that started last."""
    return {name: value for child in children for name, value in child.metrics.items()} | dict(own)


def judge_metrics(
    ending: Ending,
    declared: Collection[str],
    logged: Mapping[str, float],
    run_id: str,
    where: str,
    children: Sequence[ChildRecord] = (),
    elsewhere: str | None = None,
) -> Ending:
    """The ending, FAILED where the command itself ended well and a declared metric is missing.

    `logged` is what MLflow has of the run at the address `where`, and of the `children` that its command started.
    `elsewhere` is a sentence on a script that logs to another MLflow.
    """
    missing = [name for name in declared if name not in logged]
    if ending.status != "FINISHED" or not missing:
        return ending
    what = f"the declared {'metrics' if len(missing) > 1 else 'metric'} {', '.join(missing)}"
    has = f"has {', '.join(sorted(logged))}" if logged else "has no metric"
    others = f", with {', '.join(child.name or child.run_id[:8] for child in children)}," if children else ""
    reason = f"exit code 0, but it did not log {what}: MLflow's run {run_id[:8]} in {where}{others} {has}"
    if elsewhere:
        reason += f"; {elsewhere}"
    return ending._replace(status="FAILED", reason=reason)
