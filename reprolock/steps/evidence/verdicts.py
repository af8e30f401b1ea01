"""The statement on a replay: its verdict, over the record that was replayed, by the key of the user who replayed it."""

from __future__ import annotations

from pathlib import Path

from reprolock.model.digest import sha256
from reprolock.model.record import Record
from reprolock.model.statement import Host, ReplayVerdict
from reprolock.model.verdict import Verdict
from reprolock.steps.evidence.attest import Attestor
from reprolock.steps.evidence.attestations import read_lines
from reprolock.tracker.protocol import RECORD


def verdict_line(attestor: Attestor, folder: Path, recorded: Record, replay: Record, verdict: Verdict) -> bytes:
    """The line for a verdict, behind the statements in `folder`, where the recorded run's artifacts stand."""
    found = replay.environment
    link = attestor.link(recorded.run_id, read_lines(folder))
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
    return attestor.state({RECORD: {"sha256": sha256((folder / RECORD).read_bytes())}}, said)
