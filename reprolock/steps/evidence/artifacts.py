"""Find the artifacts of a run that an auditor names, and add a new statement to every copy of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import ReprolockError
from reprolock.model.record import Record
from reprolock.steps.bundling.read import Bundle, open_bundle
from reprolock.steps.evidence.attestations import append, lines_of, merge, read_lines
from reprolock.steps.project.locate import which_mlflow
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_folders import runs_folder
from reprolock.steps.recording.find_run import RunFinder
from reprolock.tracker import open_tracker
from reprolock.tracker.protocol import ATTESTATIONS, RECORD, Tracker


class Artifacts(NamedTuple):
    """Where a run's artifacts stand: the folder that was named, or this project's own; or a copy of what MLflow has, or
    `bundle`."""

    folder: Path
    copied: bool
    bundle: Bundle | None = None


@contextmanager
def artifacts_of(root: Path, run: str, machine: Machine, tracking_uri: str | None = None) -> Iterator[Artifacts]:
    """The artifacts of a run (see `RunFinder`), or of a bundle. What is copied is gone afterwards."""
    if (path := bundle_at(root, run)) is not None:
        with tempfile.TemporaryDirectory(prefix="reprolock-") as fresh, open_bundle(path) as bundle:
            yield Artifacts(take_artifacts(bundle, Path(fresh) / "run"), True, bundle)
        return
    with RunFinder(root, machine, tracking_uri) as finder:
        found = finder.find(run)
        if found.folder is not None:
            yield Artifacts(found.folder, False)
            return
        assert found.run_id is not None  # one of the two is there
        with tempfile.TemporaryDirectory(prefix="reprolock-") as fresh:
            yield Artifacts(finder.tracker.download(found.run_id, Path(fresh) / "run"), True)


def bundle_at(root: Path, run: str) -> Path | None:
    """The bundle of that name, None where there is none."""
    return next((path for path in (Path(run), root / run) if path.is_file()), None)


def take_artifacts(bundle: Bundle, folder: Path) -> Path:
    """The artifacts of a bundle in a new folder, with the statements that stand beside the bundle."""
    bundle.artifacts(folder)
    beside = statements_beside(bundle.path)
    if beside.is_file():
        append(folder, *read_lines(beside.parent, beside.name))
    return folder


def statements_beside(bundle: Path) -> Path:
    """Where statements are kept that were made after a bundle was: it stays as it is."""
    return bundle.with_suffix(f".{ATTESTATIONS}")


def bring_home(
    root: Path,
    record: Record,
    line: bytes,
    tracker: Tracker | None,
    warn: Callable[[str], None],
    *places: Path,
    bundle: Path | None = None,
) -> None:
    """Add a statement to a run's own in the folders named, beside the bundle that they came in, in this project, and in
    MLflow where the run is there. What another machine has added there meanwhile stays."""
    if bundle is not None:
        beside = statements_beside(bundle)
        try:
            append(beside.parent, *read_lines(places[0]), line, name=beside.name)
        except ReprolockError as error:
            warn(f"the statement is not in {beside}: {error.message}")
    own = runs_folder(root) / record.run_id
    for folder in dict.fromkeys([*places, *([own] if (own / RECORD).is_file() else [])]):
        try:
            append(folder, line)
        except ReprolockError as error:
            warn(f"the statement is not in {folder}: {error.message}")
    if tracker is None:
        return
    try:
        run_id = tracker.find(record.run_id)
    except ReprolockError:
        return  # not in this MLflow
    try:
        there = lines_of(tracker.artifact(run_id, ATTESTATIONS) or b"")
        lines = merge(there, [*read_lines(places[0])[:-1], line] if places and not there else [line])
        tracker.attach(run_id, ATTESTATIONS, b"".join(each + b"\n" for each in lines))
    except ReprolockError as error:
        warn(f"the statement is not in MLflow: {error.message}")


def open_mlflow(root: Path, machine: Machine, tracking_uri: str | None = None) -> Tracker:
    """MLflow, as this folder or the caller names it; the caller closes it."""
    return open_tracker(which_mlflow(root, machine, tracking_uri), machine.environ, machine.home)
