"""The lake by hand: a folder of files into a lake, a place in a lake into a folder, and what is there.

In go a lake, an address and a path on disk; out come objects in the lake, files on the disk, or
entries to show. Both directions are checked whole before the first byte moves: what cannot be held
on the other side is refused by name, never renamed or skipped.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import NotFound, PinError, UsageError
from reprolock.files.failures import cannot_read, cannot_write
from reprolock.files.whole import TEMPORARY
from reprolock.lake import faults
from reprolock.lake.checksum import Checked, Mismatch
from reprolock.lake.protocol import Lake, Object
from reprolock.model.uri import LakeURI
from reprolock.steps.data_names import refuse_names
from reprolock.steps.data_sources import files_of
from reprolock.steps.progress import SILENT, Progress

READERS = 8
"""Objects read at the same time: a lakeFS answers several as fast as one."""
_CHUNK = 2**20


class Moved(NamedTuple):
    """What was put or got; `unchanged` objects were there already."""

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
    same bytes, such as after an upload that was cut off, is not sent again.
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
        there = _unchanged(lake, uri, items, sizes)
    except FileNotFoundError:
        raise UsageError(f"{source} is not there", hint="name a file or folder that exists") from None
    except OSError as error:
        raise cannot_read(source, error) from error
    progress.advance(len(there), sum(sizes[path] for path in there))
    objects = size = 0
    for stored in lake.put_many(uri.repository, uri.ref, [item for item in items if item[0] not in there]):
        progress.advance(1, stored.size)
        objects, size = objects + 1, size + stored.size
    return Moved(objects, size, len(there))


def get(lake: Lake, uri: LakeURI, dest: Path, *, progress: Progress = SILENT) -> Moved:
    """Copy an object to a file (into DEST under its own name where DEST is a folder), or a folder to a new folder.

    DEST appears when all of it is there and as long as the listing said, or not at all. Nothing is
    overwritten: UsageError when DEST is taken, or when names would leave the folder or cannot live
    side by side in it. A branch is read at its head, unless something is staged under the address.
    """
    ref = _still(lake, uri)
    try:
        objects = list(lake.list(uri.repository, ref, uri.path))
    except NotFound:
        objects = []
    if not objects:
        raise faults.no_path(uri)  # as it was written, not at the commit that it was resolved to
    below = uri.path.rstrip("/")
    single = [found.path for found in objects] == [below]
    if single and dest.is_dir():
        dest = dest / below.rpartition("/")[2]
    if dest.is_symlink() or (dest.exists() and (single or not dest.is_dir() or any(dest.iterdir()))):
        raise UsageError(f"{dest} is already there", hint="choose another DEST, or move it away")
    temporary = dest.with_name(f".{dest.name}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        names = [dest.name] if single else [found.path.removeprefix(below).removeprefix("/") for found in objects]
        refuse_names(names, uri, temporary)
        progress.expect(len(objects), sum(found.size for found in objects))
        _copy_all(lake, uri.at(ref), [(found, temporary / name) for found, name in zip(objects, names)], progress)
        os.replace(temporary / dest.name if single else temporary, dest)
    except OSError as error:
        raise cannot_write(dest, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Moved(len(objects), sum(found.size for found in objects))


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


def _unchanged(lake: Lake, uri: LakeURI, items: list[tuple[str, Path]], sizes: dict[str, int]) -> set[str]:
    """The paths at which a branch shows the very bytes of their files."""
    below = items[0][0] if len(items) == 1 else uri.path
    try:
        known = {found.path: found for found in lake.list(uri.repository, uri.ref, below)}
    except NotFound:  # nothing is there yet, or no such branch, which the put itself will say
        return set()
    alike = ((path, file) for path, file in items if path in known and known[path].size == sizes[path])
    return {path for path, file in alike if _has_bytes(lake, known[path], file)}


def _has_bytes(lake: Lake, found: Object, file: Path) -> bool:
    buffer = memoryview(bytearray(_CHUNK))
    with file.open("rb", buffering=0) as stream:
        checked = Checked(stream, lake.scheme, found, "bytes")
        try:
            while checked.readinto(buffer):
                pass
        except Mismatch:
            return False
    return checked.verified


def _sum(path: str, group: Iterator[Object]) -> Listed:
    sizes = [found.size for found in group]
    return Listed(path, len(sizes), sum(sizes))


def _still(lake: Lake, uri: LakeURI) -> str:
    """The commit's ID, which nobody can move while it is copied; the branch itself where it has staged changes."""
    commit = lake.resolve(uri.repository, uri.ref)
    return uri.ref if lake.uncommitted(uri.repository, uri.ref, uri.path) else commit.id


def _copy_all(lake: Lake, uri: LakeURI, work: list[tuple[Object, Path]], progress: Progress) -> None:
    for folder in sorted({file.parent for _, file in work}):
        folder.mkdir(parents=True, exist_ok=True)
    pool = ThreadPoolExecutor(max_workers=min(READERS, len(work)))
    try:
        for found in pool.map(lambda item: _copy(lake, uri, *item), work):
            progress.advance(1, found.size)
    finally:
        pool.shutdown(cancel_futures=True)


def _copy(lake: Lake, uri: LakeURI, found: Object, file: Path) -> Object:
    with lake.open(uri.repository, uri.ref, found.path) as stream, open(file, "xb") as copy:
        shutil.copyfileobj(stream, copy, _CHUNK)
        size = copy.tell()
    if size != found.size:
        raise PinError(
            f"{uri._replace(path=found.path)} came with {size} bytes, the listing says {found.size}",
            hint="try again; if it stays so, the lake is damaged",
        )
    return found
