"""Sign a run's intent before its command and its result after it, and hold the pinned commits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import ReprolockError
from reprolock.files.lock_file import NAME as LOCK
from reprolock.lake.protocol import Lake
from reprolock.model.record import Record
from reprolock.steps.evidence.attest import Attestor
from reprolock.steps.evidence.attestations import write_lines
from reprolock.steps.project.run_context import RunContext
from reprolock.steps.recording.build import Sources


class Witnessed(NamedTuple):
    """ID of the key that signed the run, None where none did; and why it is not signed, where repro.toml asks for it."""

    signer: str | None = None
    problem: ReprolockError | None = None


def sign_intent(attestor: Attestor | None, record: Record, folder: Path) -> tuple[bytes, ...]:
    """What will run and how it will be compared, signed before the command starts and on disk then; nothing without a key."""
    if attestor is None:
        return ()
    line = attestor.intent(record)
    write_lines(folder, [line])
    return (line,)


def sign_result(
    attestor: Attestor | None,
    context: RunContext,
    sources: Sources,
    record: Record,
    intent: Sequence[bytes],
    folder: Path,
) -> Witnessed:
    """The statement on a run that has ended, behind the first one, which is taken from memory: the command could write to
    the file. A run that cannot be signed is recorded all the same."""
    if attestor is None:
        return Witnessed()
    try:
        line = attestor.run(record, sources.environment, sources.jars, intent)
        write_lines(folder, [*intent, line])
    except ReprolockError as error:
        context.warn(f"the run is recorded, and not signed: {error.message}")
        return Witnessed(problem=error if attestor.required else None)
    return Witnessed(attestor.key.public.id)


def hold_inputs(
    attestor: Attestor | None,
    context: RunContext,
    lake: Lake | None,
    record: Record,
    statements: Sequence[bytes],
    folder: Path,
) -> None:
    """What `[evidence] hold` asks for. Data that is not held may be gone later; the run is not."""
    period = context.spec.evidence.hold
    if period is None or lake is None or not record.datasets or record.replay_of is not None:
        return
    if context.offline and lake.kind == "lakefs":
        context.warn("the pinned commits are not held: --offline contacts no service")
        return
    from reprolock.steps.evidence.hold_run import hold_for_run, hold_line  # audits too, for runs that are held alone

    try:
        held = hold_for_run(lake, record, period, context.machine, lock=record.artifacts.get(LOCK))
        if attestor is not None and len(statements) > 1:
            write_lines(folder, [*statements, hold_line(attestor, record, held, statements, None)])
    except ReprolockError as error:
        context.warn(f"the pinned commits are not held: {error.message}")
