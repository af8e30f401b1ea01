"""Apply `--set` and `--data`: they change one thing for one run; everything else, repro.lock too, stays."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from reprolock.errors import NotFound, UsageError
from reprolock.lake.protocol import Lake
from reprolock.model.lock import DatasetPin
from reprolock.model.placeholders import as_argument
from reprolock.model.spec import DatasetSpec, Spec
from reprolock.model.uri import LakeURI
from reprolock.model.value import first_problem
from reprolock.steps.locking.datasets import resolve_datasets


class WhatIf(NamedTuple):
    """Params by dotted name, as TOML values; datasets by name, as refs."""

    params: Mapping[str, Any] = {}
    data: Mapping[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self.params or self.data)


def parse_param(text: str) -> tuple[str, Any]:
    """`max_iter=50` as a name and a TOML value; what is not a TOML value is taken as text. UsageError, and UnicodeError for
    what no file can hold."""
    text.encode()
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f'"{text}" is not NAME=VALUE', hint="write a name and its value, such as max_iter=50")
    try:
        return name, parse_value(value)
    except ValueError:
        return name, value


def parse_value(text: str) -> Any:
    """The TOML value that the whole of a text is. ValueError where it is none, or a number of thousands of digits."""
    document = tomllib.loads(f"outer = {{ inner = {text} }}")
    if document.keys() != {"outer"} or document["outer"].keys() != {"inner"}:
        raise ValueError(f"{text!r} is more than a value")
    value = document["outer"]["inner"]
    as_argument(value)
    return value


def with_params(spec: Spec, params: Mapping[str, Any]) -> Spec:
    """The spec with some params replaced. UsageError for a name that repro.toml does not declare, or another type."""
    table: dict[str, Any] = dict(spec.params)
    for name, value in params.items():
        *above, last = name.split(".")
        inner = table
        for part in above:
            if not isinstance(inner.get(part), dict):
                raise _unknown_name_error(name, spec)
            inner[part] = dict(inner[part])
            inner = inner[part]
        if last not in inner:
            raise _unknown_name_error(name, spec)
        old = inner[last]
        if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(old) is not type(value):
            hint = (
                f"write it in quotes: --set '{name}=\"{as_argument(value)}\"'"
                if isinstance(old, str)
                else "give a value of the same type"
            )
            raise UsageError(f"--set {name}: repro.toml has {_display(old)} there, not {_display(value)}", hint=hint)
        inner[last] = value
    try:
        return spec.replaced({"params": table})
    except ValidationError as error:
        raise UsageError(
            f"--set {', '.join(params)}: {first_problem(error)}",
            hint="give another value",
        ) from None


def with_data(spec: Spec, pins: tuple[DatasetPin, ...], lake: Lake, data: Mapping[str, str]) -> tuple[DatasetPin, ...]:
    """The pins with some datasets resolved at other refs, for this run only."""
    for name in data:
        if name not in spec.datasets:
            raise UsageError(
                f'--data {name}: repro.toml declares no dataset "{name}"',
                hint=f"it declares {', '.join(sorted(spec.datasets)) or 'none'}",
            )
    others = {name: _at(name, spec.datasets[name], ref) for name, ref in data.items()}
    try:
        found = {pin.name: pin for pin in resolve_datasets(lake, others)}
    except NotFound as error:
        key, _, rest = error.message.partition(": ")
        name = key.split(".")[1]  # it was asked for here, and not by repro.toml
        raise NotFound(f"--data {name}={data[name]}: {rest}", hint=error.hint) from None
    return tuple(found.get(pin.name, pin) for pin in pins)


def _at(name: str, declared: DatasetSpec, ref: str) -> DatasetSpec:
    try:
        if "/" in ref:
            raise ValueError(f'"{ref}" is not a branch, tag or commit')
        return declared.replaced({"uri": str(LakeURI.parse(str(declared.place.at(ref))))})
    except ValueError as error:
        raise UsageError(f"--data {name}: {error}", hint="name a branch, a tag or a commit") from None


def _unknown_name_error(name: str, spec: Spec) -> UsageError:
    return UsageError(
        f'--set {name}: repro.toml declares no param "{name}"',
        hint=f"it declares {', '.join(sorted(spec.params)) or 'none'}",
    )


_WORDS = {
    bool: "the truth value",
    int: "the integer",
    float: "the number",
    str: "the text",
    list: "the list",
    dict: "the table",
}


def _display(value: Any) -> str:
    """A TOML value with its type, in words."""
    text = f'"{value}"' if isinstance(value, str) else as_argument(value)
    return f"{_WORDS.get(type(value), 'the time')} {text}"
