"""`sign`: add a person's signed review to a run, its statements and its verdicts. Checks first that they agree."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import UsageError
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_spec
from reprolock.model.record import Record
from reprolock.model.spec import EvidenceSpec
from reprolock.model.statement import Review
from reprolock.steps.evidence.artifacts import artifacts_of, bring_home, open_mlflow
from reprolock.steps.evidence.attest import require_attestor
from reprolock.steps.evidence.attestations import line_digest, read_lines
from reprolock.steps.evidence.audit import require_consistent
from reprolock.steps.evidence.read_statements import read_statements
from reprolock.steps.project.machine import Machine
from reprolock.steps.recording.load import read_recorded
from reprolock.tracker.protocol import ATTESTATIONS


class SignedRun(NamedTuple):
    """The run, the ID and kind of the key that signed, and what it signed behind: how many statements."""

    record: Record
    key: str
    kind: str
    behind: int


def sign(
    root: Path,
    run: str,
    *,
    name: str,
    meaning: str = "approved",
    comment: str | None = None,
    tracking_uri: str | None = None,
    warn: Callable[[str], None] = lambda sentence: None,
    machine: Machine | None = None,
) -> SignedRun:
    """Sign a run with the key of `REPROLOCK_SIGNING_KEY`: the statement goes behind the last one, in the folder named, this
    project, and MLflow. NotReplayable where statements, record and artifacts do not fit together."""
    machine = machine or Machine.here()
    root = root.resolve()
    attestor = require_attestor(machine, own_time_stamps(root))
    machine.scanner().check(f"{name}\n{meaning}\n{comment or ''}", "--name, --meaning or --comment", lines=False)
    with artifacts_of(root, run, machine, tracking_uri) as found:
        with tempfile.TemporaryDirectory(prefix="reprolock-") as place:
            recorded = read_recorded(found.folder, Path(place) / "code", None)
        require_consistent(found.folder, recorded.record, recorded)
        if found.bundle is not None:
            found.bundle.unpack(recorded, None)
        before = read_lines(found.folder)
        there = read_statements(found.folder, recorded.record, None).lines
        if any(line.key == attestor.key.public.id and line.kind in ("intent", "run") for line in there):
            warn(
                "this key signed the run itself, and an audit counts no review by it: a second person signs with their own"
            )
        link = attestor.link(recorded.record.run_id, before)
        digest = line_digest(before[-1])
        said = Review(
            **link.model_dump(), name=_word("--name", name), meaning=_word("--meaning", meaning), comment=comment
        )
        line = attestor.state({f"{ATTESTATIONS}#{len(before)}": {"sha256": digest}}, said)
        with closing(open_mlflow(root, machine, tracking_uri)) as mlflow:
            bundle = found.bundle.path if found.bundle else None
            bring_home(root, recorded.record, line, mlflow, warn, found.folder, bundle=bundle)
    return SignedRun(recorded.record, attestor.key.public.id, attestor.key.public.kind, len(before))


def own_time_stamps(root: Path) -> EvidenceSpec:
    """Where the caller's own statements get their time stamps: by the repro.toml in this folder, not by that of the run."""
    declared = read_spec(root).evidence.timestamp if (root / SPEC).exists() else None
    return EvidenceSpec(timestamp=declared)


def _word(option: str, text: str) -> str:
    """UsageError for a name or a meaning that is none, or no line."""
    if not text.strip() or len(text) > 200 or not text.isprintable():
        raise UsageError(f"{option} is not one line of at most 200 characters", hint=f'write {option} "…"')
    return text
