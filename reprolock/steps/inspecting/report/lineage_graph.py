"""Lay out the lineage of a run as boxes and arrows (data → run → outputs): positions and texts, no markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reprolock.model.lineage import Lineage
from reprolock.model.record import OutputRecord, Record
from reprolock.model.words import command_line, counted

WIDTH, HEIGHT, GAP = 250, 62, 14
"""A box, and the space between two of them, in the picture's own units."""
_COLUMNS = (4, 335, 666)
_MOST = 10
_LONGEST = 33


class Box(NamedTuple):
    """One box; `kind` is "data", "undeclared" (read, and declared by no dataset), "run" or "output". `full` is what a pointer that rests on it reads."""

    kind: str
    x: int
    y: int
    title: str
    lines: tuple[str, ...]
    full: str


class Item(NamedTuple):
    """What a box is to say, wherever it will stand."""

    kind: str
    title: str
    lines: tuple[str, ...]
    full: str


class Arrow(NamedTuple):
    """From the right side of one box to the left side of another."""

    x1: int
    y1: int
    x2: int
    y2: int


class Picture(NamedTuple):
    """What is drawn, and how much room it takes."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    width: int
    height: int


def picture(record: Record) -> Picture:
    """At most ten on each side are drawn; a last box says how many more there are."""
    lineage = record.lineage or Lineage(coverage="")
    # First what is not as it should be: it is never among those that are left out.
    data = [Item("undeclared", "not declared", ("read by Spark", read.uri), read.uri) for read in lineage.undeclared]
    data += [
        Item("data", item.name, (f"commit {item.commit[:12]}", counted(item.objects, "object")), item.resolved)
        for item in record.datasets
    ]
    by_spark = {write.output for write in lineage.writes}
    outputs = [
        Item(
            "output",
            item.name,
            (item.path, _written(item) + (", by Spark" if item.name in by_spark else "")),
            item.path,
        )
        for item in record.outputs
    ]
    command = command_line(record.command)
    height = max(len(data[: _MOST + 1]), len(outputs[: _MOST + 1]), 1) * (HEIGHT + GAP)
    left = _column(0, data, height)
    [run] = _column(1, [Item("run", f"run {record.run_id[:8]}", (command, f"code {_code(record)}"), command)], height)
    right = _column(2, outputs, height)
    arrows = [_arrow(box, run) for box in left] + [_arrow(run, box) for box in right]
    return Picture((*left, run, *right), tuple(arrows), _COLUMNS[2] + WIDTH + 4, height)


def _column(column: int, items: Sequence[Item], height: int) -> list[Box]:
    shown = list(items[:_MOST])
    if len(items) > _MOST:
        shown.append(Item(items[-1].kind, f"{len(items) - _MOST} more", ("named below",), ""))
    top = (height - len(shown) * (HEIGHT + GAP) + GAP) // 2
    return [
        Box(kind, _COLUMNS[column], top + index * (HEIGHT + GAP), _cut(title), tuple(map(_cut, lines)), full)
        for index, (kind, title, lines, full) in enumerate(shown)
    ]


def _arrow(source: Box, target: Box) -> Arrow:
    return Arrow(source.x + WIDTH, source.y + HEIGHT // 2, target.x - 6, target.y + HEIGHT // 2)


def _written(output: OutputRecord) -> str:
    return "missing" if output.digest is None else f"{output.compare} {_short(output.decisive or '')}"


def _code(record: Record) -> str:
    code = record.code
    return code.commit[:12] + (" with changes" if code.dirty else "") if code.commit else code.digest[:12]


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:12]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
