"""Fit rows into the width of a terminal. Where nobody looks, in a file or a pipe, nothing is cut."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from reprolock.cli.terminal import shown_width

GAP = 2
"""Spaces between two columns."""


def columns_of(stream: TextIO | None) -> int | None:
    """How wide the terminal is that a stream is shown on; None where it is none."""
    return shutil.get_terminal_size().columns if stream is not None and stream.isatty() else None


def of_stdout() -> int | None:
    """How wide the terminal is that shows results."""
    return columns_of(sys.stdout)


def of_stderr() -> int | None:
    """How wide the terminal is that shows remarks."""
    return columns_of(sys.stderr)


def table_width(rows: Sequence[Sequence[str]]) -> int:
    """How wide rows are in aligned columns."""
    widths = [max(map(shown_width, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + GAP * (len(widths) - 1)


def cut_end(text: str, width: int) -> str:
    """The beginning of a text that is too long, and "…"."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def cut_start(text: str, width: int) -> str:
    """The end of an address that is too long, after "…": it says more than the folders that it begins with."""
    return text if len(text) <= width else f"…{text[len(text) - width + 1 :]}"


def narrowed(rows: Sequence[Sequence[str]], width: int | None, least: Mapping[int, int]) -> list[list[str]]:
    """Rows of equal length whose columns of `least`, the first one first, are cut down to no less than so many characters until the
    rows fit. What is cut has no colour."""
    table = [list(row) for row in rows]
    for column, floor in least.items():
        over = 0 if width is None else table_width(table) - width
        if over <= 0:
            break
        widest = max(shown_width(row[column]) for row in table)
        for row in table:
            if shown_width(row[column]) > floor:  # no heading, which may be in bold
                row[column] = cut_end(row[column], max(floor, widest - over))
    return table
