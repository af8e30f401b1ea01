"""A `Report` as Markdown for a pull request: metrics first, then outputs, and all that changed folded away.

Names and values in it are foreign text. A forge takes a comment of 65,536 characters; what is longer is cut, line by line,
in the folded part alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from reprolock.cli.difference import escape, markdown_table
from reprolock.model.report import MetricChange, Report, RowChange
from reprolock.model.words import counted, short

LIMIT = 65_000
"""GitHub's limit of a comment is 65,536 characters; GitLab's is larger."""
_SIGNS = {"identical": "✓", "within tolerance": "✓", "beyond tolerance": "✗", "missing": "✗"}


def markdown(report: Report) -> list[str]:
    """The lines of one comment. The first is the same for each report of a project: by it a bot finds its comment."""
    head = [*_heading(report), *_metrics(report), *_outputs(report), *_rows(report)]
    difference = list(markdown_table(report.difference))
    opening = ["", "<details><summary>Everything that changed</summary>", ""]
    closing = ["", "</details>"]
    if report.difference.same:
        return head
    room = LIMIT - sum(len(line) + 1 for line in (*head, *opening, *closing))
    kept = _cut(difference, room)
    return [*head, *opening, *kept, *closing]


def _heading(report: Report) -> Iterator[str]:
    yield f"<!-- reprolock report: {escape(report.project)} -->"
    yield f"## {escape(report.project)}: {escape(report.base.label)} → {escape(report.head.label)}"
    yield ""
    if report.base.run_id is None:
        yield f"**{report.difference.sentence}**"
    else:
        result = (
            "Every declared metric is within its tolerance."
            if not report.beyond
            else "A declared metric left its tolerance."
        )
        result = result if report.metrics else "No metric is declared under [metrics]."
        yield f"**{result}** {report.difference.sentence}"
        yield ""
        sides = (f"{escape(side.label)} is run `{(side.run_id or '')[:8]}`" for side in (report.base, report.head))
        yield "; ".join(sides) + "."


def _metrics(report: Report) -> Iterator[str]:
    if report.metrics:
        yield from ("", "| | metric | before | after | tolerance | |", "| --- | --- | ---: | ---: | --- | --- |")
        for each in report.metrics:
            values = " | ".join("–" if value is None else repr(value) for value in (each.before, each.after))
            yield f"| {_SIGNS[each.state]} | {escape(each.name)} | {values} | {each.tolerance} | {_moved(each)} |"


def _moved(metric: MetricChange) -> str:
    if metric.before is None or metric.after is None:
        return "not logged " + ("before" if metric.before is None else "after")
    return metric.state if metric.state == "identical" else f"{metric.after - metric.before:+.6g}, {metric.state}"


def _outputs(report: Report) -> Iterator[str]:
    if report.outputs:
        yield from ("", "| output | compared as | before | after | |", "| --- | --- | --- | --- | --- |")
        for each in report.outputs:
            digests = " | ".join("–" if value is None else f"`{short(value)}`" for value in (each.before, each.after))
            yield f"| {escape(each.name)} | {each.compare} | {digests} | {'equal' if each.equal else '**different**'} |"


def _rows(report: Report) -> Iterator[str]:
    if moved := [row for row in report.rows if row.before != row.after]:
        yield from ("", "Rows: " + ", ".join(map(_row, moved)) + ".")


def _row(row: RowChange) -> str:
    values = ["unknown" if value is None else f"{value:,}" for value in (row.before, row.after)]
    return f"{escape(row.name)} {values[0]} → {values[1]}"


def _cut(lines: list[str], room: int) -> list[str]:
    """As many whole lines as there is room for, with a word on the others. A folded patch is left out whole."""
    if sum(len(line) + 1 for line in lines) <= room:
        return lines
    inner = next((index for index, line in enumerate(lines) if line.startswith("<details>")), len(lines))
    kept: list[str] = []
    left = room - 100
    for line in lines[:inner]:
        left -= len(line) + 1
        if left < 0:
            break
        kept.append(line)
    return [*kept, "", f"… and {counted(len(lines) - len(kept), 'line')} more; `reprolock diff` shows all."]
