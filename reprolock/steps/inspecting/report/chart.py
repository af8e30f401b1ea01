"""`Chart`: one metric of several runs against what was varied, placed for a picture. Values, no IO."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT = 62, 16
_TOP, _BOTTOM = 14, 34
_MOST_LABELS = 8


class Dot(NamedTuple):
    """One run: where it is drawn, what it is, and whether it is the best."""

    x: float
    y: float
    told: str
    best: bool


class Label(NamedTuple):
    """A text at a place on an axis."""

    at: float
    text: str


class Chart(NamedTuple):
    """A picture of WIDTH by HEIGHT. `line` leads through the mean of the runs that share a value."""

    title: str
    dots: tuple[Dot, ...]
    line: str
    across: tuple[Label, ...]
    up: tuple[Label, ...]


class Point(NamedTuple):
    """A run as it is drawn: the number of its value among those of the axis, its metric, what is told of it."""

    position: int
    value: float
    told: str
    best: bool = False


def chart(title: str, labels: Sequence[str], points: Sequence[Point]) -> Chart:
    """The values of the axis stand side by side in their order, whatever is between them."""
    up, labels_up = upright([point.value for point in points])
    step = (WIDTH - LEFT - RIGHT) / len(labels)

    def across(position: int) -> float:
        return round(LEFT + step * (position + 0.5), 1)

    dots = tuple(Dot(across(point.position), up(point.value), point.told, point.best) for point in points)
    by_position: dict[int, list[float]] = {}
    for point in points:
        by_position.setdefault(point.position, []).append(point.value)
    means = [(across(at), up(sum(found) / len(found))) for at, found in sorted(by_position.items())]
    every = -(-len(labels) // _MOST_LABELS)
    return Chart(
        title,
        dots,
        " ".join(f"{x},{y}" for x, y in means),
        tuple(Label(across(at), _cut(text)) for at, text in enumerate(labels) if at % every == 0),
        labels_up,
    )


def upright(values: Sequence[float]) -> tuple[Callable[[float], float], tuple[Label, ...]]:
    """The axis that goes up: where a value stands on it, and its labels. There is some room around the values."""
    low, high = min(values), max(values)
    span = high - low or abs(high) or 1.0
    low, high = low - 0.08 * span, high + 0.08 * span

    def up(value: float) -> float:
        return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low), 1)

    ticks = (low + (high - low) * part / 4 for part in range(5))
    return up, tuple(Label(up(value), f"{value:.3g}") for value in ticks)


def _cut(text: str) -> str:
    return text if len(text) <= 10 else f"{text[:9]}…"
