"""The pictures of metrics: their axes."""

from __future__ import annotations

import math

import pytest

from reprolock.steps.inspecting.report.chart import HEIGHT, Point, chart, upright


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1.27, 32.43, 210.2], ["0", "100", "200", "300"]),
        ([0.9473, 0.9512], ["0.947", "0.948", "0.949", "0.95", "0.951", "0.952"]),
        ([-0.1, 0.1], ["-0.1", "-0.05", "0", "0.05", "0.1"]),
        ([0.5], ["0.4", "0.6"]),
        ([5], ["4", "6"]),
        ([0], ["-0.5", "0", "0.5"]),
        ([12345.5, 12346], ["12345.4", "12345.6", "12345.8", "12346"]),
        ([1e15, 1e15 + 1], ["1000000000000000", "1000000000000000.5", "1000000000000001"]),
    ],
)
def test_the_axis_has_round_numbers_around_the_values(values: list[float], labels: list[str]) -> None:
    up, found = upright(values)
    assert [label.text for label in found] == labels
    assert all(up(float(labels[-1])) <= up(value) <= up(float(labels[0])) for value in values)


@pytest.mark.parametrize("values", [[1.7e308, -1.7e308], [1.7e308], [5e-324, 1e-323], [-1e-300, 1e300]])
def test_the_furthest_numbers_are_drawn_in_the_picture(values: list[float]) -> None:
    up, labels = upright(values)
    assert all(0 <= up(value) <= HEIGHT for value in values)
    assert all(math.isfinite(label.at) for label in labels)


def test_a_label_is_cut_where_another_stands_beside_it() -> None:
    refs = [Point(at, 1.0, "") for at in range(8)]
    assert [label.text for label in chart("train", ["main", "experiment1"], refs[:2]).across] == ["main", "experiment1"]
    many = [f"experiment{number}" for number in range(8)]
    assert [label.text for label in chart("train", many, refs).across] == ["exper…"] * 8
