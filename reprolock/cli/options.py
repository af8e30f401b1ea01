"""What every command takes: -C, --json, -q, -v; and how it prints what the library answered."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from reprolock.cli.terminal import RESULT, say, say_document, shown_width, styled


class Settings(NamedTuple):
    """The options that all commands share."""

    directory: str = "."
    json: bool = False
    quiet: bool = False
    verbose: bool = False

    @property
    def root(self) -> Path:
        """The folder to work in."""
        return Path(self.directory)

    def line(self, text: str = "") -> None:
        """A line of the result, on stdout; silent with --json and -q."""
        if not self.json and not self.quiet:
            say(text)

    def remark(self, text: str) -> None:
        """A remark, on stderr."""
        if not self.quiet:
            say(text, err=True)

    def warning(self, text: str) -> None:
        """Something that a person should know; said with -q too."""
        say(f"{styled('warning:', fg='yellow', bold=True)} {text}", err=True)

    def rows(self, rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
        """Rows in aligned columns."""
        for text in align(rows):
            self.line(indent + text)

    def result(self, document: Mapping[str, Any]) -> None:
        """With --json: one object on stdout, and nothing else; printed when the command has ended, with its error if there is one."""
        if self.json:
            RESULT.hold(document)

    def document(self, text: str) -> None:
        """A document in another tool's format, on stdout; silent with --json."""
        if not self.json:
            say_document(text)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns padded to their widest cell, two spaces apart, nothing trailing."""
    columns = max((len(row) for row in rows), default=0)
    widths = [
        max((shown_width(row[column]) for row in rows if column < len(row) - 1), default=0) for column in range(columns)
    ]
    return [
        "  ".join(
            cell + " " * (widths[index] - shown_width(cell)) if index < len(row) - 1 else cell
            for index, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]


def align_blocks(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows whose first column is a head. What follows it is aligned with the rows without a head below it alone."""
    blocks: list[list[Sequence[str]]] = []
    for row in rows:
        if row[0] or not blocks:
            blocks.append([])
        blocks[-1].append(row[1:])
    heads = align([[row[0], "|"] for row in rows])
    return [
        f"{head[:-1]}{text}"
        for head, text in zip(heads, (line for block in blocks for line in align(block)), strict=True)
    ]


tracking_option = click.option(
    "--tracking-uri", metavar="URI", help="MLflow tracking URI to use instead of the one in repro.toml."
)
"""For commands that read runs in MLflow."""


def add_shared_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the shared options to a command and hands them over as one `Settings` in front of its own."""

    @click.option("-C", "directory", metavar="DIR", default=None, help="Work in this folder.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
    @click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
    @click.option("-v", "--verbose", is_flag=True, help="Say more.")
    @click.pass_context
    @functools.wraps(function)
    def wrapper(
        ctx: click.Context, /, *, directory: str | None, as_json: bool, quiet: bool, verbose: bool, **own: Any
    ) -> Any:
        above = ctx.find_object(Settings) or Settings()
        settings = Settings(directory or above.directory, as_json, quiet, verbose)
        return function(settings, **own)

    return wrapper


def is_watched() -> bool:
    """Whether a person watches stderr, and progress may be drawn there."""
    return sys.stderr.isatty()
