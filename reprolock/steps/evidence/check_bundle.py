"""What a bundle adds to an audit: whether every byte that repro.lock pins is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reprolock.errors import NotReplayable
from reprolock.model.claims import Audit, Claim
from reprolock.model.lock import EnvironmentPin
from reprolock.model.words import counted, plain
from reprolock.steps.bundling.read import Bundle, Unpacked
from reprolock.steps.recording.load import Recorded


def check_bundle(found: Audit, bundle: Bundle, recorded: Recorded | None) -> Audit:
    """The audit, with every byte of the bundle read. Without a record that agrees with its artifacts the audit has its reason
    already, and nothing says what should be there."""
    if recorded is None:
        return found
    try:
        unpacked = bundle.unpack(recorded, None)
        _require_packages(bundle, recorded, unpacked)
    except NotReplayable as error:
        return found.replaced(
            {"outcome": "NOT TRUSTED", "reasons": (*found.reasons, error.message), "claims": (), "author_alone": ()}
        )
    completed = _completed(found.claims, bundle, recorded, unpacked)
    remarks = (*_unsigned(unpacked), *_absent(bundle, recorded))
    return found.replaced({"claims": tuple(completed), "remarks": (*found.remarks, *remarks)})


def _packed(recorded: Recorded) -> EnvironmentPin | None:
    """The packages that a bundle of the run holds."""
    return recorded.lock.environment if recorded.spec.environment.isolated else None


def _require_packages(bundle: Bundle, recorded: Recorded, unpacked: Unpacked) -> None:
    """NotReplayable where a package is missing that every platform needs."""
    pins = pin.package if (pin := _packed(recorded)) else ()
    lost = [each.name for each in pins if each.marker is None and each.name not in unpacked.held]
    if lost:
        raise NotReplayable(f"{bundle.path} is not taken: it has no file of {lost[0]}, which repro.lock pins")


def _completed(claims: Iterable[Claim], bundle: Bundle, recorded: Recorded, unpacked: Unpacked) -> Iterator[Claim]:
    """The claims with how much of what they are about is here. Those on data come in the order of the record."""
    names = iter([item.name for item in recorded.record.datasets])
    for claim in claims:
        here = ""
        if claim.topic == "data":
            amount = unpacked.unproven.get(next(names), 0)
            here = f", {counted(amount, 'object')} only as the bundle says" if amount else ", every byte here"
        if claim.topic == "software" and (pin := _packed(recorded)):
            whole = len(unpacked.held) == len(pin.package)
            here = ", every file here" if whole else f", {len(unpacked.held)} of them here"
        yield claim.replaced({"by": claim.by + ("" if claim.topic == "data" and bundle.thin else here)})


def _unsigned(unpacked: Unpacked) -> Iterator[str]:
    """What in a bundle nobody has signed, nor names by a digest that was."""
    yield "ro-crate-metadata.json, by which other programs read the bundle, is not signed"
    for name, amount in unpacked.unproven.items():
        yield (
            f"{counted(amount, 'object')} of {name}: the lake's checksum says nothing about the bytes, record.json has no SHA-256 of them, "
            "so the author of the bundle may have put other bytes there"
        )


def _absent(bundle: Bundle, recorded: Recorded) -> Iterator[str]:
    """What a replay needs beside the bundle."""
    yield f"Python {plain(recorded.record.environment.python)} is not in the bundle"
    if recorded.record.spark is not None:
        yield f"Java {plain(recorded.record.spark.java or '')} is not in the bundle"
    if bundle.thin:
        yield "the data is not in the bundle: fetch.txt says where it was"
    if _packed(recorded) is None:
        yield "the packages are not in the bundle: the run took those of reprolock's own interpreter"
