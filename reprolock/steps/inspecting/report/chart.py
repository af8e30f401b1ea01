"""`Chart`: one metric of several runs against what was varied, placed for a picture. Values, no IO."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT = 62, 16
_TOP, _BOTTOM = 14, 34
_MOST_LABELS = 8
_FURTHEST = 4e307
"""Beyond it a value is drawn there: the difference of two would be no number."""
_SMALLEST = 1e-300
"""Of a smaller span no step is a number."""
_LETTER = 7.5
"""How wide a letter of a label is, about."""


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
        tuple(Label(across(at), _cut(text, step * every)) for at, text in enumerate(labels) if at % every == 0),
        labels_up,
    )


def upright(values: Sequence[float]) -> tuple[Callable[[float], float], tuple[Label, ...]]:
    """The axis that goes up: where a value stands on it, and its labels, which are round numbers around the values."""
    clipped = [max(-_FURTHEST, min(value, _FURTHEST)) for value in values]
    step, low, high = _round_steps(min(clipped), max(clipped))

    def up(value: float) -> float:
        value = max(-_FURTHEST, min(value, _FURTHEST))
        return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * ((high - value) / (high - low)), 1)

    ticks = [low + step * part for part in range(round((high - low) / step) + 1)]
    digits = max(3, math.ceil(math.log10(max(abs(low), abs(high)) / step)) + 1)
    return up, tuple(Label(up(value), f"{value if abs(value) > step / 2 else 0:.{digits}g}") for value in ticks)


def _round_steps(least: float, most: float) -> tuple[float, float, float]:
    """A step of 1, 2 or 5 times a power of ten, and multiples of it below and above all values: 5 or so between them."""
    span = max(most - least or abs(most) or 1.0, _SMALLEST)
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= span / 4 * 0.999)
    low, high = math.floor(least / step) * step, math.ceil(most / step) * step
    return step, low - step * (low == least == most), high + step * (low == high)


def _cut(text: str, room: float) -> str:
    """A label of an axis that has so much room for it, in the picture's units."""
    most = max(6, int(room / _LETTER))
    return text if len(text) <= most else f"{text[: most - 1]}…"
