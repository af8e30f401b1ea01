"""Find what a command wrote that no output declares, in the run's own folder.

In: the folder that the command ran in, the code that was put there and the outputs' paths. Out: one
`LeftoverRecord` for each file, or for each folder in which nothing is code or output. Links are not followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from reprolock.model.record import LeftoverRecord
from reprolock.model.uri import is_under, with_folders
from reprolock.model.workspace import OTHERS

_LITTER = ("__pycache__", ".ipynb_checkpoints", "metastore_db", "derby.log")
"""What Python, Jupyter and Spark leave wherever they run."""
MOST = 50
"""How many entries a record has, largest first; where there would be more, the last one counts all others."""


def list_leftovers(work: Path, code: Mapping[str, float], outputs: Collection[str]) -> tuple[LeftoverRecord, ...]:
    """Sorted by size. `code` is path → when the file was put there (mtime); one that is newer was written anew."""
    kept = {place for path in (*code, *outputs) for place in with_folders(path)}
    found: dict[str, tuple[int, int]] = {}
    for path, size, modified in _files(work):
        if any(is_under(path, output) for output in outputs) or code.get(path) == modified:
            continue
        group = path if path in code else _group(path, kept)
        files, size_before = found.get(group, (0, 0))
        found[group] = files + 1, size_before + size
    ordered = sorted(found.items(), key=lambda item: (-item[1][1], item[0]))
    if len(ordered) > MOST:
        others = [counted for _, counted in ordered[MOST - 1 :]]
        whole = (sum(files for files, _ in others), sum(size for _, size in others))
        ordered = [*ordered[: MOST - 1], (OTHERS, whole)]
    return tuple(LeftoverRecord(path=path, files=files, bytes=size) for path, (files, size) in ordered)


def times(work: Path, paths: Collection[str]) -> dict[str, float]:
    """When each file of the code was put where it is."""
    return {path: (work / path).lstat().st_mtime_ns for path in paths if os.path.lexists(work / path)}


def _files(work: Path) -> Iterator[tuple[str, int, float]]:
    for folder, folders, names in os.walk(work):
        folders[:] = [name for name in folders if name not in _LITTER]
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in [*names, *links]:
            path = Path(folder) / name
            try:
                status = path.lstat()
            except OSError:
                continue  # removed meanwhile, by what the command left running
            if name not in _LITTER and stat.S_IFMT(status.st_mode) in (stat.S_IFREG, stat.S_IFLNK):
                shown = path.relative_to(work).as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                yield shown, status.st_size, status.st_mtime_ns


def _group(path: str, kept: Collection[str]) -> str:
    """The outermost folder around a file in which nothing is code or output, written with a "/" at its end; else the file.
    `kept` are code and outputs with the folders that they are in."""
    free = [folder for folder in with_folders(path) if folder != path and folder not in kept]
    return f"{free[-1]}/" if free else path
