"""Listed objects in, what the cache calls them out: what it has, and from the lake what it has not.

What is fetched comes by many transfers at a time, size and checksum checked as the bytes come in. What has come
stays in the cache, whatever happens next, so that a second go has less to do. `fill` makes a tree of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from reprolock.errors import MachineError, ServiceError
from reprolock.files.object_cache import Draft, ObjectCache
from reprolock.lake.protocol import Lake, Object
from reprolock.lake.transfer import transfer
from reprolock.model.content import Check, Content, Meaning
from reprolock.model.uri import LakeURI
from reprolock.steps.local_tree import LocalTree
from reprolock.steps.progress import Progress

_ROUNDS = 3


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
        self._schemes = (scheme, f"{scheme}/{place.repository}")
        self._title = title
        self._progress = progress

    def begin(self, items: Sequence[Object], missing: Sequence[Object]) -> None:
        """Say what is to come, and what stands already."""
        objects, size = len(items), sum(item.size for item in items)
        self._progress.expect(objects, size)
        self._progress.advance(objects - len(missing), size - sum(item.size for item in missing))

    def held(self, items: Sequence[Object]) -> dict[str, Content]:
        """Path → content of what the cache has."""
        found: dict[str, Content] = {}
        for item in items:
            for content in self._names(item):
                if self.cache.holds(content):
                    found[item.path] = content
                    self.unverified += not content.algorithm
                    break
        self._progress.advance(len(found), sum(content.size for content in found.values()))
        return found

    def fetch(self, items: Sequence[Object]) -> dict[str, Content]:
        """Read objects into the cache; path → content. What has come stays there, also when this ends with an error.

        PinError where an object is gone or damaged, ServiceError when the lake stays away or nobody may be asked.
        """
        if not items:
            return {}
        if self._lake is None:
            raise not_cached(self._title, self.cache)
        firsts = {item[1:]: item for item in reversed(items)}  # equal size and checksum: equal bytes, which come once
        wanted = sorted(firsts.values(), key=lambda item: item.path.encode())
        fetched: dict[tuple[int, str], Content] = {}
        for step in transfer(self._lake, self._place, wanted, self._receive):
            for item, content in step.received:
                fetched[item[1:]] = content
                self.fetched, self.fetched_bytes = self.fetched + 1, self.fetched_bytes + item.size
                self.unverified += not content.algorithm
            self._progress.advance(len(step.received), step.bytes)
        twins = [item for item in items if firsts[item[1:]] is not item]
        self._progress.advance(len(twins), sum(item.size for item in twins))
        return {item.path: fetched[item[1:]] for item in items}

    def _receive(self, item: Object, meaning: Meaning) -> _Incoming:
        return _Incoming(item, self._names(item), Check(item.content(self._schemes[0]), meaning), self.cache.draft())

    def _names(self, item: Object) -> tuple[Content, Content]:
        """What the cache calls an object whose checksum was seen to be over its bytes, which it then names anywhere; and
        one whose checksum only its maker understands, in its repository alone."""
        content, own = map(item.content, self._schemes)
        return (content if content.algorithm else own), own


class _Incoming:
    """An object on its way into the cache, held against its checksum as it comes."""

    def __init__(self, item: Object, names: tuple[Content, Content], check: Check, draft: Draft) -> None:
        self._item = item
        self._names = names
        self._check = check
        self._draft = draft

    def write(self, data: bytes) -> None:
        self._check.write(data)
        self._draft.write(data)

    def end(self) -> tuple[Object, Content]:
        verified, own = self._names
        content = verified if self._check.finish() else own
        self._draft.keep(content)
        return self._item, content

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
    here = source.held(missing)
    here |= source.fetch([item for item in missing if item.path not in here])
    with tree.building():
        for _ in range(_ROUNDS):
            # A cache may lose an object meanwhile: damaged and thrown away, or trimmed by somebody else.
            here |= source.fetch([item for item in missing if item.path not in here])
            missing = [item for item in missing if not tree.put(source.cache, here.pop(item.path), item)]
            if not missing:
                return
        raise MachineError(
            f"the cache in {source.cache.folder} loses what is put into it",
            hint="keep other programs from changing it and try again",
        )
