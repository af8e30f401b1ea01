"""Find the run that a user names, for every command that takes a RUN.

A run is named by the folder of its artifacts, its ID or a beginning of it, its name, the tag that it put into the lake,
or by how long ago it was: `@latest`, `@latest~1`. Runs of this folder come first, and MLflow is asked where there is none.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import UsageError
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_spec
from reprolock.model.words import counted
from reprolock.steps.project.locate import which_mlflow
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_folders import RunHead, local_heads, runs_folder
from reprolock.steps.recording.load import artifacts_in
from reprolock.tracker import open_tracker
from reprolock.tracker.protocol import RECORD, REPLAY_OF_TAG, Tracker

_AGO = re.compile(r"@latest(?:~(\d{1,6}))?")
_SHORTEST = 4
"""How much of a run's ID people must write at least."""
_MOST_NAMED = 5


class FoundRun(NamedTuple):
    """A run by the `folder` that has its artifacts, or by its `run_id` where they are in MLflow; a run of this project has both."""

    folder: Path | None
    run_id: str | None


class RunFinder:
    """Finds runs. A context manager: MLflow is opened when it is first asked for, and closed at the end."""

    def __init__(self, root: Path, machine: Machine, tracking_uri: str | None = None) -> None:
        """`root` is the project's folder, or any other for runs that are in MLflow. Where `tracking_uri` is given, the
        runs that are meant are those of that MLflow."""
        self.root = root.resolve()
        self.machine = machine
        self.tracking_uri = tracking_uri
        self._stack = ExitStack()

    def __enter__(self) -> RunFinder:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def find(self, name: str) -> FoundRun:
        """The run of that name. UsageError where there is none, or more than one."""
        if (folder := given_folder(self.root, name)) is not None:
            return FoundRun(folder, None)
        if (own := self.own(name)) is not None:
            return FoundRun(runs_folder(self.root) / own.run_id, own.run_id)
        return FoundRun(None, self._asked(name))

    def own(self, name: str) -> RunHead | None:
        """The run of this folder with that name, without asking MLflow. UsageError where there is more than one."""
        if self.tracking_uri is not None:
            return None
        if (ago := _AGO.fullmatch(name)) is not None:
            heads = [head for head in local_heads(self.root) if head.replay_of is None]
            number = int(ago[1] or 0)
            if heads and number >= len(heads):
                raise UsageError(
                    f"{name} is not there: this folder has only {counted(len(heads), 'run')}", hint=_list(heads)
                )
            return heads[number] if heads else None
        found = [head for head in local_heads(self.root) if _answers(head, name)]
        exact = [head for head in found if head.run_id == name]
        found = exact or found
        if len(found) > 1:
            raise UsageError(
                f'"{name}" names {len(found)} runs of this folder', hint=f"write an ID: {_list(found, _digits(name))}"
            )
        return found[0] if found else None

    def tracked(self, name: str) -> str:
        """MLflow's ID of the run of that name, whether or not this folder has it too."""
        own = self.own(name)
        return self._asked(name) if own is None else self.tracker.find(own.run_id)

    def _asked(self, name: str) -> str:
        if os.path.isdir(self.root / name):
            raise UsageError(
                f"{name} is a folder without {RECORD}", hint="name the folder of a run's artifacts, or a run's ID"
            )
        if name.endswith(".zip") or name.startswith((".", os.sep)):
            raise UsageError(
                f"there is no file or folder {name}", hint="name a bundle, the folder of a run's artifacts, or a run"
            )
        if (ago := _AGO.fullmatch(name)) is None:
            return self.tracker.find(name, self._experiment)
        number = int(ago[1] or 0)
        # Replays are counted out here.
        rows = self.tracker.runs(self._experiment, limit=4 * (number + 1) + 100)
        found = [row.run_id for row in rows if REPLAY_OF_TAG not in row.tags]
        if number >= len(found):
            there = f"only {counted(len(found), 'run')}" if found else "no run"
            raise UsageError(
                f"{name} is not there: MLflow at {self.tracker.place} has {there} of this experiment",
                hint="see `reprolock runs`",
            )
        return found[number]

    @cached_property
    def tracker(self) -> Tracker:
        """MLflow, as this folder or the caller names it."""
        place = which_mlflow(self.root, self.machine, self.tracking_uri)
        return self._stack.enter_context(closing(open_tracker(place, self.machine.environ, self.machine.home)))

    @property
    def _experiment(self) -> str | None:
        """Names are looked up in the project's experiment: others may use the same."""
        return read_spec(self.root).experiment if (self.root / SPEC).exists() else None


def given_folder(root: Path, name: str) -> Path | None:
    """The folder of a run's artifacts that was named itself; None where there is none."""
    return artifacts_in(Path(name)) or artifacts_in(root / name)


def _answers(head: RunHead, name: str) -> bool:
    by_id = len(name) >= _SHORTEST and head.run_id.startswith(name)
    return by_id or name == head.run_name or name in head.tags


def check_run_name(name: str) -> None:
    """UsageError for a name by which no command would find the run."""
    if not name.strip():
        raise UsageError("--name is empty", hint="leave it out: the run is then named by its data and its params")
    if _AGO.fullmatch(name):
        raise UsageError(
            f'--name "{name}": every command takes this for the run of that age', hint="choose another name"
        )


def _digits(name: str) -> int:
    """How much of an ID tells runs apart that one name stands for, where the name is a beginning of one of their IDs, too."""
    return max(8, len(name) + 4) if re.fullmatch("[0-9a-f]+", name) else 8


def _list(heads: list[RunHead], digits: int = 8) -> str:
    """The newest of them, for a hint."""
    named = [f"{head.run_id[:digits]} ({_title(head)})" for head in heads[:_MOST_NAMED]]
    return ", ".join([*named, *(["…"] if len(heads) > _MOST_NAMED else [])])


def _title(head: RunHead) -> str:
    return f'"{head.run_name}"' if head.run_name else f"{head.started:%Y-%m-%d %H:%M}Z"
