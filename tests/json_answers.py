"""What a command printed with --json, checked against its schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

import click
import jsonschema

from reprolock.cli.main import reprolock as command_line
from reprolock.steps.maintenance.schema import schema

checked: set[str] = set()
"""Commands whose answers, and not only their errors, have been checked in this process."""


def commands() -> set[str]:
    """Every command that takes --json and that people call."""
    return set(_listed(command_line, click.Context(command_line)))


def check_answer(arguments: Sequence[str], out: str) -> None:
    """AssertionError for an object that is not what commands.schema.json says of the command. The schemas themselves are not checked here."""
    command = _command_of(arguments)
    if command is None or not out.strip():
        return
    document = json.loads(out)
    problems = [problem.message for problem in _validator(command).iter_errors(document)]
    assert not problems, f"{command}: {out[:2000]}"
    if "error" not in document:
        checked.add(command)


@cache
def _validator(command: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/$defs/{command.replace(' ', '-')}", "$defs": _definitions()["$defs"]}
    )


@cache
def _definitions() -> dict[str, dict[str, object]]:
    return schema()["commands.schema.json"]


@cache
def _names() -> frozenset[str]:
    return frozenset(commands())


def _command_of(arguments: Sequence[str]) -> str | None:
    words = [word for word in arguments if not word.startswith("-")]
    return next((name for name in (" ".join(words[:2]), words[0] if words else "") if name in _names()), None)


def _listed(group: click.Group, context: click.Context, above: str = "") -> list[str]:
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found += _listed(command, context, f"{above}{name} ")
        elif command is not None and any(option.name == "as_json" for option in command.params):
            found.append(above + name)
    return found
