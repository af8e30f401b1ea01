"""Find the lock or the recorded run that a user names on the command line, for a comparison.

A file is a lock. A folder with a record.json is a run. `REV:PATH` is a lock in git, and so is a bare
revision: its repro.lock. All else names a run. MLflow is opened only for one that is not on this disk.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from reprolock.environment.code.archive import files_in
from reprolock.environment.code.git import UNSHALLOW, blob_at, has_commit, is_revision, is_shallow
from reprolock.errors import NotReplayable, ReprolockError, UsageError
from reprolock.files.containment import read_linked
from reprolock.files.lock_file import NAME as LOCK
from reprolock.files.lock_file import parse_lock
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import parse_spec
from reprolock.model.lock import Lock
from reprolock.model.record import Record
from reprolock.model.spec import Spec
from reprolock.steps.project.machine import Machine
from reprolock.steps.recording.find_run import RunFinder
from reprolock.steps.recording.load import CODE, artifacts_in
from reprolock.tracker.errors import NoRun
from reprolock.tracker.protocol import RECORD

_HEAD = re.compile(r"(?:HEAD|@)(?:[~^:]|@\{|$)")
"""What only git has a name like."""
_OTHER = "name a lock file or a run"


class LockSide(NamedTuple):
    """A lock, and what people call it."""

    label: str
    lock: Lock


class RunSide(NamedTuple):
    """A recorded run and what could be read of its artifacts; None for what is not at hand.

    `code`: path → (mode, bytes). A record is foreign input, and nothing of it is compared with the rest here.
    """

    label: str
    record: Record
    folder: Path
    spec: Spec | None
    lock: Lock | None
    code: Mapping[str, tuple[str, bytes]] | None


Side = LockSide | RunSide


class Sides:
    """Finds sides. A context manager: what it downloads is removed at its end."""

    def __init__(self, root: Path, machine: Machine, tracking_uri: str | None = None) -> None:
        """`root` is the project's folder, or any other for runs that are in MLflow."""
        self.root = root.resolve()
        self._stack = ExitStack()
        self._runs = self._stack.enter_context(RunFinder(root, machine, tracking_uri))

    def __enter__(self) -> Sides:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def find(self, name: str) -> Side:
        """The side that `name` stands for. UsageError where it is nothing, or two things."""
        path = self.root / name
        if (folder := artifacts_in(path)) is not None:
            return _run_side(folder)
        if path.is_file():
            return LockSide(name, parse_lock(read_linked(path), name))
        if path.is_dir():
            raise UsageError(
                f"{name} is a folder without {RECORD}", hint="name a lock file, or the folder of a run's artifacts"
            )
        revision, colon, inside = name.partition(":")
        if colon and is_revision(self.root, revision):
            return self._read_lock(revision, inside)
        own = self._runs.own(name)
        if is_revision(self.root, name):
            if own is not None:
                raise UsageError(
                    f"{name} is a run and a git revision",
                    hint=f'write "{name}:{LOCK}" for the lock, or more of the run\'s ID',
                )
            return self._read_lock(name, f"./{LOCK}")
        if own is None and (_HEAD.match(name) or colon and inside.endswith(".lock")):
            raise self._no_revision(name, revision)
        try:
            return self.run(name)
        except NoRun:
            if has_commit(self.root) is False:
                raise self._no_revision(name, revision) from None
            raise

    def run(self, name: str) -> RunSide:
        """A run that is in MLflow, or on this disk."""
        if (self.root / name).is_file():
            raise UsageError(
                f"{name} is a file, and of more than two only runs are compared",
                hint="compare two locks or revisions at a time: `reprolock diff A B`",
            )
        found = self._runs.find(name)
        if found.folder is not None:
            return _run_side(found.folder)
        assert found.run_id is not None  # one of the two is there
        fresh = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="reprolock-")))
        return _run_side(self._runs.tracker.download(found.run_id, fresh / "run"))

    def _no_revision(self, name: str, revision: str) -> UsageError:
        """What git would know by that name is not there."""
        there = has_commit(self.root)
        if there is None:
            return UsageError(f"{name} is a git revision, and this folder is in no git repository", hint=_OTHER)
        if there:
            look = f"{UNSHALLOW}, or" if is_shallow(self.root) else "see `git log`, or"
            return UsageError(f"this git repository has no revision {revision}", hint=f"{look} {_OTHER}")
        return UsageError(
            f"{name} is no run, and no revision: in this git repository nothing is committed yet",
            hint=f"commit {LOCK} first, or {_OTHER}",
        )

    def _read_lock(self, revision: str, path: str) -> LockSide:
        shown = path.removeprefix("./")
        data = blob_at(self.root, revision, path)
        if data is None:
            raise UsageError(
                f"{shown} is not committed at git revision {revision}",
                hint=f'commit it, or write "{revision}:PATH/TO/{LOCK}" if it is elsewhere',
            )
        return LockSide(f"{shown} at {revision}", parse_lock(data, f"{shown} at {revision}"))


def _run_side(folder: Path) -> RunSide:
    try:
        record = Record.model_validate_json(read_linked(folder / RECORD))
    except (OSError, ValidationError):
        raise NotReplayable(
            f"{folder / RECORD} is not a record that this reprolock reads",
            hint="get it again from where the run was recorded",
        ) from None
    spec, lock, code = None, None, None
    with suppress(OSError, ReprolockError):
        spec = parse_spec(read_linked(folder / SPEC).decode("utf-8", "replace"))
    with suppress(OSError, ReprolockError):
        lock = parse_lock(read_linked(folder / LOCK))
    with suppress(OSError, ReprolockError):
        code = {file.path: (file.mode, data) for file, data in files_in(read_linked(folder / CODE))}
    return RunSide(f"run {record.run_id[:8]}", record, folder, spec, lock, code)
