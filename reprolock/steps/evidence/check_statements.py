"""Compare what was signed with the run's files. Each difference is a sentence, and a reason not to trust the run. Executes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from reprolock.errors import NotReplayable
from reprolock.files.containment import read_regular
from reprolock.model.digest import sha256
from reprolock.model.record import Record
from reprolock.model.sections import SECTIONS
from reprolock.model.statement import Hold, Intent, ReplayVerdict, Review
from reprolock.model.uri import LakeURI
from reprolock.model.verdict import displayed, shown_tolerance
from reprolock.model.words import short
from reprolock.steps.evidence import statements
from reprolock.steps.evidence.read_statements import Line
from reprolock.steps.recording.load import Recorded
from reprolock.tracker.protocol import RECORD

_CLOCKS = timedelta(minutes=2)
"""How far the author's clock may be ahead of the authority's; no time stamp is taken where it is far ahead when signing."""


def check_intent(line: Line, record: Record, folder: Path) -> Iterator[str]:
    """The rules of comparison, what was pinned, and the files that were declared, against what was signed before the run."""
    assert isinstance(line.statement.predicate, Intent)
    signed, subjects = line.statement.predicate, line.statement.subjects
    for name in sorted(signed.rules.keys() | record.rules.keys()):
        before, now = (rules.get(name) for rules in (signed.rules, record.rules))
        if before != now:
            yield _rule(name, before, now)
    for name in SECTIONS:
        if signed.pinned.sections.get(name) != record.pinned.sections.get(name):
            yield f"{name}: what record.json says is pinned is not what was signed before the run"
    if signed.pinned.total != record.pinned.total or signed.project != record.project:
        yield "record.json is of another project, or of other pins, than what was signed before the run"
    if subjects.keys() != set(statements.DECLARED):  # foreign names, none of which is opened
        yield f"what {line.signer} signed before the run is about other files than {', '.join(statements.DECLARED)}"
    for name in statements.DECLARED:
        if subjects.get(name) != {"sha256": _sha256(folder / name)}:
            yield f"{name} is not the one that was signed before the run"


def check_run(line: Line, folder: Path, recorded: Recorded | None) -> Iterator[str]:
    """record.json and all that is said of its outputs, against what was signed when the run had ended."""
    found = _sha256(folder / RECORD)
    if line.statement.subjects.get(RECORD) != {"sha256": found}:
        yield f"{RECORD} is not the one that was signed after the run"
        return
    if recorded is None:
        return
    expected = json.loads(
        statements.run(recorded.record, found, recorded.lock.environment, recorded.lock.jars, line.statement.link)
    )
    if _written(expected) != _written(line.statement.document):
        different = ", ".join(_different(expected, line.statement.document)) or "something"
        yield f"the statement on the run and {RECORD} say different things of {different}"


def check_verdict(line: Line, record: Record, folder: Path) -> Iterator[str]:
    """Whether a verdict is about this record, and about all that it declares."""
    assert isinstance(line.statement.predicate, ReplayVerdict)
    if line.statement.subjects != {RECORD: {"sha256": _sha256(folder / RECORD)}}:
        yield f"the verdict of {line.signer} is about another {RECORD}"
        return
    verdict = line.statement.predicate.verdict
    declared = {name for name, rule in record.rules.items() if rule.get("compare") != "none"}
    compared = {f"{item.kind}s.{item.name}" for item in verdict.comparisons}
    # A metric of several MLflow runs of one command is compared for each of them besides: "metrics.loss of run 2".
    unasked = [name for name in compared - declared if not name.startswith(tuple(f"{each} of " for each in declared))]
    if verdict.kind == "REPRODUCED" and (unasked or not declared <= compared or not declared):
        yield f"the verdict of {line.signer} does not compare all that the run declares"
    values = {f"outputs.{output.name}": output.compared for output in record.outputs}
    values |= {f"metrics.{name}": displayed(value) for name, value in record.metrics.items()}
    for item in verdict.comparisons:
        if (name := f"{item.kind}s.{item.name}") in declared and item.recorded != values.get(name):
            yield f"the verdict of {line.signer} compares another {item.name} than that of {RECORD}"


def check_review(line: Line) -> Iterator[str]:
    """Whether a review is about the line that it stands behind."""
    assert isinstance(line.statement.predicate, Review)
    if [*line.statement.subjects.values()] != [{"sha256": line.statement.link.previous}]:
        yield f"line {line.number}: the review of {line.signer} is about something else than the statements before it"


def check_hold(line: Line, record: Record) -> Iterator[str]:
    """Whether what is held is what the run read."""
    assert isinstance(line.statement.predicate, Hold)
    pinned = {(LakeURI.parse(item.resolved).repository, item.commit) for item in record.datasets}
    for held in line.statement.predicate.held:
        if (held.repository, held.commit) not in pinned:
            yield f"line {line.number}: the hold of {line.signer} is of a commit that the run did not read, {short(held.commit)}"


def check_times(intent: Line, run: Line, record: Record, *, needed: bool) -> Iterator[str]:
    """Whether trusted time stamps put the rules before the result."""
    if needed:
        for line, what in ((intent, "before the run"), (run, "after the run")):
            if line.stamped is None:
                yield f"trust.toml asks for time stamps, and what was signed {what} has none"
    if intent.stamped is not None and record.ended is not None and intent.stamped > record.ended:
        yield (
            f"the rules are not older than the result: they were time-stamped {_time(intent.stamped)}, "
            f"and the command had ended {_time(record.ended)}"
        )
    if intent.stamped is not None and run.stamped is not None and run.stamped < intent.stamped:
        yield "the result was time-stamped before the rules"
    if run.stamped is not None and record.ended is not None and record.ended > run.stamped + _CLOCKS:
        yield (
            f"the result was time-stamped {_time(run.stamped)}, "
            f"and record.json says that the command ended {_time(record.ended)}, after that"
        )


def _rule(name: str, before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    """`the tolerance of auc is not the one that was signed before the run: ±1e-2, signed ±1e-6`."""
    shown = name.partition(".")[2]
    if before is None:
        return f"{shown} is compared, and was not when the rules were signed"
    if now is None:
        return f"{shown} is not compared, and was when the rules were signed"
    others = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)} - {"rel", "abs"}
    if others:
        return f"how {shown} is compared is not what was signed before the run: {', '.join(sorted(others))}"
    return f"the tolerance of {shown} is not the one that was signed before the run: {_tolerance(now)}, signed {_tolerance(before)}"


def _tolerance(rule: Mapping[str, Any]) -> str:
    return shown_tolerance(rule.get("rel") or 0.0, rule.get("abs") or 0.0) or "exact"


def _different(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """Names of the parts of a run statement that differ."""
    subjects = [{item["name"]: item["digest"] for item in document["subject"]} for document in (expected, found)]
    yield from sorted(
        name for name in subjects[0].keys() | subjects[1].keys() if subjects[0].get(name) != subjects[1].get(name)
    )
    parts = {
        "what went in": ("buildDefinition", "resolvedDependencies"),
        "what was asked for": ("buildDefinition", "externalParameters"),
        "metrics": ("runDetails", "byproducts"),
        "when and by what it ran": ("runDetails", "metadata"),
    }
    for what, (one, two) in parts.items():
        if _written(expected["predicate"][one].get(two)) != _written(found["predicate"].get(one, {}).get(two)):
            yield what


def _written(value: Any) -> str:
    """A value as JSON has it: 2, 2.0 and true differ."""
    return json.dumps(value, sort_keys=True)


def _sha256(path: Path) -> str:
    try:
        return sha256(read_regular(path))
    except OSError:
        raise NotReplayable(f"{path.name} is not there, and was signed", hint="get all artifacts of the run") from None


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}Z"
