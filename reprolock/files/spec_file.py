"""Read repro.toml into a `Spec`, or raise one error that lists every problem with its line and a correction."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reprolock.errors import UsageError
from reprolock.files.containment import read_linked
from reprolock.model.spec import Spec
from reprolock.model.spec_partial import further_problems

NAME = "repro.toml"
DEEPEST = 60
_NO_PROJECT = "run `reprolock init`, or name the project's folder with -C"


def read_spec(root: Path) -> Spec:
    """The spec of the project in `root`. UsageError names the file, each line and each key at fault."""
    return parse_spec(read_text(root / NAME), root=root)


def read_text(path: Path) -> str:
    """The file's text. UsageError when it is not there, not readable, or not UTF-8."""
    try:
        return read_linked(path).decode("utf-8-sig")
    except FileNotFoundError:
        above = next((folder for folder in path.absolute().parents[1:] if (folder / path.name).is_file()), None)
        hint = f"name the project's folder: `reprolock -C {shlex.quote(str(above))}`" if above else _NO_PROJECT
        raise UsageError(f"no {path.name} in {path.parent}", hint=hint) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name} is not UTF-8: byte {error.start}", hint="save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}", hint="check the file's permissions") from None


def parse_spec(text: str, name: str = NAME, root: Path | None = None) -> Spec:
    """The spec that `text` declares; `name` is what its errors call it, and `root` its folder, where that is known."""
    try:
        text = text.removeprefix("\ufeff")  # Windows' editors write a byte order mark
        tables = tomllib.loads(text)
        check_depth(tables)
    except RecursionError:
        raise UsageError(
            f"{name} is nested too deeply", hint=f"at most {DEEPEST} tables and lists in one another"
        ) from None
    except ValueError as error:  # a number of thousands of digits, too
        raise UsageError(f"{name} is not valid TOML: {_lower(str(error))}", hint=_toml_hint(text)) from None
    try:
        return Spec.model_validate(tables, context=root and root.absolute())
    except ValidationError as error:
        from reprolock.files.validation_errors import sentences  # a parser with positions: only once there is a problem

        found = sentences(error, Spec, text, name, further_problems(tables))
    if len(found) == 1:
        raise UsageError(found[0], hint=f"correct {name}; `reprolock schema` shows every key")
    raise UsageError(
        f"{name} has {len(found)} problems", problems=found, hint=f"correct {name}; `reprolock schema` shows every key"
    )


def check_depth(value: Any) -> None:
    """RecursionError where tables and lists stand in one another deeper than every reader of ours bears: JSON's ends at 200."""
    level = [value]
    for _ in range(DEEPEST):
        inner = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, (dict, list)))
        level = [item for items in inner for item in items]
        if not level:
            return
    raise RecursionError


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _toml_hint(text: str) -> str:
    if "<<<<<<< " in text and "\n>>>>>>> " in text:
        return "the file has git's conflict markers; resolve the conflict"
    return "text must be in quotes; a table starts with [name]"
