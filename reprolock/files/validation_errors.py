"""Turn pydantic's errors into sentences with file and line: `repro.toml:12: datasets.train.formt: unknown key; …`.

In: a ValidationError, the model and the file's text. Out: one sentence a problem, in the file's order.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reprolock.files.toml_positions import line_of

Path = tuple[str | int, ...]

_WANTED = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
    "tuple_type": "a list",
    "list_type": "a list",
    "datetime_type": "a date and time",
    "finite_number": "a finite number",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
}


def sentences(
    error: ValidationError, model: type[BaseModel], text: str, file: str, further: Iterable[tuple[Path, str]] = ()
) -> tuple[str, ...]:
    """`FILE:LINE: KEY: what is wrong; what to write instead`, sorted by line. `further` are problems that another one kept
    the model from finding."""
    problems = [problem for details in error.errors() for problem in _problems(details, model)]
    found = {(line_of(text, path), f"{dotted(path)}: {sentence}") for path, sentence in (*problems, *further)}
    return tuple(f"{file}:{line}: {sentence}" for line, sentence in sorted(found))


def _problems(details: ErrorDetails, model: type[BaseModel]) -> Iterable[tuple[Path, str]]:
    path: Path = tuple(part for part in details["loc"] if part != "[key]")
    context = details.get("ctx", {})
    match details["type"]:
        case "problem":
            yield path, context["message"]
        case "value_error":
            inner = context["error"]
            for deeper, sentence in getattr(inner, "problems", [((), str(inner))]):
                yield (*path, *deeper), sentence
        case "missing":
            yield path, "missing; " + _meaning(model, path)
        case "extra_forbidden":
            yield path, "unknown key" + did_you_mean(str(path[-1]), _fields(model, path[:-1]))
        case "literal_error":
            choices = _choices(model, path)
            given = details["input"]
            yield path, f"{_display(given)} is not one of {', '.join(choices)}" + did_you_mean(str(given), choices)
        case "too_short" | "string_too_short":
            yield path, "empty; " + _meaning(model, path)
        case "string_pattern_mismatch":
            yield path, f"{_display(details['input'])} does not fit; " + _meaning(model, path)
        case kind if kind in _WANTED:
            wanted, given = _WANTED[kind].format(**_limits(context)), _display(details["input"])
            yield path, f"write {wanted}, not {given.removeprefix('the number ') if 'number' in wanted else given}"
        case _:
            yield path, details["msg"][0].lower() + details["msg"][1:]


def _limits(context: dict[str, Any]) -> dict[str, str]:
    """Limits as a person writes them: 1, where pydantic has 1.0."""
    return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in context.items()}


def dotted(path: Path) -> str:
    """`datasets.train.uri`, `run.command[2]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean "format"?`, or nothing when no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def _display(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 80 else f'"{value[:77]}…"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f"the number {value}" if isinstance(value, (int, float)) else str(value)


def _field(model: Any, path: Path) -> Any:
    """The field's information at a path; None for an item of a table or a list, and where it is unknown."""
    return _follow(model, path)[0]


def _fields(model: Any, path: Path) -> list[str]:
    """The names of the fields of the model at a path; none where there is no model."""
    model = _model_in(_follow(model, path)[1])
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _follow(model: Any, path: Path) -> tuple[Any, Any]:
    """What is at a path of keys and indexes: the field's information, and its type. None for what is unknown."""
    found: Any = None
    for part in path:
        model = _model_in(model)
        if isinstance(model, type) and issubclass(model, BaseModel):
            found = model.model_fields.get(str(part))
            model = found.annotation if found else None
        elif get_origin(model) in (dict, tuple):
            found, model = None, get_args(model)[-1 if get_origin(model) is dict else 0]
        else:
            return None, None
    return found, model


def _model_in(annotation: Any) -> Any:
    while get_origin(annotation) in (Union, types.UnionType, Annotated):
        arguments = [item for item in get_args(annotation) if item is not type(None)]
        annotation = arguments[0]
    return annotation


def _choices(model: type[BaseModel], path: Path) -> list[str]:
    field = _field(model, path)
    return [str(item) for item in get_args(_model_in(field.annotation))] if field else []


def _meaning(model: type[BaseModel], path: Path) -> str:
    field, name = _field(model, path), path[-1] if path else "it"
    if field is not None and _fields(model, path):
        return f"write [{name}]"
    if field is not None and field.description:
        description: str = field.description
        return description[0].lower() + description[1:].rstrip(".")
    return f"write {name} = …"
