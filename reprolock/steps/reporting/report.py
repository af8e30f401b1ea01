"""`report`: what a change of the lock did, against a git revision, for a pull request.

1. The locks of both sides are compared, and what repro.toml says of params.
2. With `run_both` each side is run, or its equal run is found; then the runs are compared. The base is checked out in a
   folder of its own below `.reprolock`, and runs on the project's own lake and MLflow.
Neither run publishes anything.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from reprolock.environment.code.git import (
    UNSHALLOW,
    blob_at,
    clone_at,
    facts,
    has_commit,
    is_revision,
    is_shallow,
    merge_base,
)
from reprolock.errors import CommandFailed, Interrupted, ServiceError, UsageError
from reprolock.files.atomic_write import own_folder
from reprolock.files.lock_file import NAME as LOCK
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import parse_spec
from reprolock.lake.open import anchored
from reprolock.model.difference import Difference, Section
from reprolock.model.record import Record
from reprolock.model.report import Report, ReportSide, metric_changes, output_changes, row_changes
from reprolock.model.words import short
from reprolock.steps.inspecting.diff import changes, diff, display_params
from reprolock.steps.locking.staleness import require_fresh
from reprolock.steps.project.locate import which_mlflow
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress
from reprolock.steps.project.project import read_project
from reprolock.steps.running.attempt import Unwatched, Watcher
from reprolock.steps.running.if_changed import expected_digests, is_repeated, noted_run
from reprolock.steps.running.options import RunOptions
from reprolock.steps.running.run import run
from reprolock.tracker import open_tracker
from reprolock.tracker.protocol import REPLAY_OF_TAG
from reprolock.tracker.tracking_uri import Place

_MOST_FOUND = 20


class _Made(NamedTuple):
    """A side's run."""

    record: Record
    found: bool


def report(
    root: Path,
    base: str = "HEAD",
    *,
    run_both: bool = False,
    stdout: int | None = None,
    watcher: Watcher = Unwatched(),
    progress: Progress = SILENT,
    machine: Machine | None = None,
) -> Report:
    """Compare the project as it stands with the revision `base`, from where both parted (git's merge base).

    `stdout` is a descriptor for what the commands print. UsageError for a revision that is none or has no repro.lock,
    LockError for a stale lock, CommandFailed where a side's command fails; other errors as of `run`.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    project = read_project(root)
    require_fresh(project)
    commit = merge_base(root, base)
    if commit is None:
        raise _no_base(root, base)
    spec_then = blob_at(root, commit, f"./{SPEC}")
    if spec_then is None or blob_at(root, commit, f"./{LOCK}") is None:
        raise UsageError(
            f"{base} has no {LOCK} to compare with", hint="name a revision in which the project was locked"
        )
    sides = (
        ReportSide(label=base, commit=commit),
        ReportSide(label="this change", commit=facts(root).commit),
    )
    old = parse_spec(spec_then.decode("utf-8", "replace"), f"{SPEC} of {base}")
    if not run_both:
        found = diff(root, f"{commit}:./{LOCK}", LOCK, machine=machine)
        params = tuple(changes(display_params(old.params), display_params(project.spec.params)))
        sections = (*found.sections, *([Section(name="params", changes=params)] if params else []))
        return Report(
            project=project.spec.project.name,
            base=sides[0],
            head=sides[1],
            difference=_named(found.replaced({"sections": sections}), sides),
        )
    place = which_mlflow(root, machine)
    # An embedded lake stands beside the project, and not in git.
    own_lake = anchored(old.lake.endpoint, root) if old.lake.kind == "git" else None
    with _checked_out(root, commit) as folder:
        options = RunOptions(locked=True, publishing_off=True, stdout=stdout)
        progress.step(f"The run of {base}")
        before = _run_or_find(
            folder,
            options._replace(name=f"base {short(commit)}", lake=own_lake, tracking_uri=place.uri),
            place,
            watcher,
            progress,
            machine,
        )
        progress.step("The run of this change")
        after = _run_or_find(root, options, place, watcher, progress, machine)
        found = diff(root, before.record.run_id, after.record.run_id, tracking_uri=place.uri, machine=machine)
    return Report(
        project=project.spec.project.name,
        base=sides[0].replaced({"run_id": before.record.run_id, "found": before.found}),
        head=sides[1].replaced({"run_id": after.record.run_id, "found": after.found}),
        difference=_named(found, sides),
        rows=row_changes(before.record, after.record),
        metrics=metric_changes(old, project.spec, before.record, after.record),
        outputs=output_changes(before.record, after.record),
    )


def _no_base(root: Path, base: str) -> UsageError:
    """Why nothing can be compared with that revision."""
    if has_commit(root) is None:
        return UsageError(
            "this folder is in no git repository, and a report compares with a revision",
            hint="run `git init` and commit the project, or name a clone with -C",
        )
    fetch = UNSHALLOW if is_shallow(root) else "commit first, fetch it (`git fetch origin main`)"
    told = f"{base} has no commit in common with this project's history"
    if not is_revision(root, base):
        told = f"this git repository has no revision {base}"
    return UsageError(told, hint=f"{fetch}, or name another")


def _named(difference: Difference, sides: tuple[ReportSide, ReportSide]) -> Difference:
    return difference.replaced({"left": sides[0].label, "right": sides[1].label})


@contextmanager
def _checked_out(root: Path, commit: str) -> Iterator[Path]:
    """The project's folder at a commit, in a clone of its own that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="report-", dir=own_folder(root), ignore_cleanup_errors=True) as name:
        yield clone_at(root, commit, Path(name))


def _run_or_find(
    root: Path, options: RunOptions, place: Place, watcher: Watcher, progress: Progress, machine: Machine
) -> _Made:
    """The finished run of equal inputs that is here or in MLflow, else a new one."""
    project = read_project(root)
    locked = require_fresh(project)
    expected = expected_digests(root, project.spec, locked, machine)
    if expected is not None:
        if (record := noted_run(root, *expected)) is not None:
            return _Made(record, True)
        with closing(open_tracker(place, machine.environ, machine.home)) as tracker:
            tags = {"reprolock.pinned": expected[0].total}
            for row in tracker.runs(None, tags, _MOST_FOUND):
                if row.status == "FINISHED" and REPLAY_OF_TAG not in row.tags:
                    record = tracker.read(row.run_id)
                    if is_repeated(record, *expected):
                        return _Made(record, True)
    done = run(root, options, watcher, progress, machine)
    ending, side = done.record.ending, options.name or "this change"
    if ending is not None and (signal := done.record.interrupted_by):
        raise Interrupted(f"the run of {side} was ended: {ending.reason}", signal_number=signal)
    if done.record.status != "FINISHED":
        raise CommandFailed(f"the run of {side} failed: {ending.reason if ending else done.record.status}")
    if not done.sent:
        raise ServiceError(
            f"MLflow at {place} did not accept the record of the run", hint="run this again when it answers"
        )
    return _Made(done.record, False)
