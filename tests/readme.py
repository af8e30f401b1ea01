"""README.md and the pages of docs/ taken apart: their fenced blocks, and the shell sessions in them.

A block's title says what it is to the tests: in ```` ```toml title="rents/repro.toml" ```` the file that it becomes, in
```` ```console title="rents" ```` the folder in which its commands are run, in the order of the document. Blocks without
a title are shown and not executed. A session belongs to one document.

`python tests/readme.py [FILE…]` runs the sessions and writes their outputs again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
HOME = "/home/ann"
"""What the reader sees instead of the folder that the sessions are run in."""

_BLOCK = re.compile(r"^( *)```(\w+)(?: title=\"(\S+)\")?\n(.*?)^\1```$", re.M | re.S)
_ID = re.compile(r"\b[0-9a-f]{7,64}\b(?!\.)")
_DROPPED = ("LAKECTL_", "MLFLOW_", "SPARK_", "AWS_", "REPROLOCK_", "GIT_", "OPENLINEAGE_")

_VARIES = (
    (_ID, "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?Z?"), "TIME"),
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
    """One fenced block; `title` is what it is to the tests, `start` and `end` are where its text stands."""

    language: str
    title: str | None
    text: str
    start: int
    end: int


class Step(NamedTuple):
    """A command of a session, and the lines that follow it."""

    command: str
    output: str


def documents() -> list[Path]:
    """README.md and every page of docs/."""
    return [README, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    """Every fenced block, in order."""
    return [Block(found[2], found[3], found[4], found.start(4), found.end(4)) for found in _BLOCK.finditer(text)]


def sessions(text: str) -> list[str]:
    """The folders that sessions are run in, in order."""
    return list(dict.fromkeys(block.title for block in blocks(text) if block.language == "console" and block.title))


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


def execute(
    text: str, session: str, home: Path, ids: dict[str, str], environ: Mapping[str, str] = {}
) -> Iterator[tuple[Block, Step, str]]:
    """Run one session below `home`, a user's new and empty folder; each step with what it really printed.

    `ids` is filled: the IDs that are shown, and those of today instead, which commands further down are given. `environ` is what the
    user has exported.
    """
    folder = home / session
    folder.mkdir(parents=True, exist_ok=True)
    for block in blocks(text):
        if block.title is None or block.title.split("/")[0] != session:
            continue
        if block.language != "console":
            path = home / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            continue
        for shown in steps(block):
            step = shown._replace(command=of_today(shown.command, ids))
            done = subprocess.run(
                ["bash", "-c", step.command],
                cwd=folder,
                env=_environ(home) | dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=600,
            )
            ids.update(zip(_ID.findall(step.output), _ID.findall(done.stdout), strict=False))
            yield block, step, done.stdout.replace(str(home), HOME)


def of_today(text: str, ids: Mapping[str, str]) -> str:
    """The text with today's IDs instead of those that are shown."""
    return _ID.sub(lambda found: ids.get(found[0], found[0]), text)


def _environ(home: Path) -> dict[str, str]:
    """A new user's: nothing of the developer's own services, settings and credentials."""
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


def written_anew(text: str) -> str:
    """The document with the outputs of today; sessions that are not executed are given today's IDs."""
    ids: dict[str, str] = {}
    found: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for session in sessions(text):
            for block, step, output in execute(text, session, Path(folder).resolve(), ids):
                found[block.start] = found.get(block.start, "") + f"$ {step.command}{output}"
    for block in reversed(blocks(text)):
        if block.language == "console":
            shown = found.get(block.start) or of_today(block.text, ids)
            assert "has a bug" not in shown, shown
            text = text[: block.start] + shown + text[block.end :]
    return text


if __name__ == "__main__":
    for document in [Path(name) for name in sys.argv[1:]] or documents():
        before = document.read_text()
        if sessions(before):
            after = written_anew(before)
            assert document.read_text() == before, f"{document} was edited meanwhile"
            document.write_text(after)
