"""`{params.max_iter}` in a command or an address: exact dotted names under known roots; other braces stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

ROOTS = ("params", "datasets", "outputs", "seed")
"""What a placeholder in a command or a variable begins with."""
ADDRESS_ROOTS = ("params", "datasets", "run_id")
"""What a placeholder in an address that an output is published to begins with."""


def names_in(text: str, roots: tuple[str, ...] = ROOTS) -> Iterator[str]:
    """The dotted names that `text` asks for."""
    return (match[1] for match in _placeholder(roots).finditer(text))


def expand(text: str, values: Mapping[str, Any], roots: tuple[str, ...] = ROOTS) -> str:
    """Replace every placeholder by its value; raise KeyError with the dotted name of one that has none."""
    return _placeholder(roots).sub(lambda match: as_argument(lookup(match[1], values)), text)


@cache
def _placeholder(roots: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(r"\{((?:" + "|".join(roots) + r")(?:\.[^{}.\s]+)*)\}")


def lookup(name: str, values: Mapping[str, Any]) -> Any:
    """The value that a dotted name leads to through nested tables; KeyError(name) where there is none."""
    value: Any = values
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise KeyError(name)
        value = value[part]
    return value


def as_argument(value: Any) -> str:
    """A value as one command-line argument: text as it is, all else as TOML and JSON write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return json.dumps(value, ensure_ascii=False, default=str)
