"""One repository of the embedded lake, opened: its contents, trees and commits, and what is staged on its branches.

What is staged on a branch is a reference, `refs/reprolock/staging/BRANCH`, to a tree with two names:
`staged` (the branch as its readers see it) and `base` (the head's tree that it was staged on). It
survives the process, appears whole or not at all, and should a user move the head with plain git,
the difference between the two is laid over the new head, as lakeFS does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pygit2
from filelock import FileLock, Timeout
from pygit2.enums import FileMode

from reprolock.errors import MachineError, PinError
from reprolock.lake import errors
from reprolock.lake.git import commits as git_commits
from reprolock.lake.git.blobs import Broken, Contents, Entry, cannot_write
from reprolock.lake.git.trees import Blocked, Trees
from reprolock.model.uri import LakeURI

GUARD_SECONDS = 600.0
"""How long a writer waits for another one. A change to a million objects holds the guard for some 20 s."""


class Store:
    """A repository that exists. Readers need no guard; everything that moves a reference holds it."""

    def __init__(self, folder: Path, name: str) -> None:
        try:
            self.git = pygit2.Repository(str(folder), pygit2.enums.RepositoryOpenFlag.BARE)
        except pygit2.GitError as error:
            raise MachineError(
                f"{folder} cannot be opened as a Git repository: {error}",
                hint=f"if it is another user's, allow it with `git config --global --add safe.directory {folder}`",
            ) from error
        self.name = name
        self.folder = folder
        self.contents = Contents(self.git)
        self.trees = Trees(self.git)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Keep other writers away, threads and processes alike; the system frees it when its holder dies."""
        lock = FileLock(self.folder / "reprolock.guard", timeout=GUARD_SECONDS, poll_interval=0.005)
        try:
            lock.acquire()
        except Timeout:
            raise errors.busy(self.name, GUARD_SECONDS) from None
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self, branch: str) -> Iterator[None]:
        """Turn what Git says while it writes to a branch into our errors."""
        try:
            yield
        except Blocked as error:
            raise errors.bad_path(LakeURI(self.name, branch, error.path), error.reason) from None
        except (OSError, pygit2.GitError) as error:
            raise cannot_write(self.folder, error) from error

    @contextmanager
    def reading(self, ref: str) -> Iterator[None]:
        """Turn what is missing or damaged below a ref into a PinError that names the commit."""
        try:
            yield
        except Broken as error:
            raise self.explain(ref, error) from None

    def explain(self, ref: str, error: Broken) -> PinError:
        """What is missing or damaged, by the commit that a ref stands for."""
        commit = str(self.commit(ref).id)
        problem = errors.gone if error.missing else errors.damaged
        return problem(LakeURI(self.name, ref, error.path), commit)

    def commit(self, ref: str) -> pygit2.Commit:
        """The commit a ref stands for; of a branch, its head."""
        return git_commits.find(self.git, self.name, ref)

    def head(self, branch: str) -> pygit2.Commit:
        """The head of a branch; NotFound for a tag, a commit ID and what is not there."""
        target = git_commits.target_of(self.git, f"refs/heads/{branch}")
        if target is None:
            raise errors.no_branch(self.name, branch, git_commits.refs(self.git, "heads"))
        return git_commits.load(self.git, self.name, target)

    def tagged(self, tag: str) -> pygit2.Commit:
        """The commit of a tag; NotFound for a branch, a commit ID and what is not there."""
        target = git_commits.target_of(self.git, f"refs/tags/{tag}")
        if target is None:
            raise errors.no_tag(self.name, tag, git_commits.refs(self.git, "tags"))
        return git_commits.load(self.git, self.name, target)

    def keep(self, commit: pygit2.Commit) -> None:
        """Keep a commit from `git gc` after its branch or tag has gone: locks may name it."""
        self.git.references.create(f"refs/reprolock/kept/{commit.id}", commit.id, force=True)

    def tree(self, ref: str) -> pygit2.Oid:
        """What readers of a ref see: of a branch, what is staged on it too."""
        # The staging first, the head after it: a commit in between moves the head and then ends the staging.
        staging = self._staging(ref)
        head = self.commit(ref).tree_id
        if staging is None:
            return head
        base, staged = staging
        return staged if base == head else self.trees.merge(base, staged, head).tree

    def stage(self, branch: str, tree: pygit2.Oid) -> None:
        """Make a tree what readers of the branch see. Staging what the head has ends the staging."""
        head = self.head(branch).tree_id
        if tree == head:
            return self.unstage(branch)
        builder = self.git.TreeBuilder()
        builder.insert("base", head, FileMode.TREE)
        builder.insert("staged", tree, FileMode.TREE)
        self.git.references.create(_staging_ref(branch), builder.write(), force=True)

    def unstage(self, branch: str) -> None:
        """Forget what is staged."""
        if git_commits.target_of(self.git, _staging_ref(branch)) is not None:
            self.git.references.delete(_staging_ref(branch))

    def _staging(self, ref: str) -> tuple[pygit2.Oid, pygit2.Oid] | None:
        target = git_commits.target_of(self.git, _staging_ref(ref))
        if target is None:
            return None
        base, staged = (self.trees.find(target, name) for name in ("base", "staged"))
        return (base.id, staged.id) if base and staged else None

    def entry(self, ref: str, path: str) -> Entry:
        """The object or folder that readers of a ref see at a path; NotFound where there is none."""
        entry = self.trees.find(self.tree(ref), path)
        if entry is None:
            raise errors.no_path(LakeURI(self.name, ref, path))
        return entry


def _staging_ref(branch: str) -> str:
    return f"refs/reprolock/staging/{branch}"
