"""`{params.max_iter}` in a command: exact dotted names under known roots; other braces stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

ROOTS = ("params", "datasets", "outputs", "seed")
_PLACEHOLDER = re.compile(r"\{((?:" + "|".join(ROOTS) + r")(?:\.[^{}.\s]+)*)\}")


def names_in(text: str) -> Iterator[str]:
    """The dotted names that `text` asks for."""
    return (match[1] for match in _PLACEHOLDER.finditer(text))


def expand(text: str, values: Mapping[str, Any]) -> str:
    """Replace every placeholder by its value; raise KeyError with the dotted name of one that has none."""
    return _PLACEHOLDER.sub(lambda match: as_argument(lookup(match[1], values)), text)


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
