"""What a bundle adds to an audit: whether every byte that repro.lock pins is in it."""

from __future__ import annotations

from collections.abc import Iterator

from reprolock.errors import NotReplayable
from reprolock.model.claims import Audit, Claim
from reprolock.model.words import plain
from reprolock.steps.bundling.read import Bundle
from reprolock.steps.recording.load import Recorded


def check_bundle(found: Audit, bundle: Bundle, recorded: Recorded | None) -> Audit:
    """The audit, with every byte of the bundle read. Without a record that agrees with its artifacts the audit has its reason
    already, and nothing says what should be there."""
    if recorded is None:
        return found
    try:
        bundle.unpack(recorded.lock, None)
    except NotReplayable as error:
        return found.replaced(
            {"outcome": "NOT TRUSTED", "reasons": (*found.reasons, error.message), "claims": (), "author_alone": ()}
        )
    claims = tuple(_completed(claim, bundle, recorded) for claim in found.claims)
    return found.replaced({"claims": claims, "remarks": (*found.remarks, *_absent(bundle, recorded))})


def _completed(claim: Claim, bundle: Bundle, recorded: Recorded) -> Claim:
    if claim.topic == "data" and not bundle.thin:
        return claim.replaced({"by": f"{claim.by}, every byte here"})
    if claim.topic == "software" and recorded.lock.environment is not None and recorded.spec.environment.isolated:
        return claim.replaced({"by": f"{claim.by}, every file here"})
    return claim


def _absent(bundle: Bundle, recorded: Recorded) -> Iterator[str]:
    """What a replay needs beside the bundle."""
    yield f"Python {plain(recorded.record.environment.python)} is not in the bundle"
    if recorded.record.spark is not None:
        yield f"Java {plain(recorded.record.spark.java or '')} is not in the bundle"
    if bundle.thin:
        yield "the data is not in the bundle: fetch.txt says where it was"
    if recorded.lock.environment is None or not recorded.spec.environment.isolated:
        yield "the packages are not in the bundle: the run took those of reprolock's own interpreter"
