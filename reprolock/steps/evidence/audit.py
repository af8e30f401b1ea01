"""`audit`: check the claims about a run with public keys only. Executes nothing, contacts no service.

1. Each line of attestations.jsonl is read, its signature, its time stamp and its place in the chain verified.
2. What was signed is compared with what stands there: rules, pins, spec, lock, code, record, outputs, verdicts.
3. The record is compared with its artifacts and with itself, as before a replay.
4. What trust.toml asks for is counted: verdicts and reviews by different keys, none of them the author's own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Literal, NamedTuple

from reprolock.errors import NotReplayable, UsageError
from reprolock.files.os_errors import cannot_read
from reprolock.model.claims import Audit, Claim, StatementRow
from reprolock.model.record import Record
from reprolock.model.statement import Hold, ReplayVerdict, Review
from reprolock.model.words import counted, plain, short, size
from reprolock.steps.evidence.artifacts import artifacts_of
from reprolock.steps.evidence.attestations import lines_of
from reprolock.steps.evidence.check_bundle import check_bundle
from reprolock.steps.evidence.check_statements import (
    check_hold,
    check_intent,
    check_review,
    check_run,
    check_times,
    check_verdict,
)
from reprolock.steps.evidence.online import ask_mlflow, ask_world
from reprolock.steps.evidence.read_statements import Line, Statements, read_statements
from reprolock.steps.evidence.trust import Trust, read_trust
from reprolock.steps.project.machine import Machine
from reprolock.steps.recording.load import Recorded, read_record, read_recorded
from reprolock.tracker.protocol import RECORD

_REJECTED = "rejected"
"""The one meaning of a review that speaks against a run, however it is written."""


class Demand(NamedTuple):
    """How many keys must have signed a verdict, and a review. Before a replay: none, for it is to give the first."""

    replay: int
    review: int


def audit(
    root: Path,
    run: str,
    trust: Path,
    *,
    threshold: int | None = None,
    statements: Sequence[Path] = (),
    online: bool = False,
    tracking_uri: str | None = None,
    lake: str | None = None,
    machine: Machine | None = None,
) -> Audit:
    """Audit a run that is named by its ID, a beginning of it, or a folder with its artifacts, by the keys in `trust`.

    A run of another machine's is fetched from MLflow; nothing else is asked, unless `online` asks MLflow and the lake (`lake`:
    at another endpoint than the record's) what they say today. `statements` are further files of lines. A result that is not trusted is data, not an error; UsageError for a faulty trust.toml, NotReplayable for no record.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    believed = read_trust(root / trust)
    more = [line for path in statements for line in _lines(root / path)]
    with artifacts_of(root, run, machine, tracking_uri) as found:
        recorded = _recorded(found.folder)[0] if online or found.bundle else None
        asked = ask_mlflow(recorded, root, machine, tracking_uri) if online and recorded else None
        more += asked.statements if asked else ()  # one that speaks against the run may have been left out here
        answer = audit_folder(found.folder, believed, threshold=threshold, more=more)
        if found.bundle is not None:
            answer = check_bundle(answer, found.bundle, recorded)
        return ask_world(answer, asked, recorded, root, machine, lake) if asked and recorded else answer


def _lines(path: Path) -> list[bytes]:
    try:
        return lines_of(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"--statements: {cannot_read(path, error).message}", hint="name an attestations.jsonl"
        ) from None


def audit_folder(folder: Path, trust: Trust, *, threshold: int | None = None, more: Sequence[bytes] = ()) -> Audit:
    """Audit the artifacts in a folder. `threshold` is how many keys must have signed REPRODUCED, in the place of
    trust.toml's; `more` are statements from elsewhere. NotReplayable where there is no record to audit; UsageError where
    trust.toml has too few keys for the threshold."""
    policy = trust.policy
    if threshold is not None and threshold > (there := len(policy.owners("replay"))):
        raise UsageError(
            f"--threshold {threshold} asks for more verdicts than trust.toml has keys for: {counted(there, 'key')} {'has' if there == 1 else 'have'} the role replay",
            hint="name more keys in trust.toml, or ask for fewer",
        )
    needed = policy.needed("replay") if threshold is None else threshold
    return _audited(folder, trust, Demand(needed, policy.needed("review")), more)


def require_trusted(folder: Path, trust: Trust) -> None:
    """Before a replay: NotReplayable with the first reason unless the run's own statements are all that trust asks for.
    Verdicts and reviews are not asked for, and one that speaks against the run still refuses it."""
    found = _audited(folder, trust, Demand(0, 0), ())
    if found.reasons:
        raise refusal(found)


def require_consistent(folder: Path, record: Record, recorded: Recorded) -> None:
    """NotReplayable where statements beside a record do not fit it, whatever key signed them. Nothing is said of keys, and
    a run that was signed by nobody may have been replayed by somebody who signed the verdict."""
    found = read_statements(folder, record, None)
    reasons = (*found.reasons, *_contradictions(found, record, folder, recorded))
    if reasons:
        raise NotReplayable(reasons[0], problems=reasons[1:], hint=_HINT)


def refusal(found: Audit) -> NotReplayable:
    """The error of an audit that ended badly."""
    missing = all(_REQUIRED in reason for reason in found.reasons)
    return NotReplayable(found.reasons[0], problems=found.reasons[1:], hint=_MORE if missing else _HINT)


_REQUIRED = "are required, and there"
_MORE = "`reprolock replay` gives a verdict, `reprolock sign` a review, each by a key of trust.toml in REPROLOCK_SIGNING_KEY"
_HINT = "get the run's artifacts from where they were first recorded, and trust.toml from somebody you trust"


def _audited(folder: Path, trust: Trust, demand: Demand, more: Sequence[bytes]) -> Audit:
    record = read_record(folder / RECORD)
    found = read_statements(folder, record, trust, more)
    recorded, broken = _recorded(folder)
    unsigned = [found.unsigned] if found.unsigned else []
    reasons = [*unsigned, *found.reasons, *_contradictions(found, record, folder, recorded), *broken]
    intent, run = _pair(found)
    authors = {trust.owner(line.key) for line in (intent, run) if line}
    verdicts = _by_others(found, "verdict", trust, authors)
    reviews = _by_others(found, "review", trust, authors)
    reasons += _against(found, trust)
    if intent and run:
        reasons += [*_unknown(intent, run, trust), *check_times(intent, run, record, needed=trust.policy.stamped)]
    reasons += _too_few(demand, verdicts, reviews)
    reasons = list(dict.fromkeys(reasons))
    return Audit(
        run=record.run_id,
        name=plain(record.run_name or ""),
        project=plain(record.project),
        outcome="NOT TRUSTED" if reasons else "TRUSTED",
        reasons=tuple(reasons),
        claims=tuple(_claims(record, recorded, intent, run, verdicts, reviews, found)) if not reasons else (),
        author_alone=tuple(_author_alone(intent, verdicts, record)) if not reasons else (),
        remarks=(*found.remarks, *_own_words(found, trust, authors), *_unlocked(verdicts)),
        statements=tuple(map(_row, found.lines)),
        asked=_asked(demand, verdicts, reviews, trust),
    )


def _recorded(folder: Path) -> tuple[Recorded | None, tuple[str, ...]]:
    with tempfile.TemporaryDirectory(prefix="reprolock-") as place:
        try:
            return read_recorded(folder, Path(place) / "code", None), ()
        except NotReplayable as error:
            return None, (error.message, *error.problems)


def _pair(found: Statements) -> tuple[Line | None, Line | None]:
    """The statements before and after the run."""
    first = {line.kind: line for line in reversed(found.lines)}
    return first.get("intent"), first.get("run")


def _contradictions(found: Statements, record: Record, folder: Path, recorded: Recorded | None) -> Iterator[str]:
    """Where what was signed and what is there differ, whatever key signed it."""
    for line in found.lines:
        match line.kind:
            case "intent":
                yield from check_intent(line, record, folder)
            case "run":
                yield from check_run(line, folder, recorded)
            case "verdict":
                yield from check_verdict(line, record, folder)
            case "review":
                yield from check_review(line)
            case "hold":
                yield from check_hold(line, record)


def _unknown(intent: Line, run: Line, trust: Trust) -> Iterator[str]:
    for line, what in ((intent, "before the run"), (run, "after the run")):
        if not trust.has_role(line.key, "run"):
            role = "does not have the role run" if line.name else "is not in trust.toml"
            yield f"what was signed {what} is by {line.signer}, which {role}"


def _by_others(found: Statements, kind: str, trust: Trust, authors: Set[str]) -> tuple[Line, ...]:
    """The newest good word of each owner of a key that has the role, if none of theirs signed anything of the run itself."""
    role: Literal["replay", "review"] = "replay" if kind == "verdict" else "review"
    words = {
        trust.owner(line.key): line
        for line in found.lines
        if line.kind == kind
        and trust.owner(line.key) not in authors
        and trust.has_role(line.key, role)
        and _is_good(line)
    }
    return tuple(words.values())


def _is_good(line: Line) -> bool:
    said = line.statement.predicate
    if isinstance(said, ReplayVerdict):
        return said.verdict.kind == "REPRODUCED"
    return isinstance(said, Review) and not _rejects(said)


def _rejects(review: Review) -> bool:
    return review.meaning.strip().casefold() == _REJECTED


def _against(found: Statements, trust: Trust) -> Iterator[str]:
    """Trusted keys that speak against the run. One is enough, whatever others say."""
    for line in found.lines:
        said = line.statement.predicate
        if isinstance(said, ReplayVerdict) and said.verdict.kind == "DIVERGED" and trust.has_role(line.key, "replay"):
            yield f"{line.signer} replayed it and found otherwise: DIVERGED, {plain(said.verdict.reason)}"
        if isinstance(said, Review) and _rejects(said) and trust.has_role(line.key, "review"):
            yield f"{line.signer} rejected it" + (f": {plain(said.comment)}" if said.comment else "")


def _too_few(demand: Demand, verdicts: Sequence[Line], reviews: Sequence[Line]) -> Iterator[str]:
    for needed, there, what in (
        (demand.replay, verdicts, "verdicts REPRODUCED"),
        (demand.review, reviews, "reviews"),
    ):
        if len(there) < needed:
            yield f"{what} by {counted(needed, 'key')} other than the author's {_REQUIRED} {'is' if len(there) == 1 else 'are'} {len(there) or 'none'}"


def _own_words(found: Statements, trust: Trust, authors: Set[str]) -> Iterator[str]:
    """Statements that count for nothing, with the reason."""
    for line in found.lines:
        said = line.statement.predicate
        if line.kind in ("verdict", "review") and trust.owner(line.key) in authors:
            yield f"line {line.number}: a {line.kind} by the author's own key does not count"
        elif isinstance(said, ReplayVerdict) and said.verdict.kind == "NOT REPLAYABLE" and line.name:
            yield f"{line.name} could not replay it: {plain(said.verdict.reason)}"
        elif line.name and line.kind in ("verdict", "review"):
            role: Literal["replay", "review"] = "replay" if line.kind == "verdict" else "review"
            if not trust.has_role(line.key, role):
                yield f"line {line.number}: {line.name} does not have the role {role}: not counted"


def _unlocked(verdicts: Sequence[Line]) -> Iterator[str]:
    for line in verdicts:
        assert isinstance(line.statement.predicate, ReplayVerdict)
        yield from (f"of {line.signer}'s replay: {plain(said)}" for said in line.statement.predicate.verdict.unlocked)


def _author_alone(intent: Line | None, verdicts: Sequence[Line], record: Record) -> Iterator[str]:
    """What only the author vouches for."""
    if intent is not None and intent.stamped is None:
        yield "that the rules are older than the result, and when it ran: there is no time stamp"
    if not verdicts:
        yield "what came out of the run: no other key has signed a verdict"
    if record.pass_env:
        yield f"the values of {', '.join(map(plain, record.pass_env))}, which are not recorded"


def _claims(
    record: Record,
    recorded: Recorded | None,
    intent: Line | None,
    run: Line | None,
    verdicts: Sequence[Line],
    reviews: Sequence[Line],
    found: Statements,
) -> Iterator[Claim]:
    assert intent is not None and run is not None and recorded is not None  # else there is a reason
    older = "older than the result" if intent.stamped else "signed before the result, by the author's clock"
    yield Claim(topic="rules", says=older, by=f"signed by {intent.signer}", stamped=intent.stamped)
    for item in record.datasets:
        amount = f"{counted(item.objects, 'object')}, {size(item.bytes)}"
        yield Claim(topic="data", says=f"{item.name} at {short(item.commit)}", by=f"{amount}, pinned before the run")
    yield Claim(topic="software", says=_software(recorded), by="pinned before the run")
    yield Claim(
        topic="result", says=_result(record), by=f"signed by {run.signer} after the command ended", stamped=run.stamped
    )
    for line in verdicts:
        assert isinstance(line.statement.predicate, ReplayVerdict)
        verdict = line.statement.predicate.verdict
        yield Claim(
            topic="replayed", says=f"{verdict.kind}, {plain(verdict.reason)}", by=_signed(line), stamped=line.stamped
        )
    for line in reviews:
        assert isinstance(line.statement.predicate, Review)
        review = line.statement.predicate
        yield Claim(
            topic="reviewed",
            says=f"{plain(review.meaning)}, {plain(review.name)}",
            by=_signed(line),
            stamped=line.stamped,
        )
    for line in found.lines:
        if isinstance(line.statement.predicate, Hold) and line.name:
            for held in line.statement.predicate.held:
                says = f"{short(held.commit)} in {plain(held.repository)} until {held.until:%Y-%m-%d}"
                yield Claim(topic="held", says=says, by=_signed(line), stamped=line.stamped)


def _signed(line: Line) -> str:
    return f"signed by {line.signer}, {line.statement.link.created:%Y-%m-%d}"


def _software(recorded: Recorded) -> str:
    lock = recorded.lock
    parts = [counted(len(lock.environment.package), "package")] if lock.environment else ["packages not locked"]
    parts += [counted(len(lock.jars.jar), "jar")] if lock.jars else []
    return ", ".join(parts)


def _result(record: Record) -> str:
    written = [output for output in record.outputs if output.digest]
    return f"{counted(len(written), 'output')}, {counted(len(record.metrics), 'metric')}"


def _asked(demand: Demand, verdicts: Sequence[Line], reviews: Sequence[Line], trust: Trust) -> str:
    parts = [f"{len(verdicts)} of {counted(demand.replay, 'verdict')}"] if demand.replay else []
    parts += [f"{len(reviews)} of {counted(demand.review, 'review')}"] if demand.review else []
    parts += ["time stamps"] if trust.policy.stamped else []
    return ", ".join(parts) or "the author's signature alone"


def _row(line: Line) -> StatementRow:
    return StatementRow(
        kind=line.kind, key=line.key, signer=line.name, created=line.statement.link.created, stamped=line.stamped
    )
