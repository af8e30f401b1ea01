"""A `Difference` as lines: for a terminal, and as Markdown for a pull request. Names in it are foreign text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from reprolock.cli.options import align
from reprolock.cli.terminal import styled
from reprolock.cli.width import table_width
from reprolock.model.difference import ENVIRONMENT, Change, Comparison, Difference, Objects, Section
from reprolock.model.words import counted, plain

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~#])")
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def text_lines(difference: Difference) -> Iterator[str]:
    """Aligned rows, the code's unified diff, and the sentence."""
    rows = []
    for section in _join(difference):
        rows += _rows(section, str)
    yield from align(rows)
    patch = [line for section in difference.sections for line in section.patch]
    if patch:
        yield ""
        yield from (styled(line, fg=_COLOURS.get(line[:1])) for line in patch)
        yield ""
    yield styled(difference.sentence, bold=True)


def markdown_lines(difference: Difference) -> Iterator[str]:
    """A heading, the sentence, and the table."""
    yield f"### {escape(difference.left)} → {escape(difference.right)}"
    yield ""
    yield f"**{difference.sentence}**"
    yield ""
    yield from markdown_table(difference)


def markdown_table(difference: Difference) -> Iterator[str]:
    """A row for each thing, and the code's unified diff folded away."""
    yield "| section | | |"
    yield "| --- | --- | --- |"
    for section in _join(difference):
        for name, state, text in _rows(section, escape):
            yield f"| {name} | {'**changed**' if state == 'changed' else state} | {text} |"
    patch = [plain(line) for section in difference.sections for line in section.patch]
    if patch:
        longest = max((len(run) for line in patch for run in re.findall(r"`+", line)), default=0)
        fence = "`" * max(3, longest + 1)
        yield from (
            "",
            "<details><summary>The code, line by line</summary>",
            "",
            f"{fence}diff",
            *patch,
            fence,
            "",
            "</details>",
        )


def comparison_tables(comparison: Comparison, width: int | None) -> Iterator[list[list[str]]]:
    """A column for each run; what differs from the first one is bold. Where a terminal has no room for all of them, several
    tables, each with the first run: a digest that is cut could look like another one."""
    others = list(range(1, len(comparison.labels))) if comparison.rows else []
    while others:
        count = len(others)
        while count > 1 and width is not None and table_width(_columns(comparison, others[:count])) > width:
            count -= 1
        yield _columns(comparison, others[:count])
        del others[:count]


def _columns(comparison: Comparison, others: Sequence[int]) -> list[list[str]]:
    """The first run and those of these positions, side by side."""
    labels = [comparison.labels[at] for at in (0, *others)]
    rows, before = [[styled(cell, bold=True) for cell in ("", "", *labels)]], ""
    for row in comparison.rows:
        first = row.values[0]
        cells = [first or "–", *(styled(row.values[at] or "–", bold=row.values[at] != first) for at in others)]
        rows.append([row.section if row.section != before else "", row.name, *cells])
        before = row.section
    return rows


def comparison_markdown(comparison: Comparison) -> Iterator[str]:
    """The sentence, and the same table."""
    yield f"**{comparison.sentence}**"
    if comparison.rows:
        yield ""
        yield f"| section | | {' | '.join(map(escape, comparison.labels))} |"
        yield f"| --- | --- |{' --- |' * len(comparison.labels)}"
    for row in comparison.rows:
        yield f"| {row.section} | {escape(row.name)} | {' | '.join(escape(value or '–') for value in row.values)} |"


def escape(text: str) -> str:
    """Text that Markdown takes for text, and no forge for a mention."""
    return _MARKDOWN.sub(r"\\\1", plain(text)).replace("@", "&#64;")


def _join(difference: Difference) -> Iterator[Section]:
    """The sections; those of the environment as one where none of them changed."""
    software = [section for section in difference.sections if section.name in ENVIRONMENT]
    together = len(software) > 1 and all(section.same for section in software)
    for section in difference.sections:
        if not together or section.name not in ENVIRONMENT:
            yield section
        elif section is software[0]:
            detail = ", ".join(f"{each.name} {each.detail}" for each in software if each.detail)
            remarks = tuple(remark for each in software for remark in each.remarks)
            yield Section(name="environment", detail=detail, remarks=remarks)


def _rows(section: Section, shown: Callable[[str], str]) -> list[list[str]]:
    objects = {each.dataset: each for each in section.objects}
    texts = [] if section.changes else [shown(section.detail)]
    for change in section.changes:
        found = objects.get(change.name)
        texts.append(shown(_change(section.name, change)) + (f"   {_counts(found)}" if found else ""))
        if found:
            texts += [f"  {shown(path)}" for path in found.first]
            if found.total > len(found.first):
                texts.append(f"  … and {found.total - len(found.first)} more; --objects names all")
    texts += [f"({shown(remark)})" for remark in section.remarks]
    state = "same" if section.same else "changed"
    return [[section.name if index == 0 else "", state if index == 0 else "", text] for index, text in enumerate(texts)]


def _change(section: str, change: Change) -> str:
    """`max_iter 20 → 50`, `added scipy 1.3`; code by its paths alone."""
    name = "" if change.name == section or (section, change.name) == ("java", "Java") else f"{change.name} "
    note = f"   {change.note}" if change.note else ""
    if change.old is None and change.new is None:
        return f"{name}{change.note}".strip()
    if change.old is None or change.new is None:
        value = "" if section == "code" else change.new or change.old or ""
        return f"{'added' if change.old is None else 'removed'} {name}{value}".rstrip() + note
    if section == "code":
        return change.name
    if change.old == change.new:
        return f"{name}{change.new}{note}"
    return f"{name}{change.old} → {change.new}{note}"


def _counts(objects: Objects) -> str:
    """`1 object removed, 1 changed`, as `status` writes it."""
    counts = [(objects.added, "added"), (objects.removed, "removed"), (objects.changed, "changed")]
    found = [(count, kind) for count, kind in counts if count]
    return ", ".join(
        f"{counted(count, 'object') if index == 0 else count} {kind}" for index, (count, kind) in enumerate(found)
    )
