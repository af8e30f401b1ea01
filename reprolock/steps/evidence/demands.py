"""`evidence`: the demands of a regulation, each with the fields of a run's record and statements that answer it.

Only what has a value in this run answers anything; all else is not covered. Whose signatures are good, `audit` says.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from reprolock.model.demands import FRAMEWORKS, Answer, Answers, FoundField, Name
from reprolock.model.record import Digests, Record
from reprolock.model.words import plain, short
from reprolock.steps.evidence.artifacts import artifacts_of
from reprolock.steps.evidence.attestations import read_lines
from reprolock.steps.evidence.audit import require_consistent
from reprolock.steps.evidence.read_statements import read_statements
from reprolock.steps.project.machine import Machine
from reprolock.steps.recording.load import read_recorded

_MOST = 6
"""Values of one field that are shown; how many more there are is said."""


def evidence(
    root: Path, run: str, framework: Name, *, tracking_uri: str | None = None, machine: Machine | None = None
) -> Answers:
    """The demands of one of `FRAMEWORKS`, answered for a run that is named by its ID, a beginning of it, a folder with its
    artifacts, or a bundle. NotReplayable where record, artifacts and statements do not fit together."""
    machine = machine or Machine.here()
    root = root.resolve()
    with artifacts_of(root, run, machine, tracking_uri) as found, tempfile.TemporaryDirectory() as place:
        recorded = read_recorded(found.folder, Path(place) / "code", None)
        facts: dict[str, list[Any]] = {"record": [recorded.record]}
        if read_lines(found.folder):
            require_consistent(found.folder, recorded.record, recorded)
            for line in read_statements(found.folder, recorded.record, None).lines:
                facts.setdefault(line.kind, []).append(line.statement.predicate or line.statement.link)
    return _answer(recorded.record, framework, facts)


def _answer(record: Record, framework: Name, facts: Mapping[str, Sequence[Any]]) -> Answers:
    source = FRAMEWORKS[framework]
    answers = [
        Answer(
            number=demand.number,
            asks=demand.asks,
            found=tuple(
                FoundField(field=field, value=value) for field in demand.fields if (value := _shown(facts, field))
            ),
        )
        for demand in source.demands
    ]
    return Answers(
        run=record.run_id,
        name=plain(record.run_name or ""),
        project=plain(record.project),
        title=source.title,
        source=source.source,
        note=source.note,
        answers=tuple(answers),
    )


def _shown(facts: Mapping[str, Sequence[Any]], field: str) -> str:
    """What stands in a field of this run, for people; empty where nothing does."""
    kind, *path = field.split(".")
    values: Iterable[Any] = facts.get(kind, ())
    for name in path:
        values = [getattr(item, name) for value in values for item in _each(value)]
    texts = list(dict.fromkeys(text for value in values for text in _texts(value) if text))
    more = f" and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return ", ".join(texts[:_MOST]) + more


def _each(value: Any) -> Iterator[Any]:
    """A value, each of several, or nothing for None."""
    if isinstance(value, tuple | list):
        yield from value
    elif value is not None:
        yield value


def _texts(value: Any) -> Iterator[str]:
    match value:
        case None:
            return
        case Digests():
            yield short(value.total)
        case datetime():
            yield f"{value:%Y-%m-%d %H:%M:%S}Z"
        case dict():
            yield from (f"{plain(str(name))} {_brief(item)}".rstrip() for name, item in sorted(value.items()))
        case BaseModel():
            yield ", ".join(text for name in type(value).model_fields for text in _texts(getattr(value, name)))
        case tuple() | list():
            for item in value:
                yield from _texts(item)
        case _:
            yield _brief(value)


def _brief(value: Any) -> str:
    """A digest by its beginning, a table by its entries."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_brief(item)}" for name, item in value.items())
    text = plain(str(value))
    return short(text) if len(text) >= 40 and ("/" not in text) else text
