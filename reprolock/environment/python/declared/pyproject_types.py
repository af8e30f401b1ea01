"""Check the types of the values on packages in a pyproject.toml and a uv.toml, once for every module that reads them.

Such a file may come with a cloned project and hold anything below the names that are read. Other names are other tools' own.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reprolock.errors import UsageError
from reprolock.files.containment import read_linked
from reprolock.files.validation_errors import sentences

_Texts = Annotated[tuple[str, ...], Field(strict=False)]
_Values = Annotated[tuple[Any, ...], Field(strict=False)]


class _Types(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="ignore", frozen=True, alias_generator=lambda name: name.replace("_", "-")
    )


class _Index(_Types):
    url: str = ""
    name: str = ""


class _Addresses(_Types):
    index: Annotated[tuple[_Index, ...], Field(strict=False)] = ()
    index_url: str = ""
    extra_index_url: _Texts = ()
    find_links: _Texts = ()


class _UvToml(_Addresses):
    pip: _Addresses = _Addresses()


class _Uv(_UvToml):
    sources: dict[str, dict[str, Any] | list[dict[str, Any]]] = {}
    constraint_dependencies: _Values = ()
    override_dependencies: _Values = ()
    exclude_dependencies: _Values = ()
    build_constraint_dependencies: _Values = ()
    dev_dependencies: _Texts = ()


class _Tool(_Types):
    uv: _Uv = _Uv()


class _Project(_Types):
    name: str = ""
    dynamic: _Texts = ()
    requires_python: str = ""
    dependencies: _Texts = ()
    optional_dependencies: dict[str, _Texts] = {}


class _Pyproject(_Types):
    project: _Project = _Project()
    dependency_groups: dict[str, _Values] = {}
    tool: _Tool = _Tool()


def load_pyproject(path: Path, name: str) -> dict[str, Any]:
    """A pyproject.toml, as its tables. UsageError for one that is no TOML, or with a value of another type; FileNotFoundError."""
    return _load(path, name, _Pyproject)


def load_uv_toml(path: Path, name: str) -> dict[str, Any]:
    """A uv.toml, likewise."""
    return _load(path, name, _UvToml)


def _load(path: Path, name: str, model: type[_Types]) -> dict[str, Any]:
    try:
        text = read_linked(path).decode("utf-8-sig")
        tables = tomllib.loads(text)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or ["unreadable"])[0].rstrip(".:")
        raise UsageError(f"{name} cannot be read: {reason[:1].lower()}{reason[1:]}", hint="check the file") from None
    try:
        model.model_validate(tables)
    except ValidationError as error:
        problems = sentences(error, model, text, name)
        if len(problems) == 1:
            raise UsageError(problems[0], hint=f"correct {name}") from None
        raise UsageError(
            f"{name} has {len(problems)} values of another type", problems=problems, hint=f"correct {name}"
        ) from None
    return tables
