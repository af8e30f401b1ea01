"""`bundle`: put everything that a replay of a run needs into one file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from reprolock.errors import UsageError
from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake
from reprolock.steps.bundling.write import Written, write_bundle
from reprolock.steps.evidence.artifacts import artifacts_of
from reprolock.steps.evidence.audit import require_consistent
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress
from reprolock.steps.recording.load import read_recorded
from reprolock.tracker.protocol import ATTESTATIONS


def bundle(
    root: Path,
    run: str,
    target: Path | None = None,
    *,
    platforms: Sequence[str] = (),
    thin: bool = False,
    lake: str | None = None,
    tracking_uri: str | None = None,
    progress: Progress = SILENT,
    machine: Machine | None = None,
) -> Written:
    """Write the bundle of a run to `target` (None: PROJECT-RUN.zip in the project's folder), which must not be there yet.

    `platforms` are those whose packages it holds (none: this machine's); `thin` leaves the data out; `lake` is where it is, in
    the place of the record's endpoint. NotReplayable where the run cannot be replayed: it failed, or does not agree with
    its artifacts.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    with ExitStack() as stack:
        found = stack.enter_context(artifacts_of(root, run, machine, tracking_uri))
        if found.bundle is not None:
            raise UsageError(f"{run} is a bundle already", hint="name a run, or the folder of its artifacts")
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reprolock-")))
        recorded = read_recorded(found.folder, place / "code", None)
        if (found.folder / ATTESTATIONS).exists():
            require_consistent(found.folder, recorded.record, recorded)
        endpoint = lake or recorded.spec.lake.endpoint

        def opened() -> Lake:
            where = "--lake" if lake else "the record"
            return stack.enter_context(
                closing(open_lake(endpoint, root, machine.environ, machine.home, declared_in=where))
            )

        return write_bundle(
            root / (target or f"{recorded.record.project}-{recorded.record.run_id[:8]}.zip"),
            recorded,
            found.folder,
            opened,
            machine,
            progress,
            platforms=platforms,
            thin=thin,
            root=root,
        )
