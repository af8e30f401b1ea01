"""Remove what old runs and replays left in a project, and never what may be the only copy of a record.

    .reprolock/runs/<id>/            its folders go (work, spark-conf); its files, which are the record's, stay
    .reprolock/replays/<id>-N/       likewise: only the files of `project/.reprolock/runs/<id>/` stay
    .reprolock/replaced/<id>/        what stood at an output's path before: goes whole

A run or a replay that is under way is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from reprolock.files.atomic_write import OWN_FOLDER
from reprolock.files.journal import OPEN
from reprolock.files.outputs import REPLACED, remove
from reprolock.steps.project.run_folders import REPLAYS, runs_folder


class Pruned(NamedTuple):
    """How much went."""

    files: int
    bytes: int


def prune(root: Path, older_than: timedelta, now: datetime) -> Pruned:
    """Remove what is older; what cannot be removed stays, for a run does not depend on it."""
    before = now.timestamp() - older_than.total_seconds()
    own = root / OWN_FOLDER
    going = [*_of_runs(root, before), *_of_replays(own / REPLAYS, before)]
    going += [path for path in _entries(own / REPLACED) if _is_older(path, before)]
    sizes = [size for path in going for size in _sizes(path)]
    for path in going:
        with suppress(OSError):
            remove(path)
    return Pruned(len(sizes), sum(sizes))


def _of_runs(root: Path, before: float) -> Iterator[Path]:
    open_runs = {path.stem for path in (root / OWN_FOLDER / OPEN).glob("*.json")}
    for run in _entries(runs_folder(root)):
        if run.name not in open_runs and _is_older(run, before):
            yield from (path for path in _entries(run) if path.is_dir() and not path.is_symlink())


def _of_replays(replays: Path, before: float) -> Iterator[Path]:
    for replay in _entries(replays):
        project = replay / "project"
        if not _is_older(replay, before) or any((project / OWN_FOLDER / OPEN).glob("*.json")):
            continue
        yield from (path for path in _entries(replay) if path != project)
        yield from (path for path in _entries(project) if path.name != OWN_FOLDER)
        yield from (path for path in _entries(project / OWN_FOLDER) if path.name != "runs")
        for run in _entries(runs_folder(project)):
            yield from (path for path in _entries(run) if path.is_dir() and not path.is_symlink())


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_older(path: Path, before: float) -> bool:
    """By the last change of the folder itself, or of the record in it."""
    times = [entry.stat().st_mtime for entry in (path, path / "record.json") if entry.exists()]
    return bool(times) and max(times) < before


def _sizes(path: Path) -> Iterator[int]:
    if path.is_symlink() or not path.is_dir():
        yield path.lstat().st_size
        return
    for folder, _, names in os.walk(path):
        yield from ((Path(folder) / name).lstat().st_size for name in names)
