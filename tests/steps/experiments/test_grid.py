"""The combinations of a grid: every one once, values with their types, the same sample for the same seed."""

from __future__ import annotations

import pytest

from reprolock.errors import UsageError
from reprolock.steps.experiments.grid import parse_grid
from reprolock.steps.locking.overrides import WhatIf


def test_every_combination_once_the_last_axis_fastest() -> None:
    grid = parse_grid(["depth=1,2", "kind=a,b"], ["train=main,exp"])
    assert (grid.whole, grid.size) == (8, 8)
    assert list(grid.combinations())[:3] == [
        WhatIf({"depth": 1, "kind": "a"}, {"train": "main"}),
        WhatIf({"depth": 1, "kind": "a"}, {"train": "exp"}),
        WhatIf({"depth": 1, "kind": "b"}, {"train": "main"}),
    ]
    assert len({grid.told(each) for each in grid.combinations()}) == 8
    assert grid.told(WhatIf({"depth": 1, "kind": "a"}, {"train": "exp"})) == "depth=1, kind=a, train=exp"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x=1,2.0,true", (1, 2.0, True)),
        ('x="a,b","c"', ("a,b", "c")),
        ("x=[1,2],[3]", ([1, 2], [3])),
        ("x=a, b", ("a", "b")),
        ("x=a,1", ("a", 1)),
    ],
)
def test_values_have_their_types(text: str, values: tuple[object, ...]) -> None:
    found = parse_grid([text], []).axes[0].values
    assert (found, [type(value) for value in found]) == (values, [type(value) for value in values])


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    grid = parse_grid(["x=" + ",".join(map(str, range(100))), "y=" + ",".join(map(str, range(100)))], [])
    one, same, other = (list(grid.sampled(20, seed).combinations()) for seed in (1, 1, 2))
    assert one == same != other
    assert len({grid.told(each) for each in one}) == 20
    assert grid.sampled(10_000, 1) == grid


@pytest.mark.parametrize(
    ("params", "data", "message"),
    [
        ([], [], "there is nothing to vary"),
        (["x=1,1"], [], "--set x names 1 twice"),
        (["x=1", "x=2"], [], "--set x is given twice"),
        (["x="], [], "--set x names no value"),
        (["x"], [], '"x" is not NAME=VALUE'),
        ([], ["train=main,"], '--data "train=main," is not NAME=REF,REF'),
    ],
)
def test_what_is_no_grid(params: list[str], data: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_grid(params, data)
    assert error.value.message == message
