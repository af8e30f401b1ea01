"""`Difference`: what is not the same in two locks or two runs, section by section. Values, no IO.

Inputs (data, software, code, params, seed, command) stand apart from the outcome (metrics, outputs): only
inputs are counted, for a person asks which of them explains the other outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, Strict

from reprolock.model.value import Value

Strings = Annotated[tuple[str, ...], Strict(False)]

ENVIRONMENT = ("packages", "jars", "java", "spark")
"""The sections that are one word, "environment", where none of them changed."""
OUTCOME = ("metrics", "outputs")
"""The sections that a run made; all others went into it."""

_COUNTS = ("Nothing", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")


class Change(Value):
    """One thing that is not the same. None: that side does not have it."""

    name: str = Field(description="What it is: a dataset, a package, a file, a metric …")
    old: str | None = Field(None, description="Its value on the first side.")
    new: str | None = Field(None, description="Its value on the second side.")
    note: str = Field("", description="What the two values alone do not say.")


class Objects(Value):
    """What a lake says has changed between the two commits of a dataset."""

    dataset: str = Field(description="Its name under [datasets].")
    added: int = Field(description="How many the second side alone has.")
    removed: int = Field(description="How many the first side alone has.")
    changed: int = Field(description="How many both have, with other bytes.")
    first: Strings = Field(description='The first few, or all: "+ path", "- path", "~ path".')

    @property
    def total(self) -> int:
        """How many there are in all."""
        return self.added + self.removed + self.changed


class Section(Value):
    """One section of both sides."""

    name: str = Field(description="data, packages, jars, java, spark, code, params, seed, command, metrics, outputs …")
    detail: str = Field("", description="What both sides have, in a few words; of the new side where they differ.")
    changes: Annotated[tuple[Change, ...], Strict(False)] = Field((), description="What is not the same.")
    objects: Annotated[tuple[Objects, ...], Strict(False)] = Field(
        (), description="What the lake says of the data's objects."
    )
    remarks: Strings = Field((), description="What could not be compared, and why; what else a reader should know.")
    patch: Strings = Field((), description="Lines of a unified diff; of code only.")

    @property
    def same(self) -> bool:
        """Nothing in it changed."""
        return not self.changes


class Difference(Value):
    """Two sides, and every section that one of them has."""

    kind: Literal["lock", "run"] = Field(description="What was compared.")
    left: str = Field(description="The first side, as people call it.")
    right: str = Field(description="The second side.")
    sections: Annotated[tuple[Section, ...], Strict(False)] = Field(description="Inputs first, then what came out.")

    @property
    def same(self) -> bool:
        """Nothing differs, not even the outcome."""
        return all(section.same for section in self.sections)

    @property
    def things(self) -> int:
        """How many inputs changed; the code is one, however many of its files did."""
        inputs = [section for section in self.sections if section.name not in OUTCOME]
        return sum(
            min(len(section.changes), 1) if section.name == "code" else len(section.changes) for section in inputs
        )

    @property
    def results(self) -> int:
        """How many metrics and outputs came out otherwise."""
        return sum(len(section.changes) for section in self.sections if section.name in OUTCOME)

    @property
    def sentence(self) -> str:
        """`One thing changed.` of two locks; of two runs, whose inputs stand apart from their results, `One input changed, and two
        results.`"""
        if self.same:
            return "Nothing changed."
        if self.kind == "lock":
            return f"{_count(self.things, 'thing')} changed."
        if not self.things:
            return f"No input changed, and {_count(self.results, 'result').lower()}."
        results = _count(self.results, "result").lower() if self.results else "no result"
        return f"{_count(self.things, 'input')} changed, and {results}."


class ComparedRow(Value):
    """One thing that not all of several runs have alike."""

    section: str = Field(description="data, params, metrics …, as a section of a Difference.")
    name: str = Field(description="What it is: a dataset, a param, a metric …")
    values: Annotated[tuple[str | None, ...], Strict(False)] = Field(
        description="Its value in each run, in their order; null where a run does not have it."
    )


class Comparison(Value):
    """Several runs as one table: the first of them is what the others are compared with."""

    labels: Strings = Field(
        description="The runs by name, or by the beginning of the ID where a name is none or not theirs alone."
    )
    run_ids: Strings = Field(description="The runs by their whole IDs, in the same order.")
    rows: Annotated[tuple[ComparedRow, ...], Strict(False)] = Field(description="Inputs first, then what came out.")

    @property
    def sentence(self) -> str:
        """`2 inputs and 1 metric differ.`"""
        inputs = sum(row.section not in OUTCOME for row in self.rows)
        results = len(self.rows) - inputs
        if not self.rows:
            return "Nothing differs."
        if not results:
            return f"{_count(inputs, 'input')} {'differs' if inputs == 1 else 'differ'}, and no result."
        told = (
            f"{_count(inputs, 'input')} and {_count(results, 'result').lower()}"
            if inputs
            else _count(results, "result")
        )
        return f"{told} {'differs' if inputs + results == 1 else 'differ'}."


def joined(labels: Sequence[str], run_ids: Sequence[str], differences: Sequence[Difference]) -> Comparison:
    """One table of what differs between a first run and each of the others."""
    sections = list(dict.fromkeys(section.name for difference in differences for section in difference.sections))
    sections.sort(key=lambda name: OUTCOME.index(name) if name in OUTCOME else -1)
    rows = []
    for section in sections:
        found = [
            {change.name: change for each in difference.sections if each.name == section for change in each.changes}
            for difference in differences
        ]
        for name in dict.fromkeys(name for changes in found for name in changes):
            first = next(changes[name].old for changes in found if name in changes)
            others = (_value(changes[name]) if name in changes else first for changes in found)
            rows.append(ComparedRow(section=section, name=name, values=(first, *others)))
    return Comparison(labels=tuple(labels), run_ids=tuple(run_ids), rows=tuple(rows))


def _value(change: Change) -> str | None:
    """What the other run has; a note where the values are not shown, or are alike."""
    return change.note if change.note and change.old == change.new else change.new


def _count(number: int, noun: str) -> str:
    """`One input`, `12 results`."""
    return f"{_COUNTS[number] if number < len(_COUNTS) else number} {noun if number == 1 else f'{noun}s'}"
