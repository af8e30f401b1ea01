"""The parts of docs/ that are generated: tables of the models, the commands, the exit codes, the variables.

A part stands between `<!-- generated: KIND ARGUMENT -->` and `<!-- end -->`; the text around it is written by hand.
`python tests/reference.py` (`make reference`) writes all of them again; a test checks that they are current.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from reprolock import errors
from reprolock.cli.main import reprolock as command_line
from reprolock.engine.command_environment import PASSED

DOCS = Path(__file__).parents[1] / "docs"
_OF_EVERY_COMMAND = {"-C", "--json", "-q", "-v", "--help"}
_PART = re.compile(r"(<!-- generated: (\w[\w-]*)(?: (\S+))? -->\n).*?(<!-- end -->)", re.S)


def generated(text: str) -> str:
    """The text with each generated part as it is today."""
    return _PART.sub(lambda found: f"{found[1]}\n{_KINDS[found[2]](found[3])}\n{found[4]}", text)


def pages() -> list[Path]:
    """The pages that have generated parts."""
    return [page for page in sorted(DOCS.rglob("*.md")) if _PART.search(page.read_text())]


# Models: one table each, for the whole tree below a file's model


def _toml(argument: str) -> str:
    return _models(argument, lambda path, listed: f"[[{path[-1]}]]" if listed else f"[{'.'.join(path)}]")


def _json(argument: str) -> str:
    return _models(argument, lambda path, listed: ".".join(path) + "[]" * listed)


def _models(argument: str, heading: Any) -> str:
    module, _, name = argument.partition(":")
    root: type[BaseModel] = getattr(import_module(module), name)
    places: dict[type[BaseModel], list[str]] = {root: []}
    for model, path, listed in _tree(root, ()):
        places.setdefault(model, []).append(heading(path, listed))
    parts = [f"### Top level\n\n{_table(root, tables=True)}"]
    for model, names in list(places.items())[1:]:
        shown = ", ".join(f"`{one}`" for one in dict.fromkeys(names))
        parts.append(f"### {shown}\n\n{_table(model)}")
    return "\n".join(parts)


def _tree(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[tuple[type[BaseModel], tuple[str, ...], bool]]:
    for name, field in model.model_fields.items():
        for inner, form in _inner(field.annotation, ""):
            path = (*above, field.alias or name, *(("NAME",) if form == "table" else ()))
            yield inner, path, form == "list"
            yield from _tree(inner, path)


def _inner(annotation: Any, form: str) -> Iterator[tuple[type[BaseModel], str]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation, form
    origin = get_origin(annotation)
    for argument in get_args(annotation) if origin is not Literal else ():
        inner = "list" if origin in (tuple, list) else "table" if _is_mapping(origin) else form
        yield from _inner(argument, inner)


def _is_mapping(origin: Any) -> bool:
    return inspect.isclass(origin) and issubclass(origin, Mapping)


def _table(model: type[BaseModel], *, tables: bool = False) -> str:
    rows = ["| key | meaning | default |", "| --- | --- | --- |"]
    for key, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{key} has no description"
        meaning, _, default = field.description.partition(" Default: ")
        if field.description.startswith("Default: "):
            meaning, default = "", field.description.removeprefix("Default: ")
        meaning = " ".join(filter(None, (meaning, _choices(field.annotation))))
        default = default.removesuffix(".") or ("" if tables and not field.is_required() else _default(field))
        rows.append(f"| `{field.alias or key}` | {_cell(meaning)} | {_cell(default)} |")
    return "\n".join(rows) + "\n"


def _choices(annotation: Any) -> str:
    for literal in (annotation, *get_args(annotation)):
        if get_origin(literal) is Literal:
            return "One of " + ", ".join(f"`{choice}`" for choice in get_args(literal)) + "."
    return ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value is PydanticUndefined:
        return "none"
    if value in ((), {}):
        return "empty"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f'`"{value}"`'


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("|", r"\|").replace("<", "&lt;")).strip()


# Commands


def _commands(_: str) -> str:
    context = click.Context(command_line, info_name="reprolock")
    return "\n".join(_group(command_line, context, 2))


def _group(group: click.Group, context: click.Context, level: int) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if command.hidden:  # called by git or by a run, never by a person
            continue
        inner = click.Context(command, info_name=name, parent=context)
        yield from _command(command, inner, level)
        if isinstance(command, click.Group):
            yield from _group(command, inner, level + 1)


def _command(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    words = " ".join(filter(None, (context.command_path, *command.collect_usage_pieces(context))))
    yield f"{'#' * level} {context.command_path}\n"
    yield f"```text\n{words}\n```\n"
    yield _prose(command.help or "") + "\n"
    options = (option for option in command.params if not _OF_EVERY_COMMAND & set(option.opts))
    rows = [record for option in options if (record := option.get_help_record(context)) and record[1]]
    if rows:
        yield "| option | |\n| --- | --- |"
        yield "\n".join(f"| `{name}` | {_cell(text)} |" for name, text in rows) + "\n"


def _prose(text: str) -> str:
    paragraphs = inspect.cleandoc(text).split("\n\n")
    verbatim = [part.startswith("\b\n") for part in paragraphs]
    shown = (
        f"```text\n{part[2:]}\n```" if whole else " ".join(part.split()).replace("<", "&lt;")
        for part, whole in zip(paragraphs, verbatim, strict=True)
    )
    return "\n\n".join(shown)


# Exit codes and variables


def _exit_codes(_: str) -> str:
    meanings = {
        0: "Done.",
        70: "A bug in reprolock.",
        129: "Ended by SIGHUP.",
        130: "Ended by Ctrl-C (SIGINT).",
        141: "The reader of the output went away (SIGPIPE).",
        143: "Ended by SIGTERM.",
    }
    for error in errors.ReprolockError.__subclasses__():
        if error.exit_code not in meanings and error is not errors.Interrupted:
            meanings[error.exit_code] = inspect.cleandoc(error.__doc__ or "").partition("\n")[0]
    rows = [f"| {code} | {_cell(meaning)} |" for code, meaning in sorted(meanings.items())]
    return "\n".join(["| exit code | meaning |", "| --- | --- |", *rows]) + "\n"


def _passed(_: str) -> str:
    windows = PASSED.index("SYSTEMROOT")
    return "\n".join(
        (
            f"{', '.join(f'`{name}`' for name in PASSED[:windows])}.\n",
            f"On Windows also {', '.join(f'`{name}`' for name in PASSED[windows:])}.\n",
        )
    )


_KINDS = {"toml": _toml, "json": _json, "commands": _commands, "exit-codes": _exit_codes, "passed": _passed}


if __name__ == "__main__":
    for page in pages():
        page.write_text(generated(page.read_text()))
