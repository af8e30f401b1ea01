"""The types of single values in repro.toml, each checked when it is read, and how a check says what is wrong."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Strict

from reprolock.model.placeholders import as_argument
from reprolock.model.secrecy import has_userinfo, is_secret_name, looks_secret
from reprolock.model.spec_rules import Problems
from reprolock.model.uri import check_path
from reprolock.model.value import problem

Scalar = str | bool | int | float
Strings = Annotated[tuple[str, ...], Strict(False)]
Format = Literal["delta", "parquet", "csv", "json", "orc", "avro", "text", "binary", "image"]


class SpecProblems(ValueError):
    """Several problems at once, each deeper than where the validator stands."""

    def __init__(self, problems: Problems) -> None:
        super().__init__("; ".join(sentence for _, sentence in problems))
        self.problems = problems


def refuse(problems: Problems) -> None:
    """Raise `SpecProblems` where there are any."""
    if problems:
        raise SpecProblems(problems)


def no_userinfo(address: str) -> str:
    """The address, which must not contain credentials."""
    if has_userinfo(address) or looks_secret(address):
        raise problem("an address must not contain a user name or password; credentials come from the environment")
    return address


def _project_path(given: str, root: PurePath | None) -> str:
    """The path relative to `root`, the project's folder, where that is known."""
    path = re.sub(r"\A(?:\./+)+", "", given)
    if given and path in ("", ".") or root is not None and root == PurePath(posixpath.normpath(path)):
        raise problem(f'"{given}" is the project\'s whole folder; name files or folders in it')
    if path.startswith("/") or re.match(r"[A-Za-z]:[\\/]", path):
        raise problem(
            f'"{given}" starts with "{path[:1] if path.startswith("/") else path[:2]}"; {_relative(path, root)}'
        )
    if "\\" in path:
        raise problem(f'"{given}" contains "\\"; write "/" between a folder and what is in it')
    try:
        check_path(path)
    except ValueError as error:
        raise problem(str(error)) from None
    path = path.rstrip("/")
    if not path:
        raise problem("an empty path; name a file or folder below repro.toml")
    return path


def _relative(path: str, root: PurePath | None) -> str:
    """What to write in place of an absolute path."""
    place = PurePath(posixpath.normpath(path))
    if root is not None and place.is_relative_to(root):
        return f'write "{place.relative_to(root).as_posix()}", for it is relative to repro.toml'
    name = re.split(r"[\\/]", path.rstrip("\\/"))[-1]
    example = f', such as "{name}"' if name and not name.endswith(":") else ""
    return f"write it relative to repro.toml, below whose folder it has to be{example}"


def _settings(table: Mapping[str, Any]) -> dict[str, str]:
    """Spark's options and settings are text: true, 8 and "8" are what a user may write."""
    if not isinstance(table, Mapping):
        return table
    problems: Problems = []
    for name, value in table.items():
        if is_secret_name(name):
            problems.append(
                (
                    (name,),
                    f'"{name}" holds a secret, and a secret must not be in a file; secrets come from the environment',
                )
            )
        elif isinstance(value, (dict, list)):
            problems.append(((name,), "write text, a number, true or false"))
        elif looks_secret(str(value)):
            problems.append(
                ((name,), "this is a secret, and a secret must not be in a file; secrets come from the environment")
            )
    refuse(problems)
    return {name: as_argument(value) for name, value in table.items()}


def _identifier(name: str) -> str:
    if not (name.isascii() and name.isidentifier()):
        text = re.sub(r"\W", "_", name, flags=re.ASCII)
        better = text if text[:1].isidentifier() else f"_{text}"
        raise problem(f'"{name}" is not an identifier; write letters, digits and "_", such as "{better}"')
    return name


Address = Annotated[str, BeforeValidator(lambda v: no_userinfo(v) if isinstance(v, str) else v)]
ProjectPath = Annotated[
    str, BeforeValidator(lambda v, info: _project_path(v, info.context) if isinstance(v, str) else v)
]
"""A path below the project's folder. That folder is the context of the validation, where it is known: it helps to say what to write."""
Settings = Annotated[dict[str, str], BeforeValidator(_settings, json_schema_input_type=dict[str, Scalar])]
Identifier = Annotated[str, AfterValidator(_identifier)]
