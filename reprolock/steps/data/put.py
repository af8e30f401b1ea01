"""Upload files into a lake, and list what it holds. `data_get` copies in the other direction.

In go a lake, an address and a path on disk; out come objects in the lake, or entries to show. A folder
is checked whole before the first byte moves: what a lake cannot hold is refused by name, never renamed or skipped.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import NotFound, UsageError
from reprolock.files.os_errors import cannot_read
from reprolock.lake.protocol import Lake, Object
from reprolock.model.content import Check, Mismatch
from reprolock.model.uri import LakeURI
from reprolock.steps.data.source_files import files_of
from reprolock.steps.project.progress import SILENT, Progress

_CHUNK = 2**20


class Moved(NamedTuple):
    """What was put; `unchanged` objects were there already."""

    objects: int
    bytes: int
    unchanged: int = 0


class Listed(NamedTuple):
    """An object, or a folder (its path ends with "/") with all that is in it. Paths as in the repository."""

    path: str
    objects: int
    bytes: int

    @property
    def is_folder(self) -> bool:
        return self.path.endswith("/")


def put_tree(lake: Lake, source: Path, uri: LakeURI, *, progress: Progress = SILENT) -> Moved:
    """Stage a file, or every file under a folder, on a branch.

    A file goes to the address itself, or under its own name where the address ends with "/" or names
    a whole branch; a folder's files go below the address. A symbolic link that stays within the folder
    is followed. UsageError lists all that cannot be put, before anything is. What is there already with the
    same bytes, for example after an interrupted upload, is not sent again.
    """
    below = uri.path.rstrip("/")
    if source.is_dir():
        files = files_of(source, uri)
        items = [(f"{below}/{name}" if below else name, file) for name, file in files]
    else:
        named = uri.path and not uri.path.endswith("/")
        items = [(uri.path if named else uri.path + source.name, source)]
    try:
        sizes = {path: file.stat().st_size for path, file in items}
        progress.expect(len(items), sum(sizes.values()))
        there = _find_unchanged(lake, uri, items, sizes)
    except FileNotFoundError:
        raise UsageError(f"{source} does not exist", hint="name a file or folder that exists") from None
    except OSError as error:
        raise cannot_read(source, error) from error
    progress.advance(len(there), sum(sizes[path] for path in there))
    objects = size = 0
    for stored in lake.put_many(uri.repository, uri.ref, [item for item in items if item[0] not in there]):
        progress.advance(1, stored.size)
        objects, size = objects + 1, size + stored.size
    return Moved(objects, size, len(there))


def ls(lake: Lake, uri: LakeURI, *, recursive: bool = False) -> Iterator[Listed]:
    """What is at an address, sorted by path: every object, or the objects and folders one level down."""
    objects = lake.list(uri.repository, uri.ref, uri.path)
    if recursive:
        return (Listed(found.path, 1, found.size) for found in objects)
    below = uri.path.rstrip("/")
    start = len(below) + 1 if below else 0

    def level(found: Object) -> str:
        name, slash, _ = found.path[start:].partition("/")
        return found.path[:start] + name + slash if found.path != below else found.path

    # Sorted by bytes, all objects of a folder stand together: "a-b" before "a/x", "a/y".
    return (_sum(path, group) for path, group in groupby(objects, key=level))


def _find_unchanged(lake: Lake, uri: LakeURI, items: list[tuple[str, Path]], sizes: dict[str, int]) -> set[str]:
    """The paths at which a branch shows the very bytes of their files."""
    below = items[0][0] if len(items) == 1 else uri.path
    try:
        known = {found.path: found for found in lake.list(uri.repository, uri.ref, below)}
    except NotFound:  # nothing is there yet, or no such branch, which the put itself will say
        return set()
    alike = ((path, file) for path, file in items if path in known and known[path].size == sizes[path])
    return {path for path, file in alike if _has_bytes(lake, known[path], file)}


def _has_bytes(lake: Lake, found: Object, file: Path) -> bool:
    check = Check(found.content(lake.scheme), "bytes")
    with file.open("rb", buffering=0) as stream:
        try:
            shutil.copyfileobj(stream, check, _CHUNK)
            return check.finish()
        except Mismatch:
            return False


def _sum(path: str, group: Iterator[Object]) -> Listed:
    sizes = [found.size for found in group]
    return Listed(path, len(sizes), sum(sizes))
