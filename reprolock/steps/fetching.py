"""Listed objects in, entries of the cache out: what the cache has, and from the lake what it has not.

What is fetched comes by many transfers at a time, size and checksum checked as the bytes come in. What has come
stays in the cache, whatever happens next, so that a second go has less to do. `fill` makes a tree of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from reprolock.errors import MachineError, ServiceError
from reprolock.files.object_cache import Draft, Entry, ObjectCache
from reprolock.files.object_index import Key
from reprolock.lake.checksum import Check, Meaning, verifiable
from reprolock.lake.protocol import Lake, Object
from reprolock.lake.transfer import transfer
from reprolock.model.uri import LakeURI
from reprolock.steps.local_tree import LocalTree
from reprolock.steps.progress import Progress

_ROUNDS = 3
# Each remembering is a write to the disk; what is not remembered when a process is killed is fetched again.
_LEARN_SECONDS = 0.5


class Source:
    """Where the bytes of the objects at one place come from: the cache, and the lake for what is not in it.

    `title` names what they are, at the start of a sentence; without a lake nobody is asked. `fetched` objects were. Of
    `unverified` ones, fetched now or before, the checksum could not be computed from the bytes: their size alone was checked.
    """

    def __init__(self, lake: Lake | None, place: LakeURI, scheme: str, cache: ObjectCache, title: str, progress: Progress) -> None:
        self.cache = cache
        self.fetched = self.fetched_bytes = self.unverified = 0
        self._lake = lake
        self._place = place
        self._scheme = scheme
        self._title = title
        self._progress = progress

    def begin(self, items: Sequence[Object], missing: Sequence[Object]) -> None:
        """Say what is to come, and what stands already."""
        objects, size = len(items), sum(item.size for item in items)
        self._progress.expect(objects, size)
        self._progress.advance(objects - len(missing), size - sum(item.size for item in missing))

    def known(self, items: Sequence[Object]) -> dict[str, Entry]:
        """Path → entry of what the cache has by its checksum."""
        found: dict[str, Entry] = {}
        for verified in (True, False):
            keys = {item.path: self._key(item, verified) for item in items if item.path not in found}
            entries = self.cache.known(keys.values())
            known = {path: entries[key] for path, key in keys.items() if key in entries}
            self.unverified += sum(item.path in known and not (verified and verifiable(self._scheme, item.checksum)) for item in items)
            found |= known
        self._progress.advance(len(found), sum(entry.size for entry in found.values()))
        return found

    def fetch(self, items: Sequence[Object]) -> dict[str, Entry]:
        """Read objects into the cache; path → entry. What has come is remembered, also when this ends with an error.

        PinError where an object is gone or damaged, ServiceError when the lake stays away or nobody may be asked.
        """
        if not items:
            return {}
        if self._lake is None:
            raise not_cached(self._title, self.cache)
        firsts = {item[1:]: item for item in reversed(items)}  # equal size and checksum: equal bytes, which come once
        wanted = sorted(firsts.values(), key=lambda item: item.path.encode())
        entries: dict[tuple[int, str], Entry] = {}
        fresh: dict[Key, Entry] = {}
        learnt = time.monotonic()
        try:
            for step in transfer(self._lake, self._place, wanted, self._receive):
                for item, entry, verified in step.received:
                    entries[item[1:]] = fresh[self._key(item, verified)] = entry
                    self.fetched, self.fetched_bytes = self.fetched + 1, self.fetched_bytes + item.size
                    self.unverified += not verified
                self._progress.advance(len(step.received), step.bytes)
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

    def _receive(self, item: Object, meaning: Meaning) -> _Incoming:
        return _Incoming(item, Check(self._scheme, item, meaning), self.cache.draft())

    def _key(self, item: Object, verified: bool) -> Key:
        """A checksum over the bytes names them anywhere; one that only its maker understands, in its repository alone."""
        anywhere = verified and verifiable(self._scheme, item.checksum) is not None
        scheme = self._scheme if anywhere else f"{self._scheme}/{self._place.repository}"
        return Key(scheme, item.checksum, item.size)


class _Incoming:
    """An object on its way into the cache, held against its checksum as it comes."""

    def __init__(self, item: Object, check: Check, draft: Draft) -> None:
        self._item = item
        self._check = check
        self._draft = draft

    def write(self, data: bytes) -> None:
        self._check.write(data)
        self._draft.write(data)

    def end(self) -> tuple[Object, Entry, bool]:
        verified = self._check.finish()
        return self._item, self._draft.keep(), verified

    def drop(self) -> None:
        self._draft.drop()


def not_cached(title: str, cache: ObjectCache) -> ServiceError:
    """Nobody may be asked for what the cache has not; `title` names it, at the start of a sentence."""
    return ServiceError(
        f"{title} is not whole in the cache at {cache.folder}, and offline nobody is asked for it",
        hint="leave out --offline while the lake answers",
    )


def fill(tree: LocalTree, missing: Sequence[Object], source: Source) -> None:
    """Make the missing files of a tree. The transfers come first: a process killed in one leaves nothing beside the tree.

    Errors as `Source.fetch`; UsageError (2) for names that a folder here cannot hold; MachineError (8) for a full disk
    or a folder that cannot be written.
    """
    tree.check()
    known = source.known(missing)
    known |= source.fetch([item for item in missing if item.path not in known])
    with tree.building():
        for _ in range(_ROUNDS):
            # A cache may lose an object meanwhile: damaged and thrown away, or trimmed by somebody else.
            known |= source.fetch([item for item in missing if item.path not in known])
            missing = [item for item in missing if not tree.put(source.cache, known.pop(item.path), item)]
            if not missing:
                return
        raise MachineError(
            f"the cache in {source.cache.folder} loses what is put into it",
            hint="keep other programs from changing it and try again",
        )
