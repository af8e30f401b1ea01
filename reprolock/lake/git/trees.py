"""Read, edit, compare and merge the Git trees of the embedded lake, path by path and never by lines.

In go tree IDs and entries, out come entries, changes and new trees. Only trees are written, nothing is
staged or committed here. Git keeps names in a tree in the order in which the paths below them sort, so
every walk arrives sorted by the UTF-8 bytes of the path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import pygit2
from pygit2.enums import FileMode

from reprolock.lake.git.blobs import Broken, Entry
from reprolock.lake.git.loose_objects import CutShort, read_loose

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""The tree without names: Git knows it, whether it was ever written or not."""
_Nested = dict[str, Any]
"""Changes by name: a further _Nested for a folder, an Entry to put, None to remove."""


class Difference(NamedTuple):
    """One object that is not the same on both sides; None where it is not there."""

    path: str
    left: Entry | None
    right: Entry | None


class Merged(NamedTuple):
    """The tree of a merge, and the sorted paths that both sides changed differently. There the tree has our side."""

    tree: pygit2.Oid
    conflicts: list[str]


class Blocked(Exception):
    """A path that Git cannot hold; the text completes "… cannot be stored: ". Never leaves the lake."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason


class Trees:
    """The trees of one repository. The most recent ones are kept: they never change under their ID."""

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._get = lru_cache(maxsize=64)(self._read)
        self.empty = pygit2.Oid(hex=EMPTY_TREE)

    def find(self, root: pygit2.Oid, path: str) -> Entry | None:
        """The object or folder at a path, or None. The root itself for ""."""
        entry = Entry(root, FileMode.TREE)
        seen = ""
        for name in path.split("/") if path else ():
            if not entry.is_folder or (found := _lookup(self._tree(entry.id, seen), name)) is None:
                return None
            entry = found
            seen = _join(seen, name)
        return entry

    def walk(self, entry: Entry, path: str) -> Iterator[tuple[str, Entry]]:
        """Every object at or under an entry, with its path, sorted."""
        if not entry.is_folder:
            yield path, entry
            return
        for child in self._tree(entry.id, path):
            # A commit in a tree is another repository's (a submodule); it has no bytes here.
            if child.filemode != FileMode.COMMIT:
                yield from self.walk(Entry(child.id, child.filemode), _join(path, _name(child)))

    def edit(self, root: pygit2.Oid, changes: Iterable[tuple[str, Entry | None]]) -> pygit2.Oid:
        """A tree with objects put (an entry) or objects and folders removed (None). A later change wins.

        Blocked where an object would stand beside a folder of its name, and for names Git refuses.
        """
        nested: _Nested = {}
        for path, entry in changes:
            *folders, name = path.split("/")
            inner = nested
            for depth, folder in enumerate(folders):
                inner = inner.setdefault(folder, {})
                if not isinstance(inner, dict):
                    raise _beside_folder("/".join(folders[: depth + 1]))
            if isinstance(inner.get(name), dict):
                raise _beside_folder(path)
            inner[name] = entry
        return self._edit(root, nested, "") or self.empty

    def _edit(self, tree: pygit2.Oid | None, changes: _Nested, path: str) -> pygit2.Oid | None:
        builder = self._builder(tree, path)
        for name, change in changes.items():
            here = _join(path, name)
            present = builder.get(name)
            present_folder = present.id if present is not None and present.filemode == FileMode.TREE else None
            if isinstance(change, dict):
                if present is not None and present_folder is None:
                    raise _beside_folder(here)
                below = self._edit(present_folder, change, here)
                change = Entry(below, FileMode.TREE) if below else None
            elif change is not None and present_folder is not None:
                raise _beside_folder(here)
            _place(builder, name, change, here)
        return builder.write() if len(builder) else None

    def diff(self, left: Entry | None, right: Entry | None, path: str = "") -> Iterator[Difference]:
        """Objects that differ between two entries, sorted by path. Subtrees that are equal are not read."""
        if left == right:
            return
        left_file, right_file = _file(left), _file(right)
        if left_file != right_file:
            yield Difference(path, left_file, right_file)
        left_names, right_names = self._names(left, path), self._names(right, path)
        keys = {_sort_key(name, entry) for names in (left_names, right_names) for name, entry in names.items()}
        for key in sorted(keys):
            name, is_folder = key.removesuffix(b"/").decode(), key.endswith(b"/")
            sides = (names.get(name) for names in (left_names, right_names))
            one, other = (side if side and side.is_folder == is_folder else None for side in sides)
            yield from self.diff(one, other, _join(path, name))

    def merge(self, base: pygit2.Oid, ours: pygit2.Oid, theirs: pygit2.Oid) -> Merged:
        """Three-way, by path: what only one side changed since the base is taken, renames are not followed.

        A path that both sides changed to different things is a conflict; so is an object that would
        stand beside a folder of its name. Swapping ours and theirs gives the same tree and conflicts,
        as long as there are no conflicts to settle.
        """
        conflicts: list[str] = []
        before, mine, other = (Entry(tree, FileMode.TREE) for tree in (base, ours, theirs))
        merged = self._merge(before, mine, other, "", conflicts)
        return Merged(merged.id if merged else self.empty, sorted(conflicts, key=str.encode))

    def _merge(
        self, base: Entry | None, ours: Entry | None, theirs: Entry | None, path: str, conflicts: list[str]
    ) -> Entry | None:
        if ours == theirs or base == theirs:
            return ours
        if base == ours:
            return theirs
        # An entry is an object or a folder. Both halves are merged; only one of them may have a result.
        file, agreed = _three_way(_file(base), _file(ours), _file(theirs))
        folder = self._merge_folders(_folder(base), _folder(ours), _folder(theirs), path, conflicts)
        if not agreed or (file and folder):
            conflicts.append(path)
            return ours
        return file or folder

    def _merge_folders(
        self, base: Entry | None, ours: Entry | None, theirs: Entry | None, path: str, conflicts: list[str]
    ) -> Entry | None:
        sides = [self._names(side, path) for side in (base, ours, theirs)]
        builder = self._builder(ours.id if ours else None, path)
        for name in set().union(*sides):
            before, mine, other = (side.get(name) for side in sides)
            here = _join(path, name)
            merged = self._merge(before, mine, other, here, conflicts)
            if merged != mine:
                _place(builder, name, merged, here)
        return Entry(builder.write(), FileMode.TREE) if len(builder) else None

    def _names(self, entry: Entry | None, path: str) -> Mapping[str, Entry]:
        if entry is None or not entry.is_folder:
            return {}
        return {_name(child): Entry(child.id, child.filemode) for child in self._tree(entry.id, path)}

    def _builder(self, tree: pygit2.Oid | None, path: str) -> pygit2.TreeBuilder:
        if tree is None:
            return self._repository.TreeBuilder()
        return self._repository.TreeBuilder(self._tree(tree, path))

    def _tree(self, tree: pygit2.Oid, path: str) -> pygit2.Tree:
        try:
            return self._get(tree)
        except KeyError:
            raise Broken(path, missing=True) from None
        except (CutShort, pygit2.GitError):
            raise Broken(path, missing=False) from None

    def _read(self, tree: pygit2.Oid) -> pygit2.Tree:
        read_loose(self._repository.path, tree)
        return self._repository[tree].peel(pygit2.Tree)


def _name(child: pygit2.Object) -> str:
    assert child.name is not None, "what a tree holds has a name in it"
    return child.name


def _lookup(tree: pygit2.Tree, name: str) -> Entry | None:
    if "\0" in name:  # where libgit2 would stop reading
        return None
    try:
        child = tree[name]
    except (KeyError, ValueError):  # not there, or no name that Git has
        return None
    return Entry(child.id, child.filemode)


def _place(builder: pygit2.TreeBuilder, name: str, entry: Entry | None, path: str) -> None:
    if entry is None:
        if builder.get(name) is not None:
            builder.remove(name)
        return
    try:
        builder.insert(name, entry.id, entry.mode)
    except pygit2.GitError:
        raise Blocked(path, f'Git keeps the name "{name}" for itself') from None


def _three_way(base: Entry | None, ours: Entry | None, theirs: Entry | None) -> tuple[Entry | None, bool]:
    """The result, and whether there is one that both sides agree with."""
    if ours == theirs or base == theirs:
        return ours, True
    return theirs, base == ours


def _file(entry: Entry | None) -> Entry | None:
    return None if entry is None or entry.is_folder else entry


def _folder(entry: Entry | None) -> Entry | None:
    return entry if entry is not None and entry.is_folder else None


def _sort_key(name: str, entry: Entry) -> bytes:
    return name.encode() + b"/" * entry.is_folder


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _beside_folder(path: str) -> Blocked:
    return Blocked(path, "an embedded lake has no object beside a folder of the same name")
