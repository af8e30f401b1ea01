"""A pinned dataset in, a read-only tree of exactly its objects on the disk out.

1. The listing: out of the cache, where it lies under the pin's own digest since it was checked; else
   from the lake, checked against the pin.
2. What stands in the tree, and is as it was left, stays.
3. What the cache does not have is fetched, many transfers at a time, size and checksum checked as the
   bytes come in. What has come stays in the cache, whatever happens next.
4. The tree is built out of links into the cache, and appears whole.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import MachineError, NotFound, PinError, ServiceError
from reprolock.files.object_cache import Entry, ObjectCache
from reprolock.files.object_index import Key
from reprolock.lake.checksum import Checked, Meaning, Stream, verifiable
from reprolock.lake.protocol import Lake, Object
from reprolock.lake.transfer import transfer
from reprolock.model.digest import listing_line, sha256
from reprolock.model.lock import DatasetPin
from reprolock.steps.local_tree import LocalTree
from reprolock.steps.progress import SILENT, Progress
from reprolock.steps.resolve import listing

_ROUNDS = 3
# Each remembering is a write to the disk; what is not remembered when a process is killed is fetched again.
_LEARN_SECONDS = 0.5


class Materialised(NamedTuple):
    """The tree (or, where the address names an object, the file), what is in it, and what had to be fetched for it.

    Of what was fetched, `unverified` objects have a checksum that could not be computed from their bytes: their
    size alone was checked.
    """

    path: Path
    objects: int
    bytes: int
    fetched: int
    fetched_bytes: int
    unverified: int


def materialise(
    lake: Lake | None, pin: DatasetPin, cache: ObjectCache, folder: Path, progress: Progress = SILENT
) -> Path:
    """The pinned data at `folder/REPOSITORY/COMMIT/PATH`, as `materialised` makes it."""
    return materialised(lake, pin, cache, folder, progress).path


def materialised(
    lake: Lake | None, pin: DatasetPin, cache: ObjectCache, folder: Path, progress: Progress = SILENT
) -> Materialised:
    """Make the tree of a pin whole, and say what that took. The lake is asked only for what is not in the cache;
    None is nobody to ask.

    PinError (4) where the data is gone, damaged or not what was pinned, or where a file stands in the tree
    that is none of its; UsageError (2) for names that a folder here cannot hold; ServiceError (5) when
    the lake stays away, or nobody may be asked; MachineError (8) for a full disk or a folder that cannot be written.
    """
    items = _listing(lake, pin, cache)
    tree = LocalTree(folder, _tree_path(folder, pin), pin.place, items)
    missing = tree.missing()
    source = _Source(lake, pin, cache, progress)
    source.begin(items, missing)
    if missing:
        with tree.building():
            _fill(tree, missing, source)
    return Materialised(tree.path, len(items), pin.bytes, source.fetched, source.fetched_bytes, source.unverified)


def _tree_path(folder: Path, pin: DatasetPin) -> Path:
    """Trees of one commit may share folders, since they agree about every file; those of a glob do not agree
    about what is absent, so each glob has a root of its own."""
    place = pin.place
    root = place.ref if pin.glob is None else f"{place.ref}-{sha256(pin.glob.encode())[:8]}"
    return folder.joinpath(place.repository, root, *place.path.rstrip("/").split("/"))


def _fill(tree: LocalTree, missing: Sequence[Object], source: _Source) -> None:
    known = source.known(missing)
    for _ in range(_ROUNDS):
        known |= source.fetch([item for item in missing if item.path not in known])
        # A cache may lose an object meanwhile: damaged and thrown away, or trimmed by somebody else.
        missing = [item for item in missing if not tree.put(source.cache, known.pop(item.path), item)]
        if not missing:
            return
    raise MachineError(
        f"the cache in {source.cache.folder} loses what is put into it",
        hint="keep other programs from changing it and try again",
    )


def _listing(lake: Lake | None, pin: DatasetPin, cache: ObjectCache) -> list[Object]:
    """The objects of the pin. A listing's bytes have the pin's digest as their SHA-256: the cache holds it like any object."""
    scheme, _, digest = pin.digest.partition(":")
    lines = cache.read(digest)
    if lines is not None:
        return [Object(*fields) for fields in json.loads(b"[" + b",".join(lines.splitlines()) + b"]")]
    if lake is None:
        raise _not_cached(pin, cache)
    if lake.scheme != scheme:
        raise PinError(
            f"dataset {pin.name} is pinned by {scheme} checksums, the lake {lake.endpoint} has {lake.scheme}",
            hint="use the lake that it was pinned in, or run `reprolock lock --upgrade`",
        )
    try:
        items = list(listing(lake, pin.place, pin.glob))
    except NotFound as error:
        raise PinError(
            f"dataset {pin.name} is pinned at {pin.resolved}, which is gone: {error.message}",
            hint="restore the commit in the lake, or run `reprolock lock --upgrade` to pin what is there now",
        ) from None
    lines = b"".join(listing_line(*item) for item in items)
    if sha256(lines) != digest:
        raise PinError(
            f"dataset {pin.name}: what the lake lists at {pin.resolved} has the digest {scheme}:{sha256(lines)}, "
            f"pinned is {pin.digest}",
            hint="somebody changed the lake under the commit, or repro.lock; find out who before you lock again",
        )
    cache.add(io.BytesIO(lines))
    return items


def _not_cached(pin: DatasetPin, cache: ObjectCache) -> ServiceError:
    return ServiceError(
        f"dataset {pin.name} is not whole in the cache at {cache.folder}, and offline nobody is asked for it",
        hint="leave out --offline while the lake answers",
    )


class _Source:
    """Where the bytes of one pin come from: the cache, and the lake for what is not in it."""

    def __init__(self, lake: Lake | None, pin: DatasetPin, cache: ObjectCache, progress: Progress) -> None:
        self.pin = pin
        self.cache = cache
        self.scheme = pin.digest.partition(":")[0]
        self.fetched = self.fetched_bytes = self.unverified = 0
        self._lake = lake
        self._place = pin.place
        self._progress = progress

    def begin(self, items: Sequence[Object], missing: Sequence[Object]) -> None:
        """Say what is to come, and what stands already."""
        objects, size = len(items), sum(item.size for item in items)
        self._progress.expect(objects, size)
        self._progress.advance(objects - len(missing), size - sum(item.size for item in missing))

    def known(self, items: Sequence[Object]) -> dict[str, Entry]:
        """Path → entry of what the cache knows by its checksum."""
        found: dict[str, Entry] = {}
        for verified in (True, False):
            keys = {item.path: self._key(item, verified) for item in items if item.path not in found}
            entries = self.cache.known(keys.values())
            found |= {path: entries[key] for path, key in keys.items() if key in entries}
        self._progress.advance(len(found), sum(entry.size for entry in found.values()))
        return found

    def fetch(self, items: Sequence[Object]) -> dict[str, Entry]:
        """Read objects into the cache; path → entry. What has come is remembered, also when this ends with an error."""
        if not items:
            return {}
        if self._lake is None:
            raise _not_cached(self.pin, self.cache)
        firsts = {item[1:]: item for item in reversed(items)}  # equal size and checksum: equal bytes, which come once
        wanted = sorted(firsts.values(), key=lambda item: item.path.encode())
        entries: dict[tuple[int, str], Entry] = {}
        fresh: dict[Key, Entry] = {}
        learnt = time.monotonic()
        try:
            for step in transfer(self._lake, self._place, wanted, self._receive):
                if step.received:
                    item, entry, verified = step.received
                    entries[item[1:]] = fresh[self._key(item, verified)] = entry
                    self.fetched, self.fetched_bytes = self.fetched + 1, self.fetched_bytes + item.size
                    self.unverified += not verified
                self._progress.advance(1 if step.received else 0, step.bytes)
                if fresh and time.monotonic() - learnt > _LEARN_SECONDS:
                    self.cache.learn(fresh.items())
                    fresh.clear()
                    learnt = time.monotonic()
        finally:
            if fresh:
                self.cache.learn(fresh.items())
        twins = [item for item in items if firsts[item[1:]] is not item]
        self._progress.advance(len(twins), sum(item.size for item in twins))
        return {item.path: entries[item[1:]] for item in items}

    def _receive(self, item: Object, stream: Stream, meaning: Meaning) -> tuple[Object, Entry, bool]:
        checked = Checked(stream, self.scheme, item, meaning)
        return item, self.cache.add(checked), checked.verified

    def _key(self, item: Object, verified: bool) -> Key:
        """A checksum over the bytes names them anywhere; one that only its maker understands, in its repository alone."""
        anywhere = verified and verifiable(self.scheme, item.checksum) is not None
        scheme = self.scheme if anywhere else f"{self.scheme}/{self._place.repository}"
        return Key(scheme, item.checksum, item.size)
