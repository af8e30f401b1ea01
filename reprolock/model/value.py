"""The base of every noun: frozen, closed to unknown fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError


def problem(message: str) -> PydanticCustomError:
    """What is wrong with a value, in our own words, for a validator to raise."""
    return PydanticCustomError("problem", "{message}", {"message": message})


def first_problem(error: ValidationError) -> str:
    """What is wrong first, without pydantic's word for it."""
    return error.errors()[0]["msg"].removeprefix("Value error, ")


class Value(BaseModel):
    """A frozen value. Unknown fields are refused, so that a typing error never passes in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="strings")

    def replaced(self, changes: Mapping[str, Any]) -> Self:
        """The value with some fields changed, checked as a new one is. ValidationError for one that is not valid.

        What is nested is valid already, and is not checked again.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return self.model_validate({**given, **changes})
