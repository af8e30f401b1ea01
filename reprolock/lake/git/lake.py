"""`GitLake`: the embedded lake, the `Lake` protocol over bare Git repositories in a folder.

The folder holds one bare Git repository per repository of the lake (`weather.git`). Branches, tags and
commits are Git's own, so plain `git log` and `git clone` work on it; there is no working tree, no
index, and no `git` command is run. What Git lacks is added beside its own things: staging as a
reference (git_store), large objects as files (git_objects), merges by path (git_trees).

`Object.checksum` is the Git blob ID, a SHA-1 over the bytes; of content above `git_objects.LARGE` bytes
it is the SHA-256. Both stand in the tree's own entry or its pointer, so a listing reads no content,
and Git compares every object with its ID when it is read; a SHA-256 of every small object would have
to be stored a second time and kept in step. The scheme's name says which: `git-sha1-1`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal

import pygit2

from reprolock.errors import LakeRefused, UsageError
from reprolock.files.containment import check_folder
from reprolock.lake import errors, names
from reprolock.lake.git import commits as git_commits
from reprolock.lake.git.blobs import Entry, cannot_write
from reprolock.lake.git.repository import Store
from reprolock.lake.protocol import Change, Commit, Object, Ref
from reprolock.model.uri import LakeURI


def _now() -> datetime:
    return datetime.now(UTC)


class GitLake:
    """A lake in a folder. `endpoint` is what the spec calls it, such as "file:lake"; `clock` dates commits."""

    kind: Literal["git"] = "git"
    scheme = "git-sha1-1"

    def __init__(self, folder: Path, endpoint: str, clock: Callable[[], datetime] | None = None) -> None:
        self.endpoint = endpoint
        self._folder = folder
        self._clock = clock or _now
        self._stores: dict[str, Store] = {}

    # reading
    def repositories(self) -> Iterable[str]:
        """Names of repositories, sorted; none where the lake's folder is not there yet."""
        return sorted(path.stem for path in self._folder.glob("*.git") if path.is_dir())

    def resolve(self, repository: str, ref: str) -> Commit:
        """The commit a ref stands for now; of a branch its head, without what is staged."""
        return git_commits.read(self._store(repository).commit(ref))

    def ancestors(self, repository: str, ref: str) -> Iterator[Commit]:
        """First-parent history, newest first, the ref's own commit included."""
        store = self._store(repository)
        return map(git_commits.read, git_commits.first_parents(store.git, repository, store.commit(ref)))

    def list(self, repository: str, ref: str, path: str = "", *, few: bool = False) -> Iterator[Object]:
        """Every object under a path (or the object itself), sorted. NotFound where there is none, unless the
        path is ""."""
        store = self._store(repository)
        path = path.rstrip("/")
        with store.reading(ref):
            entry = store.entry(ref, path)
        return self._objects(store, ref, path, entry)

    def _objects(self, store: Store, ref: str, path: str, entry: Entry) -> Iterator[Object]:
        with store.reading(ref):
            for name, found in store.trees.walk(entry, path):
                yield store.contents.object(name, found)

    def stat(self, repository: str, ref: str, path: str) -> Object:
        """One object; NotFound where there is none, PinError where its bytes are not there."""
        store = self._store(repository)
        with store.reading(ref):
            return store.contents.object(path, self._file(store, ref, path))

    def open(self, repository: str, ref: str, path: str) -> BinaryIO:
        """An object's bytes, verified: PinError when they are not those that the commit names. A large
        object's stream says so at its end."""
        store = self._store(repository)
        with store.reading(ref):
            return store.contents.open(path, self._file(store, ref, path), partial(store.explain, ref))

    def uncommitted(self, repository: str, branch: str, path: str = "") -> bool:
        """Whether a branch has staged changes under a path. False for a tag or commit."""
        return next(self.staged(repository, branch, path), None) is not None

    def staged(self, repository: str, branch: str, path: str = "") -> Iterator[Change]:
        """What is staged on a branch under a path, sorted. Nothing for a tag or commit."""
        store = self._store(repository)
        with store.reading(branch):
            yield from self._changes(store, store.commit(branch).tree_id, store.tree(branch), path)

    def branches(self, repository: str) -> Iterable[str]:
        """Names of branches, sorted."""
        return git_commits.refs(self._store(repository).git, "heads")

    def refs(self, repository: str) -> Iterator[Ref]:
        """Branches, then tags, each sorted by name."""
        store = self._store(repository)
        for name in git_commits.refs(store.git, "heads"):
            yield Ref("branch", name, str(store.head(name).id))
        for name in git_commits.refs(store.git, "tags"):
            yield Ref("tag", name, str(store.tagged(name).id))

    def kept(self, repository: str) -> frozenset[str]:
        """What Git's references name; `git gc` keeps these and all that they reach."""
        git = self._store(repository).git
        return frozenset(str(git.references[name].resolve().target) for name in git.listall_references())

    def diff(self, repository: str, left: str, right: str, path: str = "") -> Iterator[Change]:
        """What changed from one ref's commit to another's, sorted by path; what is staged does not count."""
        store = self._store(repository)
        with store.reading(right):
            before, after = (store.commit(ref).tree_id for ref in (left, right))
            yield from self._changes(store, before, after, path)

    def _changes(self, store: Store, before: pygit2.Oid, after: pygit2.Oid, path: str) -> Iterator[Change]:
        path = path.rstrip("/")
        left, right = (store.trees.find(tree, path) for tree in (before, after))
        for name, one, other in store.trees.diff(left, right, path):
            yield Change("added" if one is None else "removed" if other is None else "changed", name)

    # writing
    def create_repository(self, repository: str, *, storage: str | None = None, default_branch: str = "main") -> None:
        """A new, empty repository, and the lake's folder where it is not there yet."""
        names.check_repository(repository)
        names.check_branch(default_branch)
        if storage is not None:
            raise UsageError(
                f"the lake {self.endpoint} keeps its objects in its own folder, not in {storage}",
                hint="leave `--storage` out, or name a lakeFS server as the endpoint",
            )
        place = self._place(repository)
        try:
            self._make_folder()
            # Made beside its final path and renamed: a repository is there whole, with its first commit, or not at all.
            made = Path(tempfile.mkdtemp(dir=self._folder, prefix=".new-"))
            try:
                git = pygit2.init_repository(str(made / "new"), bare=True, initial_head=default_branch)
                tree = git.TreeBuilder().write()
                git_commits.write(git, default_branch, tree, [], "Repository created", {}, self._clock())
                if place.exists():
                    raise errors.exists("repository", repository, f"the lake {self.endpoint}")
                (made / "new").rename(place)
            finally:
                shutil.rmtree(made, ignore_errors=True)
        except OSError as error:
            if place.exists():  # another process was quicker
                raise errors.exists("repository", repository, f"the lake {self.endpoint}") from None
            raise cannot_write(self._folder, error) from error

    def put(self, repository: str, branch: str, path: str, source: Path | BinaryIO) -> Object:
        """Stage one object on a branch: all of it, or nothing."""
        names.check_object(LakeURI(repository, branch, path))
        store = self._store(repository)
        store.head(branch)  # before a gigabyte is copied
        with store.writing(branch):
            entry, size, checksum = store.contents.store(source)
            self._edit(store, branch, [(path, entry)])
        return Object(path, size, checksum)

    def put_many(self, repository: str, branch: str, items: Iterable[tuple[str, Path]]) -> Iterator[Object]:
        """Keep many files, answering one by one, and stage them all when the last one has been answered."""
        store = self._store(repository)
        store.head(branch)
        return self._put_many(store, branch, items)

    def _put_many(self, store: Store, branch: str, items: Iterable[tuple[str, Path]]) -> Iterator[Object]:
        entries: list[tuple[str, Entry | None]] = []
        for path, source in items:
            names.check_object(LakeURI(store.name, branch, path))
            with store.writing(branch):
                entry, size, checksum = store.contents.store(source)
            entries.append((path, entry))
            yield Object(path, size, checksum)
        with store.writing(branch):
            self._edit(store, branch, entries)

    def remove(self, repository: str, branch: str, path: str) -> int:
        """Stage the removal of an object, or of all under a folder; how many went. NotFound when none did."""
        store = self._store(repository)
        path = path.rstrip("/")
        with store.writing(branch), store.reading(branch), store.guard():
            store.head(branch)
            count = sum(1 for _ in store.trees.walk(store.entry(branch, path), path))
            if not count:
                raise errors.no_path(LakeURI(repository, branch, path))
            tree = store.trees.edit(store.tree(branch), [(path, None)]) if path else store.trees.empty
            store.stage(branch, tree)
        return count

    def commit(
        self, repository: str, branch: str, message: str, metadata: Mapping[str, str] = {}, *, empty: bool = False
    ) -> Commit:
        """Commit what is staged. LakeRefused when nothing is, unless the commit may be `empty`."""
        store = self._store(repository)
        with store.writing(branch), store.reading(branch), store.guard():
            head, tree = store.head(branch), store.tree(branch)
            if tree == head.tree_id and not empty:
                raise errors.nothing_to_commit(repository, branch)
            return self._commit(store, branch, tree, [head.id], message, metadata)

    def _make_folder(self) -> None:
        """The lake's folder; a new one has a .gitignore that hides all of it from the git of the project that it is in."""
        if not self._folder.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / ".gitignore").write_bytes(b"*\n")

    def create_branch(self, repository: str, name: str, source: str) -> None:
        """A branch at a ref's commit: one reference, no copy, nothing staged."""
        names.check_branch(name)
        self._create_ref(repository, "branch", name, source)

    def delete_branch(self, repository: str, name: str) -> None:
        """Remove a branch and what is staged on it; its commits stay reachable by ID."""
        store = self._store(repository)
        with store.writing(name), store.guard():
            head = store.head(name)
            if store.git.lookup_reference("HEAD").target == f"refs/heads/{name}":
                raise errors.default_branch(repository, name)
            store.keep(head)
            store.unstage(name)
            store.git.references.delete(f"refs/heads/{name}")

    def create_tag(self, repository: str, name: str, ref: str) -> None:
        """A tag at a ref's commit. LakeRefused when the name is taken, by a tag or by a branch."""
        names.check_tag(name)
        self._create_ref(repository, "tag", name, ref)

    def delete_tag(self, repository: str, name: str) -> None:
        """Remove a tag; its commit stays reachable by ID."""
        store = self._store(repository)
        with store.writing(name), store.guard():
            store.keep(store.tagged(name))
            store.git.references.delete(f"refs/tags/{name}")

    def _create_ref(self, repository: str, kind: str, name: str, source: str) -> None:
        store = self._store(repository)
        commit = store.commit(source)
        with store.writing(name), store.guard():
            for taken, prefix in (("branch", "refs/heads/"), ("tag", "refs/tags/")):
                if git_commits.target_of(store.git, prefix + name) is not None:
                    raise errors.exists(taken, name, f'the repository "{repository}"')
            prefix = "refs/heads/" if kind == "branch" else "refs/tags/"
            if beside := [ref for ref in store.git.listall_references() if ref.startswith(f"{prefix}{name}/")]:
                reason = f'Git cannot hold it beside "{beside[0].removeprefix(prefix)}", which another client made'
                raise errors.bad_name(kind, name, reason)
            store.git.references.create(prefix + name, commit.id)

    def merge(
        self, repository: str, source: str, branch: str, message: str, metadata: Mapping[str, str] = {}
    ) -> Commit:
        """Merge a ref's commit into a branch, path by path, as a commit with two parents.

        LakeRefused on a conflict, when there is nothing to merge, or when the branch has staged changes;
        then the branch is as it was. Where histories cross several times, Git's best base is taken.
        """
        store = self._store(repository)
        with store.writing(branch), store.reading(source), store.guard():
            head, other = self._clean_head(store, branch), store.commit(source)
            base = git_commits.merge_base(store.git, repository, head.id, other.id)
            before = base.tree_id if base else store.trees.empty
            if before == other.tree_id:
                raise errors.nothing_to_merge(repository, source, branch)
            merged = store.trees.merge(before, head.tree_id, other.tree_id)
            if merged.conflicts:
                raise errors.conflict(repository, source, branch, merged.conflicts)
            return self._commit(store, branch, merged.tree, [head.id, other.id], message, metadata)

    def revert(self, repository: str, branch: str, ref: str) -> Commit:
        """A new commit on a branch that undoes one commit: a merge of the state before it, with it as the base."""
        store = self._store(repository)
        with store.writing(branch), store.reading(ref), store.guard():
            head, undone = self._clean_head(store, branch), store.commit(ref)
            if len(undone.parent_ids) > 1:
                raise errors.revert_merge(repository, str(undone.id))
            parents = [git_commits.load(store.git, repository, parent) for parent in undone.parent_ids]
            before = parents[0].tree_id if parents else store.trees.empty
            merged = store.trees.merge(undone.tree_id, head.tree_id, before)
            if merged.conflicts:
                raise errors.revert_conflict(repository, branch, str(undone.id), merged.conflicts)
            if merged.tree == head.tree_id:
                raise errors.nothing_to_revert(repository, branch, str(undone.id))
            return self._commit(store, branch, merged.tree, [head.id], f"Revert {undone.id}", {})

    # Spark and other clients
    def address(self, place: LakeURI) -> str | None:
        """None: Spark reads files, not Git; they have to be materialised."""
        return None

    def close(self) -> None:
        """Give back the repositories' handles."""
        for store in self._stores.values():
            store.git.free()
        self._stores.clear()

    # shared steps
    def _place(self, repository: str) -> Path:
        return self._folder / f"{repository}.git"

    def _store(self, repository: str) -> Store:
        if (store := self._stores.get(repository)) is not None:
            return store
        if not self._folder.is_dir():
            raise errors.no_lake(self.endpoint, repository)
        place = self._place(repository)
        try:
            names.check_repository(repository)  # also keeps the name inside the folder
            there = place.is_dir()
        except LakeRefused:
            there = False
        if not there:
            known = [path.stem for path in self._folder.glob("*.git")]
            raise errors.no_repository(self.endpoint, repository, known)
        check_folder(self._folder, place.name)
        return self._stores.setdefault(repository, Store(place, repository))

    def _file(self, store: Store, ref: str, path: str) -> Entry:
        entry = store.entry(ref, path)
        if entry.is_folder:
            raise errors.no_path(LakeURI(store.name, ref, path))
        return entry

    def _edit(self, store: Store, branch: str, changes: Iterable[tuple[str, Entry | None]]) -> None:
        with store.reading(branch), store.guard():
            store.stage(branch, store.trees.edit(store.tree(branch), changes))

    def _clean_head(self, store: Store, branch: str) -> pygit2.Commit:
        head = store.head(branch)
        if store.tree(branch) != head.tree_id:
            raise errors.staged(store.name, branch)
        return head

    def _commit(
        self,
        store: Store,
        branch: str,
        tree: pygit2.Oid,
        parents: Sequence[pygit2.Oid],
        message: str,
        metadata: Mapping[str, str],
    ) -> Commit:
        try:
            commit = git_commits.write(store.git, branch, tree, parents, message, metadata, self._clock())
        except pygit2.GitError:
            # Git compares the head with the first parent: plain git, which holds no guard, may have moved it.
            if store.head(branch).id != parents[0]:
                raise errors.moved(store.name, branch) from None
            raise
        store.unstage(branch)
        return git_commits.read(commit)
