"""Copy an object or a folder of a lake to this machine, as read-only files.

The way of a dataset's local tree: the ref is resolved to its commit, what this user's cache has is not fetched
again, what it has not comes by many transfers at a time, each object checked against the listing; then links into the
cache are put at DEST. A second go after an end in the middle goes on where the first one was.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reprolock.errors import NotFound, PinError, UsageError
from reprolock.files.object_cache import ObjectCache
from reprolock.files.os_errors import cannot_read
from reprolock.lake import errors
from reprolock.lake.protocol import Lake, Object
from reprolock.model.uri import LakeURI
from reprolock.steps.inputs.fetch import Source, fill
from reprolock.steps.inputs.tree import LocalTree
from reprolock.steps.project.progress import SILENT, Progress


class Got(NamedTuple):
    """What stands at `dest` now, and how much of it had to be fetched; `unverified` objects have a checksum that
    could not be computed from their bytes: their size alone was checked. `ref`: the commit, or the branch itself."""

    dest: Path
    ref: str
    objects: int
    bytes: int
    fetched: int
    fetched_bytes: int
    unverified: int


def get(lake: Lake, uri: LakeURI, dest: Path, cache: ObjectCache, *, progress: Progress = SILENT) -> Got:
    """An object becomes a file (in DEST under its own name where DEST is a folder), all below a folder a new folder.

    DEST appears when all of it is there and is what the listing said, or not at all. Files are read-only:
    hard links to the cache's, or reflinks where the file system has them; copies on another disk. A branch is read at its
    head; one with something staged under the address is read as it stands, staged objects included.

    UsageError (2) when DEST is taken, as nothing is overwritten, or for names that would leave the folder or cannot
    live side by side in it; NotFound (2) where nothing is at the address; PinError (4) for an object that is gone or
    damaged, and for a branch that moved meanwhile; ServiceError (5); MachineError (8).
    """
    place = uri.at(_still(lake, uri))
    objects = _list(lake, place)
    if not objects:
        raise errors.no_path(uri)  # as it was written, not at the commit that it was resolved to
    dest = _free(dest, uri, single=[found.path for found in objects] == [uri.path.rstrip("/")])
    tree = LocalTree(dest.parent, dest, uri, objects, shared=False)
    source = Source(lake, place, lake.scheme, cache, str(uri), progress)
    source.begin(objects, objects)
    try:
        fill(tree, objects, source)
    except (NotFound, PinError):
        if place == uri and _list(lake, place) != objects:
            raise PinError(
                f"{uri} changed while it was copied",
                hint="try again, or commit what is staged there and get the commit",
            ) from None
        raise
    size = sum(found.size for found in objects)
    return Got(dest, place.ref, len(objects), size, source.fetched, source.fetched_bytes, len(source.opaque))


def _still(lake: Lake, uri: LakeURI) -> str:
    """The commit's ID, which cannot move while it is copied; the branch itself where it has staged changes."""
    commit = lake.resolve(uri.repository, uri.ref)
    return uri.ref if lake.uncommitted(uri.repository, uri.ref, uri.path) else commit.id


def _list(lake: Lake, place: LakeURI) -> list[Object]:
    try:
        return list(lake.list(*place))
    except NotFound:
        return []


def _free(dest: Path, uri: LakeURI, *, single: bool) -> Path:
    """Where exactly to put it. UsageError unless nothing, or an empty folder, is there."""
    try:
        if single and dest.is_dir():
            dest = dest / uri.path.rstrip("/").rpartition("/")[2]
        taken = dest.is_symlink() or (dest.exists() and (single or not dest.is_dir() or any(dest.iterdir())))
    except OSError as error:
        raise cannot_read(dest, error) from error
    if taken:
        raise UsageError(f"{dest} is already there", hint="choose another DEST, or move it away")
    return dest if dest.name not in ("", "..") else dest.resolve()
