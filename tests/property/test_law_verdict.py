"""Law: no path leads to REPRODUCED with something missing, different or undeclared; and closeness is what it is called."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from reprolock.model.spec import OutputSpec, Tolerance
from reprolock.model.verdict import Comparison, Measured, Verdict, close, compare_metric, compare_output, verdict

pytestmark = pytest.mark.property

numbers = st.floats() | st.integers()
tolerances = st.builds(Tolerance, rel=st.floats(0, 0.99), abs=st.floats(0, 1e9))
digests = st.none() | st.sampled_from(["file:a", "tree:a", "tree:b", "rows:a", "rows:b", "json:a", "json:b"])
measured = st.builds(Measured, digests, st.none() | st.just("out cannot be compared"))
outputs = st.builds(
    lambda compare, rel: OutputSpec(
        path="out",
        compare=compare,
        format="csv" if compare == "table" else None,
        rel=None if compare == "bytes" else rel,
    ),
    st.sampled_from(["bytes", "table", "json"]),
    st.none() | st.sampled_from([0.0, 1e-6]),
)
metric_comparisons = st.builds(
    compare_metric, st.just("m"), tolerances, st.none() | st.floats(), st.none() | st.floats()
)
output_comparisons = st.builds(
    compare_output,
    st.just("o"),
    outputs,
    measured,
    measured,
    beyond=st.none() | st.lists(st.just("x"), max_size=1),
    details=st.lists(st.just("y"), max_size=1),
)
comparisons = st.lists(metric_comparisons | output_comparisons, max_size=5)
states = st.sampled_from(["identical", "within tolerance", "different", "missing"])


@given(comparisons, st.lists(st.text(), max_size=2), st.lists(st.text(), max_size=2))
def test_reproduced_is_something_declared_and_everything_passed(
    made: list[Comparison], differing: list[str], unlocked: list[str]
) -> None:
    given_verdict = verdict(made, differing, unlocked)
    passed = bool(made) and all(each.state in ("identical", "within tolerance") for each in made)
    assert (given_verdict.kind == "REPRODUCED") == passed
    assert (given_verdict.exit_code == 0) == passed
    assert (given_verdict.comparisons, given_verdict.differing) == (tuple(made), tuple(differing))
    if any(each.state == "different" for each in made):
        assert given_verdict.kind == "DIVERGED"
    assert Verdict.model_validate_json(given_verdict.model_dump_json()) == given_verdict


@given(outputs, measured, measured, st.none() | st.lists(st.just("x"), max_size=1))
def test_an_output_passes_by_its_digest_or_by_a_tolerance_that_was_held(
    declared: OutputSpec, recorded: Measured, found: Measured, beyond: list[str] | None
) -> None:
    compared = compare_output("o", declared, recorded, found, beyond=beyond)
    if recorded.digest is None or found.digest is None:
        assert compared.state == "missing"
    elif compared.state == "identical":
        assert recorded.digest == found.digest
    elif compared.state == "within tolerance":
        assert declared.rel
        assert beyond == []


@given(states, st.none() | st.text(), st.none() | st.text())
def test_nothing_passes_that_has_not_two_sides(state: Any, recorded: str | None, found: str | None) -> None:
    try:
        made = Comparison(name="x", kind="metric", how="exact", recorded=recorded, found=found, state=state)
    except ValidationError:
        assert None in (recorded, found)
        return
    assert not made.passed or None not in (recorded, found)


@given(st.lists(metric_comparisons | output_comparisons, min_size=1, max_size=4), st.data())
def test_taking_one_value_away_never_makes_a_verdict_better(made: list[Comparison], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(made) - 1))
    absent = compare_metric("m", Tolerance(), *data.draw(st.sampled_from([(None, 1.0), (1.0, None), (None, None)])))
    assert verdict([*made[:place], absent, *made[place + 1 :]]).kind != "REPRODUCED"


@given(st.floats(), st.floats(), st.floats(0, 1e9), st.floats(0, 1e9))
def test_floats_are_close_as_the_standard_library_has_it(one: float, other: float, rel: float, abs_: float) -> None:
    if math.isnan(one) and math.isnan(other):
        assert close(one, other, rel, abs_)
    elif math.isinf(one) or math.isinf(other):
        assert close(one, other, rel, abs_) == (one == other)
    else:
        assert close(one, other, rel, abs_) == math.isclose(one, other, rel_tol=rel, abs_tol=abs_)


@given(numbers, numbers, st.floats(0, 10), st.floats(0, 1e9), st.floats(0, 10), st.floats(0, 1e9))
def test_closeness_is_symmetric_reflexive_and_grows_with_the_tolerance(
    one: float, other: float, rel: float, abs_: float, more_rel: float, more_abs: float
) -> None:
    assert close(one, one, 0.0, 0.0)
    assert close(one, other, rel, abs_) == close(other, one, rel, abs_)
    if close(one, other, rel, abs_):
        assert close(one, other, max(rel, more_rel), max(abs_, more_abs))


@given(tolerances, st.floats(), st.floats())
def test_identical_is_no_matter_of_tolerance(tolerance: Tolerance, one: float, other: float) -> None:
    exact = compare_metric("m", Tolerance(), one, other).state
    assert exact in ("identical", "different")
    assert (compare_metric("m", tolerance, one, other).state == "identical") == (exact == "identical")


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_values_that_differ_are_shown_as_they_differ(one: float, other: float) -> None:
    assume(one != other)
    compared = compare_metric("m", Tolerance(), one, other)
    assert compared.recorded != compared.found
    assert float(compared.recorded or "") == one
