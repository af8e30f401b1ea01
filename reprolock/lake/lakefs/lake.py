"""`LakeFSLake`: the `Lake` protocol over a lakeFS server.

What a call asks stands here; how it travels stands in `transport`, what a refusal means in `error_mapping`. Listings stay dictionaries until they become an `Object`: no model per entry.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

from reprolock.errors import ReprolockError, UsageError
from reprolock.lake import errors, names
from reprolock.lake.lakefs import error_mapping
from reprolock.lake.lakefs.credentials import Credentials
from reprolock.lake.lakefs.stream import ObjectStream
from reprolock.lake.lakefs.transport import PAGE, Patience, Refused, Route, Transport
from reprolock.lake.protocol import Change, Commit, Object, Ref
from reprolock.lake.transfer.addresses import Address, just_before
from reprolock.lake.upload_sources import Guarded, SizedFile, open_source
from reprolock.model.uri import LakeURI

UPLOADS = 8
"""Files on their way at the same time."""
_COMMIT_ID = re.compile(r"[0-9a-f]{40,64}")
_READ_AHEAD = 1 << 20
_COMMITS_PER_PAGE = 100


class LakeFSLake:
    """A lakeFS server. Safe to share between threads; `close` it at the end."""

    kind: Final = "lakefs"
    scheme: Final = "lakefs-etag-1"
    """`Object.checksum` is what lakeFS keeps as an object's ETag: the MD5 of its bytes where they came
    through lakeFS, the store's own ETag where they were uploaded in parts or imported. It tells two
    contents at one path apart; it is not proof of the bytes."""

    def __init__(
        self, credentials: Credentials, *, route: Route = Route(), patience: Patience = Patience(), page: int = PAGE
    ) -> None:
        """No call is made yet. `page` is how many entries of a listing to ask for at once."""
        self.endpoint = credentials.endpoint
        self._page = page
        self._transport = Transport(credentials, route, patience)

    # reading
    def repositories(self) -> Iterable[str]:
        """Names of repositories, as lakeFS sorts them."""
        with self._explaining(lambda refused: error_mapping.listing(self._transport, refused)):
            for page in self._transport.pages(("repositories",), {}, self._page):
                for entry in page:
                    yield entry["id"]

    def resolve(self, repository: str, ref: str) -> Commit:
        """The commit a ref stands for now, in one call."""
        with self._reading(repository, ref):
            place = ("repositories", repository, "refs", ref, "commits")
            found = self._transport.ask("GET", place, {"amount": 1, "limit": "true"})["results"]
            return _commit(found[0])

    def ancestors(self, repository: str, ref: str) -> Iterator[Commit]:
        """First-parent history, newest first, fetched as far as it is read."""
        with self._reading(repository, ref):
            place = ("repositories", repository, "refs", ref, "commits")
            for page in self._transport.pages(place, {"first_parent": "true"}, _COMMITS_PER_PAGE):
                yield from map(_commit, page)

    def list(self, repository: str, ref: str, path: str = "", *, few: bool = False) -> Iterator[Object]:
        """Every object under a path (or the object itself), streamed page by page. NotFound where there is none."""
        found = False
        with self._reading(repository, ref, path):
            for entry in self._entries(("repositories", repository, "refs", ref, "objects", "ls"), {}, path, few=few):
                found = True
                yield _object(entry)
        if path and not found:
            raise errors.no_path(LakeURI(repository, ref, path))

    def stat(self, repository: str, ref: str, path: str) -> Object:
        """One object. Its first byte is read too: lakeFS describes an object whose bytes are gone all the same."""
        place = ("repositories", repository, "refs", ref, "objects")
        with self._reading(repository, ref, path):
            entry = self._transport.ask("GET", (*place, "stat"), {"path": path})
            if entry["size_bytes"]:
                probe = self._transport.stream(place, {"path": path}, {"Range": "bytes=0-0"})
                self._transport.read(probe, 1)
                probe.release_conn()
            return _object(entry)

    def open(self, repository: str, ref: str, path: str) -> BinaryIO:
        """An object's bytes, as a stream that the caller closes."""
        with self._reading(repository, ref, path):
            place = ("repositories", repository, "refs", ref, "objects")
            return io.BufferedReader(ObjectStream(self._transport, place, {"path": path}), _READ_AHEAD)

    def addresses(self, repository: str, ref: str, paths: Sequence[str]) -> Sequence[Address]:
        """Addresses of the object store that hold for 15 minutes, of those objects that stand near the first one;
        where the store signs none, lakeFS's own addresses of all of them."""
        place = ("repositories", repository, "refs", ref, "objects")
        query = {"after": just_before(paths[0]), "amount": len(paths), "presign": "true", "user_metadata": "false"}
        with self._reading(repository, ref):
            if not self._signs:
                return [Address(path, *self._transport.direct(place, {"path": path})) for path in paths]
            page = self._transport.ask("GET", (*place, "ls"), query)["results"]
        wanted = set(paths)
        found = ((entry["path"], entry.get("physical_address")) for entry in page if entry["path"] in wanted)
        return [Address(path, address) for path, address in found if isinstance(address, str)]

    @cached_property
    def _signs(self) -> bool:
        """Whether lakeFS signs addresses of its object store."""
        config = self._transport.ask("GET", ("config",))
        storage = config.get("storage_config") if isinstance(config, dict) else None
        return isinstance(storage, dict) and bool(storage.get("pre_sign_support"))

    def uncommitted(self, repository: str, branch: str, path: str = "") -> bool:
        """Whether a branch has staged changes under a path. False for a tag or commit."""
        return next(self.staged(repository, branch, path), None) is not None

    def staged(self, repository: str, branch: str, path: str = "") -> Iterator[Change]:
        """What is staged on a branch under a path, fetched as far as it is read. Nothing for a tag or commit."""
        try:
            place = ("repositories", repository, "branches", branch, "diff")
            for entry in self._entries(place, {}, path, few=True):
                yield Change(entry["type"], entry["path"])
        except Refused as refused:
            if refused.status not in (400, 404):
                raise error_mapping.reading(self._transport, refused, repository, [branch]) from None
            self.resolve(repository, branch)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._transport.not_lakefs() from None

    def branches(self, repository: str) -> Iterable[str]:
        """Names of branches, sorted."""
        with self._explaining(lambda refused: error_mapping.listing(self._transport, refused, repository)):
            yield from error_mapping.names(self._transport, repository, "branches")

    def refs(self, repository: str) -> Iterator[Ref]:
        """Branches, then tags, each sorted by name. Their commits come with the listing: no call for each."""
        kinds: tuple[tuple[Literal["branch", "tag"], str], ...] = (("branch", "branches"), ("tag", "tags"))
        with self._explaining(lambda refused: error_mapping.listing(self._transport, refused, repository)):
            for kind, listed in kinds:
                for page in self._transport.pages(("repositories", repository, listed), {}, self._page):
                    for entry in page:
                        yield Ref(kind, entry["id"], entry["commit_id"])

    def kept(self, repository: str) -> frozenset[str] | None:
        """The commits that lakeFS's garbage collection counts as active: lakeFS writes the list to its store, and it is read
        from there."""
        try:
            answer = self._transport.ask("POST", ("repositories", repository, "gc", "prepare_commits"))
        except Refused as refused:
            if refused.status in (401, 403, 404):
                next(
                    iter(self.branches(repository)), None
                )  # the repository itself is there, or this says that it is not
                return None
            raise error_mapping.reading(self._transport, refused, repository, []) from None
        signed = dict(answer).get("gc_commits_presigned_url")
        if not isinstance(signed, str):
            return None  # the list stands in the store, and lakeFS signs no address of it
        try:
            rows = csv.DictReader(io.StringIO(self._transport.fetch(signed).decode()))
            return frozenset(row["commit_id"] for row in rows if row.get("expired") == "false")
        except (KeyError, ValueError, csv.Error):
            raise self._transport.not_lakefs() from None

    def diff(self, repository: str, left: str, right: str, path: str = "") -> Iterator[Change]:
        """What changed from one ref to another: lakeFS's own comparison, no listing of either side."""
        place = ("repositories", repository, "refs", left, "diff", right)
        with self._explaining(
            lambda refused: error_mapping.reading(self._transport, refused, repository, [left, right], path)
        ):
            for entry in self._entries(place, {"type": "two_dot"}, path):
                yield Change(entry["type"], entry["path"])

    # writing
    def create_repository(self, repository: str, *, storage: str | None = None, default_branch: str = "main") -> None:
        """A new, empty repository. A storage that ends in "/" is for several repositories: the repository's name is added."""
        names.check_repository(repository)
        names.check_branch(default_branch)
        with self._explaining(lambda refused: error_mapping.creating(self._transport, refused, repository)):
            storage = storage or self._transport.ask("GET", ("config",))["storage_config"]["default_namespace_prefix"]
        if not storage:
            raise UsageError(
                f'the repository "{repository}" needs a storage for its objects: '
                f"lakeFS at {self.endpoint} has no default",
                hint=f"name a bucket: `reprolock data create lakefs://{repository} --storage s3://BUCKET/`",
            )
        if storage.endswith("/"):
            storage += repository
        body = {"name": repository, "storage_namespace": storage, "default_branch": default_branch}
        with self._explaining(lambda refused: error_mapping.creating(self._transport, refused, repository)):
            self._transport.ask("POST", ("repositories",), body=body)

    def put(self, repository: str, branch: str, path: str, source: Path | BinaryIO) -> Object:
        """Stage one object on a branch. A file is streamed, whatever its size, and sent again after a failure."""
        place = LakeURI(repository, branch, path)
        names.check_object(place)
        with self._writing(repository, branch, f"write {place}"):
            if isinstance(source, Path):
                with open_source(source) as file:
                    return self._upload(place, file, file.size)
            return self._upload(place, Guarded(source, f"what is put at {place}"), None)

    def put_many(self, repository: str, branch: str, items: Iterable[tuple[str, Path]]) -> Iterator[Object]:
        """Stage many files, eight at a time, in their order; after a failure no further one is sent."""
        waiting = iter(items)
        with ThreadPoolExecutor(UPLOADS, thread_name_prefix="lakefs-put") as pool:
            sent: deque[Future[Object]] = deque()
            try:
                while True:
                    for path, file in islice(waiting, 2 * UPLOADS - len(sent)):
                        sent.append(pool.submit(self.put, repository, branch, path, file))
                    if not sent:
                        return
                    yield sent.popleft().result()
            finally:
                for future in sent:
                    future.cancel()

    def remove(self, repository: str, branch: str, path: str) -> int:
        """Stage the removal of an object, or of all under a folder; how many went."""
        removed = 0
        with self._writing(repository, branch, f"remove {LakeURI(repository, branch, path)}"):
            self._transport.ask("GET", ("repositories", repository, "branches", branch))
            going = (found.path for found in self.list(repository, branch, path))
            while paths := list(islice(going, self._page)):
                place = ("repositories", repository, "branches", branch, "objects", "delete")
                failed = self._transport.ask("POST", place, body={"paths": paths})["errors"]
                if failed:
                    raise Refused(failed[0]["status_code"], failed[0]["message"])
                removed += len(paths)
        if not removed:
            raise errors.no_path(LakeURI(repository, branch, path))
        return removed

    def commit(
        self, repository: str, branch: str, message: str, metadata: Mapping[str, str] = {}, *, empty: bool = False
    ) -> Commit:
        """Commit what is staged, or with `empty` nothing."""
        with self._explaining(lambda refused: error_mapping.committing(self._transport, refused, repository, branch)):
            place = ("repositories", repository, "branches", branch, "commits")
            body = {"message": message, "metadata": dict(metadata), **({"allow_empty": True} if empty else {})}
            return _commit(self._transport.ask("POST", place, body=body))

    def create_branch(self, repository: str, name: str, source: str) -> None:
        """A branch at a ref: one call, no copy."""
        names.check_branch(name)
        with self._explaining(lambda no: error_mapping.naming(self._transport, no, repository, "branch", name, source)):
            body = {"name": name, "source": source}
            self._transport.ask("POST", ("repositories", repository, "branches"), body=body, parse=_bare_commit_id)

    def delete_branch(self, repository: str, name: str) -> None:
        """Remove a branch; its commits stay reachable by ID."""
        with self._explaining(
            lambda refused: error_mapping.deleting_branch(self._transport, refused, repository, name)
        ):
            self._transport.ask("DELETE", ("repositories", repository, "branches", name))

    def create_tag(self, repository: str, name: str, ref: str) -> None:
        """A tag at a ref."""
        names.check_tag(name)
        with self._explaining(
            lambda refused: error_mapping.naming(self._transport, refused, repository, "tag", name, ref)
        ):
            self._transport.ask("POST", ("repositories", repository, "tags"), body={"id": name, "ref": ref})

    def delete_tag(self, repository: str, name: str) -> None:
        """Remove a tag; its commit stays reachable by ID."""
        with self._explaining(lambda refused: error_mapping.deleting_tag(self._transport, refused, repository, name)):
            self._transport.ask("DELETE", ("repositories", repository, "tags", name))

    def merge(
        self, repository: str, source: str, branch: str, message: str, metadata: Mapping[str, str] = {}
    ) -> Commit:
        """Merge a ref into a branch, path by path; on a conflict the branch stays as it was."""
        with self._explaining(
            lambda refused: error_mapping.merging(self._transport, refused, repository, source, branch)
        ):
            place = ("repositories", repository, "refs", source, "merge", branch)
            made = self._transport.ask("POST", place, body={"message": message, "metadata": dict(metadata)})
            reference = str(made["reference"])
        return self.resolve(repository, reference)

    def revert(self, repository: str, branch: str, ref: str) -> Commit:
        """A new commit on a branch that undoes one commit; a merge has several befores and is refused."""
        undone = self.resolve(repository, ref)
        if len(undone.parents) > 1:
            raise errors.revert_merge(repository, undone.id)
        with self._explaining(
            lambda refused: error_mapping.reverting(self._transport, refused, repository, branch, undone)
        ):
            place = ("repositories", repository, "branches", branch, "revert")
            self._transport.ask("POST", place, body={"ref": undone.id, "parent_number": 0})
        return self.resolve(repository, branch)

    # Spark and other clients
    def address(self, place: LakeURI) -> str:
        """`s3a://REPOSITORY/REF/PATH`: a Hadoop path, which is taken literally, so nothing is percent-encoded."""
        return f"s3a://{place.repository}/{place.ref}/{place.path}"

    def version(self) -> str:
        """The server's version, as it states it. ServiceError where none answers, or rejects the credentials."""
        config = self._transport.ask("GET", ("config",))
        try:
            return str(config["version_config"]["version"])
        except (KeyError, TypeError):
            raise self._transport.not_lakefs() from None

    def close(self) -> None:
        """Give back connections."""
        self._transport.close()

    def _entries(
        self, place: tuple[str, ...], query: Mapping[str, Any], path: str, *, few: bool = False
    ) -> Iterator[dict[str, Any]]:
        """The entries of a listing or comparison under a path, by whole segments, sorted. With `few` no more is fetched
        than is read, or nearly so.

        Empty objects named `folder/` are left out: S3 clients leave them as marks of a folder, they
        hold no data, and no file system could hold them beside the folder.
        """
        folder = path.rstrip("/")
        if folder:
            # The object itself sorts before all else that starts with its name, so one entry tells.
            first = self._transport.ask("GET", place, {**query, "prefix": folder, "amount": 1})["results"]
            if first and first[0]["path"] == folder:
                yield first[0]
            query = {**query, "prefix": folder + "/"}
        pages = self._transport.first_pages if few else self._transport.pages
        for page in pages(place, query, self._page):
            for entry in page:
                if not entry["path"].endswith("/") or entry["size_bytes"]:
                    yield entry

    def _upload(self, place: LakeURI, body: SizedFile | Guarded, size: int | None) -> Object:
        target = ("repositories", place.repository, "branches", place.ref, "objects")
        made = self._transport.upload(target, {"path": place.path}, body, size)
        return _object(made)

    def _reading(self, repository: str, ref: str, path: str = "") -> Any:
        return self._explaining(
            lambda refused: error_mapping.reading(self._transport, refused, repository, [ref], path)
        )

    def _writing(self, repository: str, branch: str, doing: str) -> Any:
        return self._explaining(
            lambda refused: error_mapping.writing(self._transport, refused, repository, branch, doing)
        )

    @contextmanager
    def _explaining(self, explain: Callable[[Refused], ReprolockError]) -> Iterator[None]:
        """Turn lakeFS's no into the error that says why."""
        try:
            yield
        except Refused as refused:
            raise explain(refused) from None
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
            raise self._transport.not_lakefs() from None  # a field is missing, or is not what it should be


def _object(entry: Mapping[str, Any]) -> Object:
    path, size, checksum = entry["path"], entry["size_bytes"], entry["checksum"]
    if not isinstance(path, str) or not isinstance(size, int) or not isinstance(checksum, str) or size < 0:
        raise ValueError("not as lakeFS describes an object")
    return Object(path, size, checksum)


def _bare_commit_id(answer: bytes) -> str:
    """What the creation of a branch is answered with: hexadecimal digits, no JSON."""
    return bytes.fromhex(answer.decode().strip()).hex()


def _commit(entry: Mapping[str, Any]) -> Commit:
    if not all(_COMMIT_ID.fullmatch(item) for item in (entry["id"], *entry["parents"])):
        raise ValueError("not as lakeFS names a commit")
    return Commit(
        id=entry["id"],
        time=datetime.fromtimestamp(entry["creation_date"], UTC),
        message=str(entry["message"]),
        parents=tuple(entry["parents"]),
        metadata=dict(entry.get("metadata") or {}),
    )
