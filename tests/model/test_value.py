"""A value with other fields is checked as a new one is."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from reprolock.model.value import Value


class _Inner(Value):
    name: str


class _Outer(Value):
    count: int = Field(1, ge=1)
    inner: _Inner
    names: tuple[str, ...] = ()


def test_other_fields_stay_as_they_are() -> None:
    old = _Outer(inner=_Inner(name="a"), names=("x",))
    new = old.replaced({"count": 2})
    assert new == _Outer(count=2, inner=_Inner(name="a"), names=("x",))
    assert old.count == 1
    assert old.replaced({}) == old


@pytest.mark.parametrize("changes", [{"count": 0}, {"count": "2"}, {"cuont": 2}, {"inner": {"name": 1}}])
def test_what_is_not_valid_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        _Outer(inner=_Inner(name="a")).replaced(changes)
