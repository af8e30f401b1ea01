"""Read attestations.jsonl: each line's statement, whose signature it has, and whether the chain holds.

Foreign input: nothing is believed but what a key of trust.toml has signed. Without a trust no signature is looked at,
and a `Line` says what stands there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from reprolock.model.record import Record
from reprolock.model.statement import Hold, Intent, ReplayVerdict, Review, Statement, parse
from reprolock.model.words import plain, short
from reprolock.steps.evidence.attestations import line_digest, read_lines
from reprolock.steps.evidence.trust import Trust
from reprolock.tracker.protocol import ATTESTATIONS


class Line(NamedTuple):
    """One line that is what it claims to be. `number` counts from 1, `digest` is how the next one names it, `name` that of the
    key in trust.toml (None: unknown there), `stamped` a trusted authority's time, UTC."""

    number: int
    digest: str
    key: str
    name: str | None
    statement: Statement
    stamped: datetime | None = None

    @property
    def signer(self) -> str:
        """Who signed, for people."""
        return self.name or f"the unknown key {short(self.key)}"

    @property
    def kind(self) -> Literal["intent", "run", "verdict", "review", "hold"]:
        """What the statement is, in one word."""
        match self.statement.predicate:
            case Intent():
                return "intent"
            case ReplayVerdict():
                return "verdict"
            case Review():
                return "review"
            case Hold():
                return "hold"
            case None:
                return "run"


class Statements(NamedTuple):
    """The lines that could be read, why any of them is not to be believed, and what else a person should know.

    `unsigned`: why nothing vouches for the run itself, where what stands there was all signed later.
    """

    lines: tuple[Line, ...] = ()
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    unsigned: str | None = None


class Broken(ValueError):
    """A line that cannot be believed; the text ends the sentence."""


def read_statements(folder: Path, record: Record, trust: Trust | None, more: Sequence[bytes] = ()) -> Statements:
    """The statements beside a record. `more` are lines from elsewhere, which follow."""
    raw = list(dict.fromkeys([*read_lines(folder), *more]))
    if not raw:
        return Statements(reasons=(f"run {short(record.run_id)} is not signed: there is no {ATTESTATIONS}",))
    lines: list[Line] = []
    reasons: list[str] = []
    known: set[str] = set()
    for number, data in enumerate(raw, 1):
        try:
            lines.append(_line(number, data, record, trust, known))
        except ValueError as error:
            said = "it is not a valid statement" if "\n" in str(error) else plain(str(error))
            reasons.append(f"line {number} of {ATTESTATIONS}: {said}")
        known.add(line_digest(data))
    later = lines and not reasons and not {"intent", "run"} & {line.kind for line in lines}
    return Statements(
        tuple(lines),
        tuple(reasons if later else (*reasons, *_order(lines))),
        tuple(_remarks(lines, trust)),
        f"run {short(record.run_id)} is not signed: {ATTESTATIONS} has only what was signed later" if later else None,
    )


def _line(number: int, data: bytes, record: Record, trust: Trust | None, known: set[str]) -> Line:
    from reprolock.signing.envelope import is_signed_by, open_line  # heavy: loaded only where something is verified

    signed = open_line(data)
    name = None
    if trust is not None and signed.key_id in trust.keys:
        name, key = trust.keys[signed.key_id]
        if not is_signed_by(signed, key):
            raise Broken(
                f"it was changed after {name} signed it"
                if key.pem
                else f"its bundle does not show, by what held then of sigstore.trusted_root, that {name} signed it"
            )
    statement = parse(signed.payload)
    link = statement.link
    if link.signer != signed.key_id:
        raise Broken("the envelope names another key than the statement in it")
    if link.run != record.run_id:
        raise Broken(f"it is about run {short(link.run)}, and this is run {short(record.run_id)}")
    if (link.previous is None) != (number == 1) or (link.previous is not None and link.previous not in known):
        raise Broken("its link to the line before is broken: one was changed, moved or removed")
    stamped = _stamped(signed.token, signed.signature, trust) if signed.token else None
    revoked = trust.policy.keys[name].revoked if trust is not None and name is not None else None
    if revoked is not None and (stamped is None or stamped >= revoked):
        raise Broken(
            f"the key of {name} was revoked {revoked:%Y-%m-%d}, and no time stamp shows that it was signed before that"
        )
    return Line(number, line_digest(data), signed.key_id, name, statement, stamped)


def _stamped(token: bytes, signature: bytes, trust: Trust | None) -> datetime | None:
    """The time that a trusted authority stamped; None where no authority is trusted at all."""
    if trust is None or not trust.roots:
        return None
    from reprolock.signing.timestamp import verify_token  # heavy: loaded only where something is verified

    try:
        return verify_token(token, signature, trust.roots)
    except ValueError:
        raise Broken(
            "its time stamp is not by an authority in trust.toml whose certificates held then, or is for something else"
        ) from None


def _order(lines: Sequence[Line]) -> list[str]:
    """The intent stands first, the run second, all else behind them."""
    kinds: list[str] = [line.kind for line in lines]
    reasons = [
        f"{ATTESTATIONS} has {kinds.count(kind)} statements about {what}, where one is expected"
        for kind, what in (("intent", "what was to run"), ("run", "what came out"))
        if kinds.count(kind) > 1
    ]
    if kinds[:1] != ["intent"]:
        reasons.append(
            "nothing was signed before the command started: the first statement is not about what was to run"
        )
    elif kinds[1:2] != ["run"]:
        reasons.append(
            "nothing was signed when the command had ended: the run was cut off, or its statement was removed"
        )
    else:
        early = [line.number for line in lines[2:] if line.statement.link.previous == lines[0].digest]
        reasons += [f"line {number} of {ATTESTATIONS} was signed before the run had ended" for number in early]
    return reasons


def _remarks(lines: Sequence[Line], trust: Trust | None) -> list[str]:
    if trust is None:
        return []
    remarks = [
        f"line {line.number} ({line.kind}) is signed by a key that trust.toml does not name, {short(line.key)}: not counted"
        for line in lines
        if line.name is None
    ]
    return remarks
