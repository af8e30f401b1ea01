"""Make the signed statement on a replay: its verdict on the recorded run, by the key of the user who replayed it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reprolock.model.digest import sha256
from reprolock.model.record import Record
from reprolock.model.statement import Host, ReplayVerdict
from reprolock.model.verdict import Verdict
from reprolock.steps.evidence.attest import Attestor
from reprolock.steps.evidence.attestations import read_lines
from reprolock.tracker.protocol import RECORD


class Standing(NamedTuple):
    """A run's record and the statements on it, as they stood before a replay started: its command can write their files."""

    record_sha256: str
    lines: tuple[bytes, ...]


def standing(folder: Path) -> Standing:
    """What stands now in the folder of a run's artifacts."""
    return Standing(sha256((folder / RECORD).read_bytes()), tuple(read_lines(folder)))


def verdict_line(attestor: Attestor, stood: Standing, recorded: Record, replay: Record, verdict: Verdict) -> bytes:
    """The line for a verdict on what stood there, behind its statements."""
    found = replay.environment
    link = attestor.link(recorded.run_id, stood.lines)
    said = ReplayVerdict(
        **link.model_dump(),
        replay=replay.run_id,
        verdict=verdict,
        observed=replay.observed,
        host=Host(
            platform=found.platform,
            python=found.python,
            java=replay.spark.java if replay.spark else None,
            cores=found.cores,
        ),
    )
    return attestor.state({RECORD: {"sha256": stood.record_sha256}}, said)
