"""The values that the steps of a run hand on: the run made ready, its opening, its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple, Protocol

from reprolock.errors import MachineError, ReprolockError
from reprolock.files.secrets import Scanner
from reprolock.model.outcome import Ending
from reprolock.model.record import Record
from reprolock.model.workspace import Mode, Workspace
from reprolock.steps.evidence.attest import Attestor
from reprolock.steps.project.progress import SILENT, Progress
from reprolock.steps.project.run_context import RunContext
from reprolock.steps.publishing.run_branches import Publication
from reprolock.steps.recording.log import Reporter
from reprolock.steps.recording.redact import redact_record
from reprolock.steps.running.options import RunOptions
from reprolock.steps.running.prepare import Ready
from reprolock.tracker.tracking_uri import Place


class Watcher(Protocol):
    """Told what a person wants to see before the command's own output, and what goes wrong beside it."""

    def ready(self, record: Record) -> None:
        """The command starts now; with `dry_run` it would."""
        ...

    def publishing(self) -> AbstractContextManager[Progress]:
        """Outputs are put into the lake now; returns the progress to report to."""
        ...

    def warn(self, sentence: str) -> None:
        """Something went wrong that does not end the run."""
        ...


class Unwatched:
    """No progress is shown."""

    def ready(self, record: Record) -> None:
        """Nothing is said."""

    def publishing(self) -> AbstractContextManager[Progress]:
        """Nothing is drawn."""
        return nullcontext(SILENT)

    def warn(self, sentence: str) -> None:
        """Nothing is said."""


class RunResult(NamedTuple):
    """The closing record (the opening one with `dry_run`), whether MLflow has it, and MLflow's address.

    `skipped`: nothing was run, and the record is that of the equal run before (`--if-changed`). `incomplete`:
    why outputs of a run that has ended are not where they were to be, in the project (`NotPlaced`) or in the lake, or why
    the run is not signed although repro.toml asks for it. `signer`: ID of the key that signed it.
    """

    record: Record
    sent: bool
    tracking: str
    skipped: bool = False
    signer: str | None = None
    incomplete: ReprolockError | None = None


class NotPlaced(MachineError):
    """Outputs that could not be put at their paths in the project; they stay in the run's folder."""


Block = Callable[[Workspace], Ending]
"""Waits for a block of the caller's own process, which runs instead of a command, and says how it ended."""


class Attempt(NamedTuple):
    """One run, made ready. `before` is the run that this one is told apart from; `attestor` signs what is stated of it; `block`
    runs instead of the command."""

    ready: Ready
    reporter: Reporter
    options: RunOptions
    watcher: Watcher
    before: Record | None
    attestor: Attestor | None = None
    block: Block | None = None

    @property
    def context(self) -> RunContext:
        """Its folder, spec, pins and machine."""
        return self.ready.context

    @property
    def mode(self) -> Mode:
        """Where its code is executed."""
        return "interactive" if self.block else "in-place" if self.options.in_place else "isolated"

    @property
    def place(self) -> Place:
        """The MLflow that it is recorded in."""
        return self.reporter.tracker.place


class Performed(NamedTuple):
    """What a run came to, and how to look at its tables again: the command's own Python and variables.

    `unmeasured` names outputs that this machine could not digest.
    """

    result: RunResult
    python: Path
    environ: Mapping[str, str]
    unmeasured: frozenset[str]


class Scanners(NamedTuple):
    """What finds the secrets that no file of a run may hold.

    `used` knows each that is in use, and what pass_env lets through; `own` is without the latter, which may be the
    project's own folder.
    """

    used: Scanner
    own: Scanner

    @classmethod
    def of(cls, context: RunContext, further: Mapping[str, str] = {}) -> Scanners:
        """`further` are Spark's own, by the setting that each is for."""
        machine = context.machine
        return cls(machine.scanner(context.spec.run.pass_env, further), machine.scanner((), further))


class Opening(NamedTuple):
    """A run whose command can start: its opening record, the files that are logged beside it, and the signed intent."""

    workspace: Workspace
    record: Record
    files: Mapping[str, Path]
    scanners: Scanners
    publication: Publication | None
    intent: tuple[bytes, ...] = ()

    def redact(self, record: Record, watcher: Watcher) -> Record:
        """The record as it may be written: a secret that the command printed or logged ends no run."""
        record, remarks = redact_record(record, self.record, self.scanners.used)
        for remark in remarks:
            watcher.warn(remark)
        return record
