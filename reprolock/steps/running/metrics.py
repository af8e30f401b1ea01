"""Whether a command logged every metric that `[metrics]` declares: a run without one could never be replayed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from reprolock.model.outcome import Ending


def judge_metrics(
    ending: Ending, declared: Collection[str], logged: Mapping[str, float], run_id: str, where: str
) -> Ending:
    """The ending, FAILED where the command itself ended well and a declared metric is missing.

    `logged` is what MLflow has of the run at the address `where`.
    """
    missing = [name for name in declared if name not in logged]
    if ending.status != "FINISHED" or not missing:
        return ending
    what = f"the declared {'metrics' if len(missing) > 1 else 'metric'} {', '.join(missing)}"
    has = f"has {', '.join(sorted(logged))}" if logged else "has no metric"
    reason = f"exit code 0, but it did not log {what}: MLflow's run {run_id[:8]} in {where} {has}"
    return ending._replace(status="FAILED", reason=reason)
