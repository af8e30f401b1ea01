"""Edit repro.toml in place: its comments and the order of its keys stay.

In: its text and one change. Out: the new text, which `parse_spec` has read. UsageError, and no text, for a change that cannot be
made or would leave an invalid file.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec

import tomlkit
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from tomlkit import TOMLDocument
from tomlkit.items import Array

from reprolock.errors import UsageError
from reprolock.files.spec_file import NAME, parse_spec
from reprolock.model.spec_rules import SOURCES

_Given = ParamSpec("_Given")


def _in_place(edit: Callable[_Given, str]) -> Callable[_Given, str]:
    """UsageError where tomlkit cannot make an edit without writing the table anew, or makes another one."""

    @wraps(edit)
    def edited(*given: _Given.args, **named: _Given.kwargs) -> str:
        try:
            return edit(*given, **named)
        except ValueError:
            raise UsageError(
                f"{NAME} has a table on one line, or by dotted keys, which cannot be edited in place",
                hint="write it as a table, with its name in brackets on a line of its own, or edit the file",
            ) from None

    return edited


@_in_place
def add_table(text: str, kind: str, name: str, values: Mapping[str, Any]) -> str:
    """The text with a table [KIND.NAME] more, behind the last of its kind: a dataset, an output, …"""
    document = _read(text)
    tables = document.get(kind)
    if isinstance(tables, dict) and name in tables:
        raise UsageError(
            f"{kind}.{name} is already in {NAME}", hint=f"edit it there, or `reprolock remove {kind[:-1]} {name}` first"
        )
    table = tomlkit.table()
    for key, value in values.items():
        table[key] = _inline(value)
    if tables is None:
        document[kind] = tomlkit.table(is_super_table=True)
    elif list(document)[-1] != kind:
        table.add(tomlkit.nl())  # something follows
    document[kind][name] = table
    return _checked(document)


def remove_table(text: str, kind: str, name: str) -> str:
    """The text without the table [KIND.NAME]."""
    document = _read(text)
    tables = _required(document, kind, name)
    del tables[name]
    if not tables:
        del document[kind]
    return _checked(document)


@_in_place
def add_param(text: str, name: str, value: Any) -> str:
    """The text with another param, or another value of one that is there; a dotted name leads into tables."""
    document = _read(text)
    table: Any = document.setdefault("params", tomlkit.table())
    *above, last = name.split(".")
    for part in above:
        table = table.setdefault(part, tomlkit.table())
        if not isinstance(table, dict):
            raise UsageError(f"params.{name}: {part} is a value, not a table", hint="give it another name")
    is_new = not table
    table[last] = _inline(value)
    if above and is_new and list(document)[-1] != "params":
        table.add(tomlkit.nl())  # something follows
    return _checked(document)


def remove_param(text: str, name: str) -> str:
    """The text without a param."""
    document = _read(text)
    table: Any = document.get("params", {})
    *above, last = name.split(".")
    for part in above:
        table = table.get(part, {}) if isinstance(table, dict) else {}
    if not isinstance(table, dict) or last not in table:
        raise _nothing("params", name, document.get("params", {}))
    del table[last]
    return _checked(document)


def add_packages(text: str, requirements: Sequence[str]) -> str:
    """The text with these requirements; one of a package that is there replaces it."""
    document = _read(text)
    packages = _packages(document, make=True)
    for given in requirements:
        name = _name(given)
        at = next((index for index, item in enumerate(packages) if _name(str(item)) == name), None)
        if at is None:
            packages.append(given)
        else:
            packages[at] = given
    return _checked(document)


def remove_packages(text: str, names: Sequence[str]) -> str:
    """The text without the requirements of these packages."""
    document = _read(text)
    packages = _packages(document, make=False)
    for given in names:
        found = [index for index, item in enumerate(packages) if _name(str(item)) == _name(given)]
        if not found:
            raise _nothing("environment.packages", given, [_name(str(item)) for item in packages])
        for index in reversed(found):
            del packages[index]
    return _checked(document)


def _read(text: str) -> TOMLDocument:
    parse_spec(text)  # what is at fault already is said first, with its lines
    return tomlkit.parse(text)


def _checked(document: TOMLDocument) -> str:
    text = tomlkit.dumps(document).rstrip("\n") + "\n"
    if _values(tomllib.loads(text)) != _values(document.unwrap()):
        raise ValueError("a table that is added lands in another one")
    parse_spec(text)
    return text


def _values(tables: Mapping[str, Any]) -> str:
    """What a file says, whatever the order: as text, for a NaN equals nothing."""
    return json.dumps(tables, sort_keys=True, default=str)


def _packages(document: TOMLDocument, *, make: bool) -> Array:
    environment: Any = document.get("environment")
    other = next((source for source in SOURCES if source != "packages" and source in (environment or {})), None)
    if other is not None:
        raise UsageError(
            f"the packages of this project come from environment.{other} ({environment[other]})",
            hint="change them there, then run `reprolock lock`",
        )
    if environment is None:
        if not make:
            raise UsageError(f"{NAME} declares no packages", hint="there is nothing to remove")
        environment = document["environment"] = tomlkit.table()
    if "packages" not in environment:
        environment["packages"] = tomlkit.array()
    found = environment["packages"]
    assert isinstance(found, Array)  # the spec was valid
    return found


def _name(requirement: str) -> str:
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement as error:
        raise UsageError(
            f'"{requirement}" is not a requirement: {str(error).partition(chr(10))[0].lower()}',
            hint='write a name, or a name and versions: "pandas>=2.2"',
        ) from None


def _required(document: TOMLDocument, kind: str, name: str) -> Any:
    tables: Any = document.get(kind, {})
    if name not in tables:
        raise _nothing(kind, name, tables)
    return tables


def _nothing(kind: str, name: str, there: Any) -> UsageError:
    listed = ", ".join(sorted(map(str, there))) or "none"
    return UsageError(f"{NAME} has no {name} in {kind}", hint=f"it has {listed}")


def _inline(value: Any) -> Any:
    """Tables within a table stand on its line, as people write options."""
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update({key: _inline(inner) for key, inner in value.items()})
        return table
    return value
