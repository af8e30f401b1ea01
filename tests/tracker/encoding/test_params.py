"""Params as MLflow shows them: flat, text, cut where MLflow cuts, and never silently."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_param_name  # MLflow's own rule

from reprolock.tracker.encoding.params import flatten, safe_key


def test_tables_become_dotted_keys() -> None:
    flat = flatten({"a": {"b": {"c": 1}, "d": "x"}, "list": [1, {"e": 2}], "yes": True, "f": 1e-7, "empty": {}})
    assert flat.values == {"a.b.c": "1", "a.d": "x", "list": '[1, {"e": 2}]', "yes": "true", "f": "1e-07"}
    assert flat.remarks == ()


def test_what_mlflow_cannot_hold_is_said() -> None:
    flat = flatten({"lr@start": 1, "long": "x" * 6001, "a": {"b": 1}, "a.b": 2})
    assert flat.values == {"lr_start": "1", "long": "x" * 6000, "a.b": "1"}
    assert flat.remarks == (
        "params.lr@start is named lr_start in MLflow, whose keys take only letters, digits, space and _-.:/",
        "params.long is cut to 6000 of its 6001 characters in MLflow; record.json has all",
        "params.a.b is not shown in MLflow: a.b is there already; record.json has both",
    )


@pytest.mark.property
@settings(deadline=None)
@given(st.text(max_size=300))
def test_every_key_is_one_that_mlflow_takes(name: str) -> None:
    key = safe_key(name)
    _validate_param_name(key)
    assert 0 < len(key) <= 250
    if re.fullmatch(r"[A-Za-z0-9_.-]{3,250}", name) and set(name) != {"."}:
        assert key == name
