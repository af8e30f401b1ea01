"""`Attestor`: signs what a run, a replay or a person states, each line on top of the one before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from reprolock import __version__
from reprolock.errors import UsageError
from reprolock.model.digest import sha256
from reprolock.model.lock import EnvironmentPin, JarsPin
from reprolock.model.record import Record
from reprolock.model.secrecy import SIGNING_KEY
from reprolock.model.spec import EvidenceSpec
from reprolock.model.statement import Link, Predicate, statement
from reprolock.steps.evidence import statements
from reprolock.steps.evidence.attestations import line_digest
from reprolock.steps.project.machine import Machine
from reprolock.tracker.mlflow_tracker import record_bytes

if TYPE_CHECKING:
    from reprolock.signing.keys import SigningKey


class Attestor(NamedTuple):
    """A key, where time stamps come from (None: nowhere), and the machine's clock and variables.

    `required`: repro.toml asks for signatures, so that one that cannot be made is an error, not a warning.
    """

    key: SigningKey
    timestamp: str | None
    now: Callable[[], datetime]
    environ: Mapping[str, str]
    required: bool = False

    def intent(self, record: Record) -> bytes:
        """The first line, before the command starts."""
        return self._sealed(statements.intent(record, self.link(record.run_id, ())))

    def run(
        self, record: Record, environment: EnvironmentPin | None, jars: JarsPin | None, before: Sequence[bytes]
    ) -> bytes:
        """The line for a run that has ended, whose record is closed."""
        link = self.link(record.run_id, before)
        return self._sealed(statements.run(record, sha256(record_bytes(record)), environment, jars, link))

    def state(self, subjects: Mapping[str, Mapping[str, str]], predicate: Predicate) -> bytes:
        """A line for a statement of one of reprolock's own kinds."""
        return self._sealed(statement(subjects, predicate))

    def link(self, run_id: str, before: Sequence[bytes]) -> Link:
        """What a statement that is signed now says of itself."""
        return Link(
            run=run_id,
            created=self.now(),
            signer=self.key.public.id,
            previous=line_digest(before[-1]) if before else None,
            reprolock=__version__,
        )

    def _sealed(self, payload: bytes) -> bytes:
        from reprolock.signing.envelope import seal  # heavy, and a key is here already

        return seal(payload, self.key, self._stamp if self.timestamp else None)

    def _stamp(self, signature: bytes) -> bytes:
        from reprolock.signing.timestamp import request_token  # heavy, and only where an authority is declared

        assert self.timestamp is not None
        return request_token(self.timestamp, signature, self.environ, self.now())


def open_attestor(
    machine: Machine, evidence: EvidenceSpec = EvidenceSpec(), *, offline: bool = False
) -> Attestor | None:
    """The attestor of this machine's key; None where there is none. UsageError for a key that cannot sign, or that is
    missing where repro.toml asks for it. `offline` asks for no time stamps."""
    if not machine.environ.get(SIGNING_KEY):
        if evidence.sign:
            raise UsageError(
                f"evidence.sign in repro.toml asks for a signature, and {SIGNING_KEY} is not set",
                hint=f"`reprolock key new FILE` makes a key; name it in {SIGNING_KEY}",
            )
        return None
    from reprolock.signing.keys import open_key  # heavy: loaded only where something is signed

    key = open_key(machine.environ)
    assert key is not None
    if offline and key.public.pem is None:
        raise UsageError(
            f"{SIGNING_KEY} is sigstore:, which needs its services, and --offline contacts none",
            hint="sign with a key file, or leave --offline out",
        )
    timestamp = None if offline else evidence.timestamp
    return Attestor(key, timestamp, machine.now, machine.environ, evidence.sign)


def require_attestor(machine: Machine, evidence: EvidenceSpec = EvidenceSpec()) -> Attestor:
    """As `open_attestor`, for commands that do nothing but sign."""
    attestor = open_attestor(machine, evidence)
    if attestor is None:
        raise UsageError(
            f"{SIGNING_KEY} is not set, and nothing else says which key signs",
            hint=f"`reprolock key new FILE` makes a key; name it in {SIGNING_KEY}",
        )
    return attestor
