"""Encode params as MLflow takes them: flat, text, of limited length. MLflow is not loaded here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from reprolock.model.placeholders import as_argument

VALUE_LENGTH = 6000
"""MLflow's limit for a param's value; a longer one fails the whole batch."""
KEY_LENGTH = 250
"""MLflow's limit for the key of a param, metric or tag."""

_BAD_CHARACTER = re.compile(r"[^\w.\- :/]")


class Flat(NamedTuple):
    """Params by dotted key, and a remark for each that MLflow does not hold as it is declared."""

    values: dict[str, str]
    remarks: tuple[str, ...]


def flatten(params: Mapping[str, Any]) -> Flat:
    """Tables become dotted keys, lists the JSON text of the list, empty tables nothing.

    Where two keys would fall together, the first keeps its name and the second is left out with a remark.
    """
    values: dict[str, str] = {}
    remarks: list[str] = []
    for name, value in _leaves(params, ""):
        key, text = safe_key(name), as_argument(value)
        if key in values:
            remarks.append(f"params.{name} is not shown in MLflow: {key} is there already; record.json has both")
            continue
        if key != name:
            remarks.append(
                f"params.{name} is named {key} in MLflow, whose keys take only letters, digits, space and _-.:/"
            )
        if len(text) > VALUE_LENGTH:
            remarks.append(
                f"params.{name} is cut to {VALUE_LENGTH} of its {len(text)} characters in MLflow; record.json has all"
            )
            text = text[:VALUE_LENGTH]
        values[key] = text
    return Flat(values, tuple(remarks))


def safe_key(name: str) -> str:
    """A key that MLflow takes: other characters become "_", and it must read as a clean relative path.

    >>> safe_key("lr@start"), safe_key("../a//b")
    ('lr_start', '__/a/_/b')
    """
    segments = _BAD_CHARACTER.sub("_", name).split("/")
    return "/".join("_" * max(len(part), 1) if part in ("", ".", "..") else part for part in segments)[:KEY_LENGTH]


def _leaves(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
