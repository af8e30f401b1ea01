"""Records of the runs that were made in this folder, as `.reprolock/runs/<id>/record.json` keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, ConfigDict, Strict, ValidationError

from reprolock.files.atomic_write import OWN_FOLDER
from reprolock.files.containment import read_linked
from reprolock.model.record import Record
from reprolock.model.value import Value
from reprolock.tracker.protocol import RECORD

REPLAYS = "replays"
"""Where the folders of replays stand, in `.reprolock`."""


class _Published(Value):
    model_config = ConfigDict(extra="ignore")

    tag: str | None = None


class RunHead(Value):
    """What names a run, of its record alone: reading a thousand of these takes no longer than a person waits."""

    model_config = ConfigDict(extra="ignore")

    run_id: str
    run_name: str | None = None
    replay_of: str | None = None
    parent: str | None = None
    status: str = ""
    mode: str = ""
    started: AwareDatetime
    published: Annotated[tuple[_Published, ...], Strict(False)] = ()

    @property
    def tags(self) -> frozenset[str]:
        """The tags that it put into the lake."""
        return frozenset(item.tag for item in self.published if item.tag is not None)


def runs_folder(root: Path) -> Path:
    """Where the folders of runs stand."""
    return root / OWN_FOLDER / "runs"


def kept_outputs(folder: Path) -> Path:
    """Where the outputs of a sweep's run stand, in the run's folder."""
    return folder / "outputs"


def local_heads(root: Path) -> list[RunHead]:
    """What names the runs here, the newest first. A record in the folder of another run's name is none of them."""
    found = []
    for path in runs_folder(root).glob(f"*/{RECORD}"):
        with suppress(OSError, ValidationError):
            head = RunHead.model_validate_json(read_linked(path))
            if head.run_id == path.parent.name:
                found.append(head)
    return sorted(found, key=lambda head: head.started, reverse=True)


def latest(root: Path) -> Record | None:
    """The record of the run here that was started last, as `@latest` names it."""
    return next(local_records(root, lambda head: head.replay_of is None), None)


def latest_of_command(root: Path) -> Record | None:
    """The same of runs of the project's command: a block that was recorded interactively is told apart from nothing."""
    return next(local_records(root, lambda head: head.replay_of is None and head.mode != "interactive"), None)


def local_records(root: Path, wanted: Callable[[RunHead], bool] = lambda head: True) -> Iterator[Record]:
    """The records of the runs here, the newest first, as they were started; each is read when it is asked for."""
    for head in local_heads(root):
        if wanted(head) and (record := read_record(runs_folder(root) / head.run_id / RECORD)):
            yield record


def read_record(path: Path) -> Record | None:
    """The record in a file; None where there is none or it is damaged: MLflow has it too."""
    try:
        return Record.model_validate_json(read_linked(path))
    except (OSError, ValidationError):
        return None
