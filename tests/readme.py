"""README.md taken apart: its fenced blocks, the shell sessions in them, the tables that are made from the models.

A block's second word says what it is to the tests: in "```toml rents/repro.toml" the file that it becomes,
in "```console rents" the folder in which its commands are run, in the order of the file. Blocks without
one are shown and not executed. A table below a comment "made from MODULE:MODEL" is that model's fields.

`python tests/readme.py` runs the sessions and writes outputs and tables anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

README = Path(__file__).parents[1] / "README.md"
HOME = "/home/ann"
"""What the reader sees in the place of the folder that the sessions are run in."""

_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)
_TABLE = re.compile(r"^<!-- made from (\S+):(\w+) -->\n((?:\|.*\n)+)", re.M)
_ID = re.compile(r"\b[0-9a-f]{7,64}\b(?!\.)")
_DROPPED = ("LAKECTL_", "MLFLOW_", "SPARK_", "AWS_", "REPROLOCK_", "GIT_")

_VARIES = (
    (_ID, "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?Z"), "TIME"),
    (re.compile(r"\b(\d+ min )?\d+(\.\d+)? s\b"), "SECONDS"),
    (re.compile(r"(\d\.\d{4})\d+"), r"\1"),
    (re.compile(r"\b\d+ (packages|on Python)\b"), r"N \1"),
    (re.compile(r"\b\d+(\.\d+)? (kB|MB|GB)\b"), "SIZE"),
    (re.compile(r"\b([Pp]ython|Java|Spark) \d+(\.\d+)*( \(\w+\))?"), r"\1 VERSION"),
    (re.compile(r"local\[\d+\]"), "local[N]"),
    (re.compile(r"(?<=\S)  +(?=\S)"), "  "),
)
"""What differs from run to run or machine to machine, columns' widths included."""


class Block(NamedTuple):
    """One fenced block; `place` is its second word, `start` and `end` are where its text stands."""

    language: str
    place: str | None
    text: str
    start: int
    end: int


class Step(NamedTuple):
    """A command of a session, and the lines that follow it."""

    command: str
    output: str


def blocks(text: str) -> list[Block]:
    """Every fenced block, in order."""
    return [Block(found[1], found[2], found[3], found.start(3), found.end(3)) for found in _BLOCK.finditer(text)]


def sessions(text: str) -> list[str]:
    """The folders that sessions are run in, in order."""
    return list(dict.fromkeys(block.place for block in blocks(text) if block.language == "console" and block.place))


def steps(block: Block) -> list[Step]:
    """A console block as commands and their outputs. A command goes on after a backslash at the end of its line."""
    found: list[Step] = []
    going_on = False
    for line in block.text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append(Step(line[2:], ""))
        elif going_on:
            found[-1] = Step(found[-1].command + line, "")
        else:
            found[-1] = Step(found[-1].command, found[-1].output + line)
        going_on = line.endswith("\\\n")
    return found


def normal(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, word in _VARIES:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


def executed(text: str, session: str, home: Path, ids: dict[str, str]) -> Iterator[tuple[Block, Step, str]]:
    """Run one session below `home`, a user's new and empty folder; each step with what it really printed.

    `ids` is filled: the IDs that are shown, and those of today in their places, which commands further down are given.
    """
    folder = home / session
    folder.mkdir(parents=True, exist_ok=True)
    for block in blocks(text):
        if block.place is None or block.place.split("/")[0] != session:
            continue
        if block.language != "console":
            path = home / block.place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            continue
        for shown in steps(block):
            step = shown._replace(command=of_today(shown.command, ids))
            done = subprocess.run(
                ["bash", "-c", step.command],
                cwd=folder,
                env=_environ(home),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
            )
            ids.update(zip(_ID.findall(step.output), _ID.findall(done.stdout), strict=False))
            yield block, step, done.stdout.replace(str(home), HOME)


def of_today(text: str, ids: Mapping[str, str]) -> str:
    """The text with today's IDs in the places of those that are shown."""
    return _ID.sub(lambda found: ids.get(found[0], found[0]), text)


def _environ(home: Path) -> dict[str, str]:
    """A new user's: nothing of the developer's own services, settings and keys."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
    programs = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    person = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", "Ann"), ("EMAIL", "ann@example.com"))
    }
    return (
        kept
        | person
        | {"HOME": str(home), "PATH": programs, "LANG": "C.UTF-8", "COLUMNS": "100", "GIT_CONFIG_GLOBAL": os.devnull}
    )


def tables(text: str) -> list[tuple[str, str, str]]:
    """Every table that is made from a model: the module, the model's name, the table as it stands."""
    return [(found[1], found[2], found[3]) for found in _TABLE.finditer(text)]


def table(module: str, name: str) -> str:
    """The table of a model's fields: key, meaning, default. Every field has to say what it means."""
    model: type[BaseModel] = getattr(import_module(module), name)
    rows = ["| key | meaning | default |", "| --- | --- | --- |"]
    for key, field in model.model_fields.items():
        assert field.description, f"{name}.{key} has no description"
        meaning, _, default = field.description.partition(" Default: ")
        if field.description.startswith("Default: "):
            meaning, default = "", field.description.removeprefix("Default: ")
        meaning = " ".join(filter(None, (meaning, _choices(field.annotation))))
        rows.append(f"| `{key}` | {_cell(meaning)} | {_cell(default.removesuffix('.') or _default(field))} |")
    return "\n".join(rows) + "\n"


def _choices(annotation: Any) -> str:
    literals = [annotation, *get_args(annotation)]
    for literal in literals:
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
    return text.replace("|", r"\|")


def written_anew(text: str) -> str:
    """README.md with the outputs and tables of today; sessions that are not executed are given today's IDs."""
    ids: dict[str, str] = {}
    found: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for session in sessions(text):
            for block, step, output in executed(text, session, Path(folder).resolve(), ids):
                found[block.start] = found.get(block.start, "") + f"$ {step.command}{output}"
    for block in reversed(blocks(text)):
        if block.language == "console":
            shown = found.get(block.start) or of_today(block.text, ids)
            assert "has a bug" not in shown, shown
            text = text[: block.start] + shown + text[block.end :]
    return _TABLE.sub(lambda match: match[0].removesuffix(match[3]) + table(match[1], match[2]), text)


if __name__ == "__main__":
    before = README.read_text()
    after = written_anew(before)
    assert README.read_text() == before, "README.md was edited meanwhile"
    README.write_text(after)
