"""Find listed objects in the local cache, and fetch the missing ones from the lake.

What is fetched comes by many transfers at a time, size and checksum checked as the bytes come in. What has come
stays in the cache, whatever happens next, so that a second go has less to do. `fill` makes a tree of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence

from reprolock.errors import MachineError, ServiceError
from reprolock.files.object_cache import ObjectCache
from reprolock.lake.protocol import Lake, Object
from reprolock.model.content import Check, Content, Meaning
from reprolock.model.uri import LakeURI
from reprolock.steps.inputs.opaque import opaque_name
from reprolock.steps.inputs.tree import LocalTree
from reprolock.steps.project.progress import Progress

_ROUNDS = 3
_OWN = "sha256"  # the scheme by which the cache names bytes of which the lake's checksum says nothing


class Source:
    """Where the bytes of the objects at one address come from: the cache, and the lake for what is not in it.

    `title` names what they are, at the start of a sentence; without a lake nothing is fetched. `fetched` objects were.
    `opaque` has the SHA-256 of those, by path, whose checksum could not be computed from the bytes: their size alone was
    checked. `whole` while there is no object of which that is not known.
    """

    def __init__(
        self, lake: Lake | None, place: LakeURI, scheme: str, cache: ObjectCache, title: str, progress: Progress
    ) -> None:
        self.cache = cache
        self.fetched = self.fetched_bytes = 0
        self.opaque: dict[str, str] = {}
        self.whole = True
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

    def held(self, items: Sequence[Object]) -> dict[str, Content]:
        """Path → content of what the cache has."""
        found = {item.path: content for item in items if (content := self._find_cached(item))}
        self._progress.advance(len(found), sum(content.size for content in found.values()))
        return found

    def fetch(self, items: Sequence[Object]) -> dict[str, Content]:
        """Read objects into the cache; path → content. What has come stays there, also when this ends with an error.

        PinError where an object is gone or damaged, ServiceError when the lake does not answer or may not be asked.
        """
        if not items:
            return {}
        if self._lake is None:
            raise not_cached(self._title, self.cache)
        from reprolock.lake.transfer.transfer import transfer  # libcurl and asyncio, which what is cached does not need

        firsts = {item[1:]: item for item in reversed(items)}  # equal size and checksum: equal bytes, which come once
        wanted = sorted(firsts.values(), key=lambda item: item.path.encode())
        fetched: dict[tuple[int, str], Content] = {}
        for step in transfer(self._lake, self._place, wanted, self._receive):
            for item, content in step.received:
                fetched[item[1:]] = content
                self.fetched, self.fetched_bytes = self.fetched + 1, self.fetched_bytes + item.size
            self._progress.advance(len(step.received), step.bytes)
        twins = [item for item in items if firsts[item[1:]] is not item]
        self._progress.advance(len(twins), sum(item.size for item in twins))
        return {item.path: fetched[item[1:]] for item in items}

    def note(self, placed: Mapping[str, Content]) -> None:
        """Of the objects that the tree was given, these are opaque: those that the cache had to name by itself."""
        self.opaque |= {path: content.checksum for path, content in placed.items() if content.scheme != self._scheme}

    def recall(self, items: Iterable[Object]) -> None:
        """Which objects are opaque that stand in the tree since an earlier time: by the notes of the cache, if it still has them."""
        for item in items:
            content = item.content(self._scheme)
            if content.algorithm in ("git", "sha256"):
                continue  # computed from the bytes by its form
            path = self.cache.path(content)
            if path is not None and os.path.exists(path):
                continue  # the bytes were found to have that checksum
            note = self.cache.note(self._opaque(item))
            if note is None:
                self.whole = False
            else:
                self.opaque[item.path] = note.decode("latin-1")

    def _find_cached(self, item: Object) -> Content | None:
        content = item.content(self._scheme)
        if self.cache.holds(content):
            return content
        note = self.cache.note(self._opaque(item))
        named = Content(_OWN, note.decode("latin-1"), item.size) if note else None
        return named if named and self.cache.holds(named) else None

    def _opaque(self, item: Object) -> bytes:
        """All that is known of bytes whose checksum only its maker understands: it names them in its repository alone."""
        return opaque_name(self._scheme, self._place.repository, item)

    def _receive(self, item: Object, meaning: Meaning) -> _Incoming:
        content = item.content(self._scheme)
        return _Incoming(item, content, Check(content, meaning), self.cache, self._opaque(item))


class _Incoming:
    """An object on its way into the cache, checked against its checksum as it comes, where that says anything about it."""

    def __init__(self, item: Object, content: Content, check: Check, cache: ObjectCache, opaque: bytes) -> None:
        self._item = item
        self._content = content
        self._check = check
        self._cache = cache
        self._opaque = opaque
        self._sha256 = None if check.decides else hashlib.sha256()
        self._draft = cache.draft()

    def write(self, data: bytes) -> None:
        self._check.write(data)
        if self._sha256:
            self._sha256.update(data)
        self._draft.write(data)

    def end(self) -> tuple[Object, Content]:
        content = self._content
        if not self._check.finish():
            assert self._sha256
            content = Content(_OWN, self._sha256.hexdigest(), content.size)
            self._cache.write_note(self._opaque, content.checksum.encode())
        self._draft.keep(content)
        return self._item, content

    def drop(self) -> None:
        self._draft.drop()


def not_cached(title: str, cache: ObjectCache) -> ServiceError:
    """What the cache lacks must not be fetched now; `title` names it, at the start of a sentence."""
    return ServiceError(
        f"{title} is incomplete in the cache at {cache.folder}, and --offline does not download it",
        hint="leave out --offline once the lake can be reached",
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
        left = missing
        for _ in range(_ROUNDS):
            # A cache may lose an object meanwhile: damaged and thrown away, or trimmed by another process.
            here |= source.fetch([item for item in left if item.path not in here])
            left = [item for item in left if not tree.put(source.cache, here[item.path], item)]
            if not left:
                return source.note(here)
            for item in left:
                del here[item.path]
        raise MachineError(
            f"the cache in {source.cache.folder} loses what is put into it",
            hint="keep other programs from changing it and try again",
        )
