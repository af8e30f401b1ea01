"""Make a read-only tree on the disk that holds exactly the objects of a pinned dataset.

1. The listing: out of the cache, where it lies under the pin's own digest since it was checked; else
   from the lake, checked against the pin.
2. What stands in the tree, and is as it was left, stays.
3. What the cache does not have is fetched, many transfers at a time, size and checksum checked as the
   bytes come in. What has come stays in the cache, whatever happens next.
4. The tree is built out of links into the cache, and appears whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import NotFound, PinError, UsageError
from reprolock.files.object_cache import ObjectCache
from reprolock.lake.protocol import Lake, Object
from reprolock.model.digest import listing_line, sha256
from reprolock.model.lock import DatasetPin
from reprolock.model.uri import LakeURI
from reprolock.model.workspace import Copied
from reprolock.steps.inputs.fetch import Source, fill, not_cached
from reprolock.steps.inputs.portable_names import refuse_name
from reprolock.steps.inputs.tree import LocalTree
from reprolock.steps.locking.availability import gone
from reprolock.steps.locking.datasets import listing
from reprolock.steps.project.progress import SILENT, Progress


class Materialised(NamedTuple):
    """The tree (or, where the address names an object, the file), what is in it, and what had to be fetched for it."""

    path: Path
    objects: int
    bytes: int
    fetched: int
    fetched_bytes: int
    copied: Copied


def materialise(
    lake: Lake | None,
    pin: DatasetPin,
    cache: ObjectCache,
    folder: Path,
    progress: Progress = SILENT,
    *,
    name: str | None = None,
) -> Path:
    """The pinned data at `folder/REPOSITORY/COMMIT/PATH`, as `make_tree` makes it."""
    return make_tree(lake, pin, cache, folder, progress, name=name).path


def make_tree(
    lake: Lake | None,
    pin: DatasetPin,
    cache: ObjectCache,
    folder: Path,
    progress: Progress = SILENT,
    *,
    name: str | None = None,
) -> Materialised:
    """Make the tree of a pin whole, or one file of it (`name`, relative to the dataset), and say what that took. The lake
    is asked only for what is not in the cache; None: no lake is asked.

    UsageError (2) for a name that the dataset does not have, and for names that a folder here cannot hold; PinError (4)
    where the data is gone, damaged or not what was pinned, or where a file stands in the tree that is none of its;
    ServiceError (5) when the lake does not answer, or may not be asked; MachineError (8) for a full disk or a folder
    that cannot be written.
    """
    items = pinned_listing(lake, pin, cache)
    place = pin.place
    if name is not None:
        items = [_find_object(pin, items, name)]
        place = place._replace(path=items[0].path)
    tree = LocalTree(folder, _tree_path(folder, place, pin.glob), place, items)
    missing = tree.missing()
    source = Source(lake, place, pin.digest.partition(":")[0], cache, f"dataset {pin.name}", progress)
    source.begin(items, missing)
    if missing:
        fill(tree, missing, source)
    absent = {item.path for item in missing}
    source.recall(item for item in items if item.path not in absent)
    copied = Copied(source.whole and name is None, source.opaque)
    return Materialised(
        tree.path, len(items), sum(item.size for item in items), source.fetched, source.fetched_bytes, copied
    )


def _tree_path(folder: Path, place: LakeURI, glob: str | None) -> Path:
    """Trees of one commit may share folders, since they agree about every file; those of a glob do not agree
    about what is absent, so each glob has a root of its own."""
    root = place.ref if glob is None else f"{place.ref}-{sha256(glob.encode())[:8]}"
    return folder.joinpath(place.repository, root, *place.path.rstrip("/").split("/"))


def _find_object(pin: DatasetPin, items: Sequence[Object], name: str) -> Object:
    """One of the objects, by its name below the dataset; the last segment of an address that names an object."""
    root = pin.place.path.rstrip("/")
    below = len(root) + 1 if root else 0
    names = {item.path[below:] or root.rpartition("/")[2]: item for item in items}
    if name in names:
        refuse_name(name, pin.place)
        return names[name]
    near = get_close_matches(name, names, n=1) or [min(names)]
    raise UsageError(f'dataset "{pin.name}" has no object "{name}"', hint=f'one that it has: .open("{near[0]}")')


def pinned_listing(lake: Lake | None, pin: DatasetPin, cache: ObjectCache) -> list[Object]:
    """The objects of the pin. A listing's bytes have the pin's digest as their SHA-256: noted in the cache, they prove themselves."""
    scheme, _, digest = pin.digest.partition(":")
    lines = cache.note(pin.digest.encode())
    if lines is not None and sha256(lines) == digest:
        return [Object(*fields) for fields in json.loads(b"[" + b",".join(lines.splitlines()) + b"]")]
    if lake is None:
        raise not_cached(f"dataset {pin.name}", cache)
    if lake.scheme != scheme:
        raise PinError(
            f"dataset {pin.name} is pinned by {scheme} checksums, the lake {lake.endpoint} has {lake.scheme}",
            hint="use the lake that it was pinned in",
            owner_hint="`reprolock lock --upgrade` pins what this one has",
        )
    try:
        items = list(listing(lake, pin.place, pin.glob))
    except NotFound as error:
        raise gone(pin, f"which is gone: {error.message}") from None
    lines = b"".join(listing_line(*item) for item in items)
    if sha256(lines) != digest:
        raise PinError(
            f"dataset {pin.name}: what the lake lists at {pin.resolved} has the digest {scheme}:{sha256(lines)}, "
            f"pinned is {pin.digest}",
            hint="either what the lake has at this commit was changed, or repro.lock was",
            owner_hint="find out who changed it before you lock again",
        )
    cache.write_note(pin.digest.encode(), lines)
    return items
