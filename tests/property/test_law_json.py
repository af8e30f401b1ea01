"""Law: a document is what it says and not how it is written, and its digest and its comparison agree."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprolock.model.json_compare import compare_json, json_digest

pytestmark = pytest.mark.property

keys = st.sampled_from(["a", "b", "time", "", "a.b", "é", "\ud800"]) | st.text(max_size=3)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats()
    | st.sampled_from([0.0, -0.0, 1.0, 1e300])
    | st.text(max_size=3)
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


def written(value: Any, **how: Any) -> bytes:
    text = json.dumps(value, **how)
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text).encode()


def shuffled(value: Any) -> Any:
    """Keys in another order, whole numbers as floats where that loses nothing."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [shuffled(item) for item in value]
    if type(value) is int and abs(value) < 2**53:
        return float(value)
    return value


@given(documents)
def test_the_way_of_writing_is_no_part(document: Any) -> None:
    plain, other = written(document), written(shuffled(document), indent=3)
    assert json_digest(plain) == json_digest(other)
    assert compare_json(plain, other) == []


@given(documents, documents)
def test_equal_digests_are_no_differences(one: Any, other: Any) -> None:
    first, second = written(one), written(other)
    assert (json_digest(first) == json_digest(second)) == (compare_json(first, second) == [])


@given(documents, documents, st.floats(0, 1), st.floats(0, 10))
def test_a_tolerance_only_takes_differences_away(one: Any, other: Any, rel: float, abs_: float) -> None:
    exact = {each.path for each in compare_json(written(one), written(other))}
    near = {each.path for each in compare_json(written(one), written(other), (), rel, abs_)}
    assert near <= exact
    back = {each.path for each in compare_json(written(other), written(one), (), rel, abs_)}
    assert near == back


@given(documents, documents, documents)
def test_an_ignored_key_is_ignored_wherever_it_stands(document: Any, one: Any, other: Any) -> None:
    def with_key(value: Any) -> Any:
        if isinstance(document, dict):
            return {**document, "at": value, "list": [{"at": value, "b": 1}]}
        return [document, {"at": value, "b": 1}]

    first, second = written(with_key(one)), written(with_key(other))
    assert json_digest(first, ["at"]) == json_digest(second, ["at"])
    assert compare_json(first, second, ["at"]) == []


@given(documents, st.floats(allow_nan=False, allow_infinity=False))
def test_one_number_that_moves_is_found(document: Any, number: float) -> None:
    moved = math.nextafter(number, math.inf)
    first, second = written([document, {"x": number}]), written([document, {"x": moved}])
    if number == moved:
        return
    assert [each.path for each in compare_json(first, second)] == ["[1].x"]
    assert json_digest(first) != json_digest(second)
