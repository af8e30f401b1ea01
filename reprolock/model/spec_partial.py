"""Rules over several keys, asked of a repro.toml in which some keys are at fault themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from reprolock.model.spec_rules import (
    Loc,
    Problems,
    Tables,
    consistent_output,
    declared_address,
    disagreements,
    one_engine,
    one_source,
    with_samples,
)
from reprolock.model.spec_types import ProjectPath
from reprolock.model.uri import LakeURI


def further_problems(document: Mapping[str, Any]) -> Problems:
    """Rules over several keys, asked of a file in which some keys are at fault themselves: of all that are not.

    `document` is the parsed file; the paths of the problems start at its root.
    """
    run, lake, environment = (_table(document.get(name)) for name in ("run", "lake", "environment"))
    outputs = {name: _table(output) for name, output in _table(document.get("outputs")).items()}
    problems = [(("environment", *loc), sentence) for loc, sentence in one_source(environment)]
    problems += [(("spark", *loc), sentence) for loc, sentence in one_engine(_table(document.get("spark")))]
    for name, output in outputs.items():
        compare = output.get("compare", "bytes")
        if compare in ("bytes", "table", "json", "none"):
            problems += [(("outputs", name, *loc), sentence) for loc, sentence in consistent_output(compare, output)]
    command, code = run.get("command"), run.get("code")
    texts: list[tuple[Loc, Any]] = [
        (("run", "command", index), text) for index, text in enumerate(command if isinstance(command, list) else ())
    ]
    texts += [(("run", "env", name), text) for name, text in _table(run.get("env")).items()]
    place = {"url": "", "path": ""}
    names: dict[str, Any] = {
        root: table if root == "params" else dict.fromkeys(table, place)
        for root in ("params", "datasets", "outputs")
        if isinstance(table := document.get(root, {}), Mapping)
    }
    tables = Tables(
        paths={name: path for name, output in outputs.items() if (path := _valid(ProjectPath, output.get("path")))},
        published={name: uri for name, output in outputs.items() if (uri := _address(output.get("publish")))},
        code=tuple(path for item in (code if isinstance(code, list) else ()) if (path := _valid(ProjectPath, item))),
        endpoint=_valid(str, lake.get("endpoint")),
        texts=tuple((loc, text) for loc, text in texts if isinstance(text, str)),
        names=names | ({"seed": run["seed"]} if "seed" in run else {}),
        addresses=tuple(
            (("outputs", name, "publish"), uri)
            for name, output in outputs.items()
            if isinstance(uri := output.get("publish"), str) and _address(uri)
        ),
    )
    return [*problems, *disagreements(tables)]


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _valid(kind: Any, value: Any) -> str | None:
    """The value as a valid file would have it, None for one that is none of its kind."""
    try:
        found: str = TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return None
    return found


def _address(value: Any) -> LakeURI | None:
    try:
        place = LakeURI.parse(with_samples(value)) if isinstance(value, str) else None
    except ValueError:
        return None
    return declared_address(value) if place and place.path else None
