"""`Lake`: what reprolock asks of a versioned data store, and the plain values it answers with.

Two real implementations pass one test-suite (tests/lake_suite.py). Errors are those of
`reprolock.errors`; a store's own are translated at its edge (`NotFound`, `PinError` for data that a
commit names but the store no longer has, `ServiceError`, `LakeRefused`) and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Protocol

from reprolock.model.content import Content
from reprolock.model.uri import LakeURI


class Object(NamedTuple):
    """One object of a listing. `size` in bytes; `checksum` as the lake states it (see `Lake.scheme`)."""

    path: str
    size: int
    checksum: str

    def content(self, scheme: str) -> Content:
        """Its bytes, as a lake of that scheme names them."""
        return Content(scheme, self.checksum, self.size)


class Commit(NamedTuple):
    """One commit. `id` is the full one, `time` is UTC to the second."""

    id: str
    time: datetime
    message: str
    parents: tuple[str, ...]
    metadata: Mapping[str, str]


class Change(NamedTuple):
    """One difference between two refs, seen from the first to the second."""

    kind: Literal["added", "removed", "changed"]
    path: str


class Ref(NamedTuple):
    """A branch or a tag, and the ID of the commit it stands for."""

    kind: Literal["branch", "tag"]
    name: str
    commit: str


class Lake(Protocol):
    """A versioned data store of repositories, branches, tags and commits.

    Paths are relative to a repository and use whole segments: a listing of `train` never shows
    `training`. Listings arrive sorted by the UTF-8 bytes of the path. A `ref` is a branch, a tag or
    a commit ID. What is put on a branch is staged: readers of the branch see it at once, commits
    do not have it until `commit`.
    """

    @property
    def kind(self) -> Literal["lakefs", "git"]:
        """Which lake it is."""
        ...

    @property
    def endpoint(self) -> str:
        """What names it in a spec: an http(s) address, or "file:FOLDER"."""
        ...

    @property
    def scheme(self) -> str:
        """Names what `Object.checksum` is; listing digests of different schemes are never compared."""
        ...

    # reading
    def repositories(self) -> Iterable[str]:
        """Names of repositories, sorted; none where the lake is not there yet."""
        ...

    def resolve(self, repository: str, ref: str) -> Commit:
        """The commit a ref stands for now. NotFound names the repository or the ref that is not there."""
        ...

    def ancestors(self, repository: str, ref: str) -> Iterator[Commit]:
        """First-parent history, newest first, the ref's own commit included."""
        ...

    def list(self, repository: str, ref: str, path: str = "", *, few: bool = False) -> Iterator[Object]:
        """Every object under a path (or the object itself), streamed. NotFound where there is none, unless the
        path is "". `few`: the caller may stop at one of the first, so no more is asked for than is read."""
        ...

    def stat(self, repository: str, ref: str, path: str) -> Object:
        """One object; NotFound where there is none, PinError where its bytes are gone (lakeFS: 410)."""
        ...

    def open(self, repository: str, ref: str, path: str) -> BinaryIO:
        """An object's bytes, as a stream that the caller closes."""
        ...

    def uncommitted(self, repository: str, branch: str, path: str = "") -> bool:
        """Whether a branch has staged changes under a path. False for a tag or commit."""
        ...

    def staged(self, repository: str, branch: str, path: str = "") -> Iterator[Change]:
        """What is staged on a branch under a path, seen from its head, sorted. Nothing for a tag or commit."""
        ...

    def branches(self, repository: str) -> Iterable[str]:
        """Names of branches, sorted."""
        ...

    def refs(self, repository: str) -> Iterator[Ref]:
        """Branches, then tags, each sorted by name."""
        ...

    def kept(self, repository: str) -> frozenset[str] | None:
        """IDs of the commits that the lake's garbage collection would keep now, by its own word: the heads of branches
        at least. None where the lake does not say: no rules of collection are set, or this account may not ask."""
        ...

    def diff(self, repository: str, left: str, right: str, path: str = "") -> Iterator[Change]:
        """What changed from one ref's commit to another's, sorted by path; what is staged does not count."""
        ...

    # writing
    def create_repository(self, repository: str, *, storage: str | None = None, default_branch: str = "main") -> None:
        """A new, empty repository. LakeRefused when the name is taken."""
        ...

    def put(self, repository: str, branch: str, path: str, source: Path | BinaryIO) -> Object:
        """Stage one object on a branch: all of it, or nothing."""
        ...

    def put_many(self, repository: str, branch: str, items: Iterable[tuple[str, Path]]) -> Iterator[Object]:
        """Stage many files, each (path in the repository, file), answering one object after the other.

        Consume it to the end: the embedded lake stages all of them when the last one has been answered.
        """
        ...

    def remove(self, repository: str, branch: str, path: str) -> int:
        """Stage the removal of an object, or of all under a folder; how many went. NotFound when none did."""
        ...

    def commit(
        self, repository: str, branch: str, message: str, metadata: Mapping[str, str] = {}, *, empty: bool = False
    ) -> Commit:
        """Commit what is staged. LakeRefused when nothing is, unless the commit may be `empty`."""
        ...

    def create_branch(self, repository: str, name: str, source: str) -> None:
        """A branch at a ref: one call, no copy."""
        ...

    def delete_branch(self, repository: str, name: str) -> None:
        """Remove a branch; its commits stay reachable by ID."""
        ...

    def create_tag(self, repository: str, name: str, ref: str) -> None:
        """A tag at a ref. LakeRefused when the name is taken."""
        ...

    def delete_tag(self, repository: str, name: str) -> None:
        """Remove a tag; its commit stays reachable by ID. NotFound where there is no such tag."""
        ...

    def merge(
        self, repository: str, source: str, branch: str, message: str, metadata: Mapping[str, str] = {}
    ) -> Commit:
        """Merge a ref into a branch, path by path. A path changed on both sides is a conflict: LakeRefused
        lists them in `problems`, and the branch stays as it was. LakeRefused, too, when the branch has staged
        changes, or the ref nothing to merge."""
        ...

    def revert(self, repository: str, branch: str, ref: str) -> Commit:
        """A new commit on a branch that undoes one commit."""
        ...

    # Spark and other clients
    def address(self, place: LakeURI) -> str | None:
        """Where Spark reads an address directly (`s3a://…`), or None: its files have to be materialised."""
        ...

    def close(self) -> None:
        """Give back connections and handles."""
        ...
