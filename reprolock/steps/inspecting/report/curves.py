"""`CurveChart`: one metric of several runs, step by step, placed for a picture. Values, no IO."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

from reprolock.steps.inspecting.report.chart import LEFT, RIGHT, WIDTH, Label, upright

_MOST_POINTS = 300
"""More than a picture of this width can show."""


class Series(NamedTuple):
    """One run: what it is called, and its values with their steps."""

    told: str
    values: Sequence[tuple[int, float]]


class Curve(NamedTuple):
    """One run as it is drawn. `kind` numbers its colour and its dashes."""

    line: str
    told: str
    kind: int


class CurveChart(NamedTuple):
    """A picture of WIDTH by HEIGHT."""

    title: str
    curves: tuple[Curve, ...]
    across: tuple[Label, ...]
    up: tuple[Label, ...]


def curve_chart(title: str, series: Sequence[Series], kinds: int) -> CurveChart | None:
    """Steps go across. None where no run has a number to draw."""
    drawn = [
        Series(each.told, _thinned([(step, value) for step, value in each.values if isfinite(value)]))
        for each in series
    ]
    points = [point for each in drawn for point in each.values]
    if not points:
        return None
    first, last = min(step for step, _ in points), max(step for step, _ in points)
    up, labels_up = upright([value for _, value in points])

    def across(step: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (step - first) / ((last - first) or 1), 1)

    curves = tuple(
        Curve(" ".join(f"{across(step)},{up(value)}" for step, value in each.values), each.told, number % kinds)
        for number, each in enumerate(drawn)
        if each.values
    )
    ends = (first, (first + last) // 2, last)
    return CurveChart(
        title,
        curves,
        tuple(Label(across(step), str(step)) for step in dict.fromkeys(ends)),
        labels_up,
    )


def _thinned(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """No more than can be seen, the last one always."""
    stride = -(-len(values) // _MOST_POINTS) or 1
    return values[::stride] + (values[-1:] if values and (len(values) - 1) % stride else [])
