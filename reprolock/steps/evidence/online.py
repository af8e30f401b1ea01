"""What lake and MLflow say of a run today, beside what was signed: `audit --online`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import NotFound, PinError, UsageError
from reprolock.lake.open import open_lake, require_here
from reprolock.model.claims import Audit, Claim
from reprolock.model.digest import sha256
from reprolock.model.uri import LakeURI
from reprolock.model.words import counted, short
from reprolock.steps.evidence.artifacts import open_mlflow
from reprolock.steps.evidence.attestations import lines_of, read_lines
from reprolock.steps.evidence.hold import Held, Pinned, check_holds
from reprolock.steps.locking.availability import check_listings
from reprolock.steps.project.machine import Machine
from reprolock.steps.recording.load import Recorded
from reprolock.tracker.protocol import ATTESTATIONS, RECORD


def ask_world(
    found: Audit, mlflow: MLflowSays, recorded: Recorded, root: Path, machine: Machine, lake: str | None
) -> Audit:
    """The audit with what MLflow has said, and what the lake says. ServiceError where it does not answer."""
    reasons, remarks, claims = [*found.reasons, *mlflow.reasons], [*found.remarks, *mlflow.remarks], list(found.claims)
    same = ["MLflow"] if mlflow.has_run else []
    if recorded.spec.datasets:
        same.insert(0, "lake")
        held, lost = _ask_lake(recorded, root, machine, lake)
        remarks += held
        reasons += lost
    if same and not reasons:
        says = f"{' and '.join(same)} {'say' if len(same) > 1 else 'says'} the same today"
        claims.append(Claim(topic="online", says=says, by="asked now"))
    return Audit(
        run=found.run,
        name=found.name,
        project=found.project,
        outcome="NOT TRUSTED" if reasons else "TRUSTED",
        reasons=tuple(reasons),
        claims=() if reasons else tuple(claims),
        author_alone=() if reasons else found.author_alone,
        remarks=tuple(remarks),
        statements=found.statements,
        asked=found.asked,
    )


class MLflowSays(NamedTuple):
    """Whether MLflow has the run and the same record of it, and its statements that are not here."""

    has_run: bool
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    statements: tuple[bytes, ...] = ()


def ask_mlflow(recorded: Recorded, root: Path, machine: Machine, tracking_uri: str | None) -> MLflowSays:
    """What MLflow says of a run. ServiceError where it does not answer."""
    record = recorded.record
    with closing(open_mlflow(root, machine, tracking_uri)) as mlflow:
        try:
            run_id = mlflow.find(record.run_id)
        except UsageError:
            return MLflowSays(False, remarks=(f"MLflow at {mlflow.place.shown} does not have the run",))
        there = mlflow.artifact(run_id, RECORD) or b""
        lines = lines_of(mlflow.artifact(run_id, ATTESTATIONS) or b"")
    reasons = []
    if sha256(there) != sha256((recorded.folder / RECORD).read_bytes()):
        reasons.append(f"MLflow at {mlflow.place.shown} has another {RECORD} of this run")
    known = set(read_lines(recorded.folder))
    more = tuple(line for line in lines if line not in known)
    remarks = (
        f"{counted(len(more), 'statement')} of these {'is' if len(more) == 1 else 'are'} only in MLflow, and not here",
    )
    return MLflowSays(True, tuple(reasons), remarks if more else (), more)


def _ask_lake(recorded: Recorded, root: Path, machine: Machine, given: str | None) -> tuple[list[str], list[str]]:
    """Remarks, and reasons: does the lake still list what is pinned, and what keeps it there? UsageError for one that is not here."""
    where = "--lake" if given else "the record"
    endpoint = given or recorded.spec.lake.endpoint
    require_here(endpoint, root)
    with closing(open_lake(endpoint, root, machine.environ, machine.home, declared_in=where)) as opened:
        try:
            check_listings(opened, recorded.lock.dataset)
        except (PinError, NotFound) as error:
            return [], [error.message]
        pins = [Pinned(LakeURI.parse(item.resolved).repository, item.commit) for item in recorded.record.datasets]
        return [_unheld(held) for held in check_holds(opened, pins, machine.now()) if held.state != "held"], []


def _unheld(held: Held) -> str:
    return f"commit {short(held.pin.commit)} of {held.pin.repository} is not held: {held.sentence}"
