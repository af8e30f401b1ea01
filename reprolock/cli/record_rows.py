"""Rows that show a record: its inputs, its outputs, what was observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reprolock.cli.width import cut_start, table_width
from reprolock.model.words import counted, short, size
from reprolock.model.workspace import MOST_DIFFERING, OTHERS

if TYPE_CHECKING:
    from reprolock.model.record import CodeRecord, DatasetRecord, LeftoverRecord, Record

_GAP = "   "
_HEADS = 13
"""Characters of the widest head of a row, "Unpublished", and the gap after it."""
_MOST_CHILDREN = 10
"""How many MLflow runs that the command started beside its own are shown."""
_SHORTEST_ADDRESS = 20
"""Characters of an input's address that are shown however narrow the terminal is."""
_MOST_NAMED = 3
"""How many files that differ from the commit are named."""


def opening_rows(record: Record, width: int | None = None) -> list[list[str]]:
    """Inputs, code, environment and why, as rows. `width`: the terminal's, into which addresses of inputs are cut."""
    inputs = [
        ["Inputs" if index == 0 else "", item.name, _shorten(item.url, item.commit), _extent(item)]
        for index, item in enumerate(record.datasets)
    ]
    rows = fit_addresses(inputs, width)
    code = record.code
    state = f" at {code.commit[:7]} ({_git_state(code)})" if code.commit else f", digest {code.digest[:8]}"
    rows.append(["Code", f"{counted(code.files, 'file')}{state}"])
    rows.append(["Env", _environment(record)])
    if record.why:
        rows.append(["Why", "; ".join(record.why)])
    return rows


def fit_addresses(rows: list[list[str]], width: int | None) -> list[list[str]]:
    """Rows of head, name, address and more, whose addresses are cut until the rows fit a terminal."""
    over = table_width(rows) - width if width and rows else 0
    room = max(_SHORTEST_ADDRESS, max((len(row[2]) for row in rows), default=0) - max(over, 0))
    return [[head, name, cut_start(address, room), *more] for head, name, address, *more in rows]


def _git_state(code: CodeRecord) -> str:
    """Clean or dirty, and which files make it so; what git lists beside the code is named, for `git status` does too."""
    aside = ", ".join(code.aside[:_MOST_NAMED])
    if code.dirty:
        count = len(code.differs) - _MOST_NAMED
        at_least = "at least " if len(code.differs) == MOST_DIFFERING else ""
        more = f" and {at_least}{count} more" if count > 0 else ""
        named = ", ".join(code.differs[:_MOST_NAMED])
        state = f"dirty: {named}{more}" if named else "dirty"
    else:
        state = "clean"
    return f"{state}; git lists {aside}" if aside else state


def _extent(item: DatasetRecord) -> str:
    rows = () if item.rows is None else (counted(item.rows, "row"),)
    return ", ".join([counted(item.objects, "object"), size(item.bytes), *rows])


def closing_rows(record: Record, width: int | None = None) -> list[list[str]]:
    """Outputs and metrics, as rows. `width`: the terminal's, beyond which metrics are counted."""
    rows = []
    for index, output in enumerate(record.outputs):
        found = "missing" if output.digest is None else f"{counted(output.files, 'file')}, {size(output.bytes)}"
        digest = f"{output.compare} {short(output.decisive)[:8]}" if output.decisive else ""
        digest = output.problem or digest
        rows.append(["Outputs" if index == 0 else "", output.name, output.path, found, digest])
    rows += _published(record, width)
    if record.metrics:
        rows.append(["Metrics", _metrics(record, width)])
    for index, left in enumerate(record.leftovers[:_MOST_NAMED]):
        told = "no output declares it" if left.files == 1 else "no output declares them"
        rows.append(
            ["Left" if index == 0 else "", left.path, f"{counted(left.files, 'file')}, {size(left.bytes)}", told]
        )
    if others := record.leftovers[_MOST_NAMED:]:
        rows.append(["", _other_leftovers(others)])
    for index, child in enumerate(record.children[:_MOST_CHILDREN]):
        values = "   ".join(f"{name} {_number(value)}" for name, value in sorted(child.metrics.items()))
        rows.append(["Runs" if index == 0 else "", child.name, child.run_id[:8], values, ", ".join(child.models)])
    if (more := len(record.children) - _MOST_CHILDREN) > 0:
        rows.append(["", f"and {more} more, which `reprolock show --json` lists"])
    return rows


def _other_leftovers(others: Sequence[LeftoverRecord]) -> str:
    """How many are not shown, and where they are listed; of very many the record itself lists the largest."""
    if others[-1].path != OTHERS:
        return f"and {len(others)} more, which `reprolock show --json` lists"
    total = sum(item.bytes for item in others)
    return f"and {len(others) - 1 + others[-1].files} more, {size(total)}; `reprolock show --json` lists the largest"


def _published(record: Record, width: int | None) -> list[list[str]]:
    """A row for each output in the lake; in a terminal that is too narrow, what became of it stands below its address."""
    rows = []
    for index, item in enumerate(record.published):
        where = f"commit {short(item.commit)}" if item.commit else "no commit"
        state = [
            f"tagged {item.tag}" if item.tag else "",
            f"merged in {short(item.merged)}" if item.merged else f"on {item.branch}",
        ]
        rows.append(["Published" if index == 0 else "", item.name, item.uri, where, ", ".join(filter(None, state))])
    if not rows or width is None or table_width(rows) <= width:
        return rows
    addresses = fit_addresses([row[:3] for row in rows], width)
    return [part for row, [*begin] in zip(rows, addresses, strict=True) for part in (begin, ["", ", ".join(row[3:])])]


def _metrics(record: Record, width: int | None) -> str:
    """All metrics by name; in a terminal those of `[metrics]` first, and as many others as fit a line."""
    named = [(name, f"{name} {_number(value)}") for name, value in sorted(record.metrics.items())]
    if width is None:
        return _GAP.join(text for _, text in named)
    named.sort(key=lambda item: f"metrics.{item[0]}" not in record.rules)
    shown: list[str] = []
    for at, (name, text) in enumerate(named):
        more = len(named) - at - 1
        line = _GAP.join([*shown, text, *([f"and {more} more"] if more else [])])
        if len(line) > width - _HEADS and f"metrics.{name}" not in record.rules and shown:
            return _GAP.join([*shown, f"and {more + 1} more"])
        shown.append(text)
    return _GAP.join(shown)


def lineage_rows(record: Record) -> list[list[str]]:
    """What was observed, and what was not declared, as rows."""
    if record.lineage is None:
        return []
    rows = [["Lineage", record.lineage.coverage]]
    rows += [["", read.sentence] for read in record.lineage.undeclared]
    rows += [["", f"outside the lock: {sentence}"] for sentence in record.lineage.unlocked]
    return rows


def _environment(record: Record) -> str:
    parts = [counted(len(record.environment.packages), "package"), f"Python {record.environment.python}"]
    if record.spark:
        java = f"Java {record.spark.java}" if record.spark.java else ""
        parts = [*parts[:1], *([java] if java else parts[1:]), f"Spark {record.spark.version}", record.spark.master]
    return f"{record.observed.sections.get('packages', '')[:8]} ({', '.join(parts)})"


def short_address(item: DatasetRecord) -> str:
    """Where a dataset is at its commit, with the beginning of that."""
    return _shorten(item.resolved, item.commit)


def _shorten(url: str, commit: str) -> str:
    return url.replace(commit, f"{commit[:12]}…")


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"
