"""Law: merging is of paths. What one side changed is taken, what both changed differently is a conflict, and
which side is called "ours" does not matter to the content."""

from __future__ import annotations

from collections.abc import Mapping

import pygit2
import pytest
from hypothesis import given
from lake_values import three_sides, trees

from reprolock.lake.git.blobs import Entry
from reprolock.lake.git.trees import Trees

pytestmark = pytest.mark.property
Tree = Mapping[str, bytes]


class Git:
    """Trees of dictionaries, in a real repository."""

    def __init__(self, folder: str) -> None:
        self.repository = pygit2.init_repository(folder, bare=True)
        self.trees = Trees(self.repository)

    def write(self, tree: Tree) -> pygit2.Oid:
        blobs = ((path, Entry(self.repository.create_blob(data), 0o100644)) for path, data in tree.items())
        return self.trees.edit(self.trees.empty, blobs)

    def read(self, root: pygit2.Oid) -> dict[str, bytes]:
        return {path: self.repository[entry.id].data for path, entry in self.trees.walk(Entry(root, 0o40000), "")}


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Git:
    return Git(str(tmp_path_factory.mktemp("git")))


def by_path(base: Tree, ours: Tree, theirs: Tree) -> tuple[dict[str, bytes], set[str], set[str]]:
    """The rule in its plainest form: content, paths changed on both sides, objects that met a folder."""
    merged, both = {}, set()
    for path in base.keys() | ours.keys() | theirs.keys():
        before, mine, other = base.get(path), ours.get(path), theirs.get(path)
        if mine != other and before not in (mine, other):
            both.add(path)
        result = other if mine == before else mine
        if result is not None:
            merged[path] = result
    met = {path for path in merged if any(other.startswith(f"{path}/") for other in merged)}
    return merged, both, met


@given(three_sides)
def test_merging_follows_the_rule(git: Git, sides: tuple[Tree, Tree, Tree]) -> None:
    merged = git.trees.merge(*map(git.write, sides))
    expected, both, met = by_path(*sides)
    assert both <= set(merged.conflicts)
    assert bool(merged.conflicts) == bool(both | met)
    assert merged.conflicts == sorted(set(merged.conflicts), key=str.encode)
    if not merged.conflicts:
        assert git.read(merged.tree) == expected
        assert merged.tree == git.write(expected)
    # A conflict that is not a change on both sides is an object on one side where the other has a folder.
    for path in set(merged.conflicts) - both:
        assert any(path in side for side in sides)
        assert any(other.startswith(f"{path}/") for side in sides for other in side)


@given(three_sides)
def test_merging_is_symmetric(git: Git, sides: tuple[Tree, Tree, Tree]) -> None:
    base, ours, theirs = map(git.write, sides)
    one, other = git.trees.merge(base, ours, theirs), git.trees.merge(base, theirs, ours)
    assert one.conflicts == other.conflicts
    assert one.conflicts or one.tree == other.tree


@given(trees, trees)
def test_merging_with_what_did_not_change_changes_nothing(git: Git, base: Tree, side: Tree) -> None:
    before, after = git.write(base), git.write(side)
    for sides in ((before, after, before), (before, before, after), (before, after, after)):
        assert git.trees.merge(*sides) == (after, [])


@given(three_sides)
def test_where_there_are_conflicts_our_side_stands(git: Git, sides: tuple[Tree, Tree, Tree]) -> None:
    """What is staged is laid over a head that moved by this rule."""
    merged = git.trees.merge(*map(git.write, sides))
    _, both, met = by_path(*sides)
    content = git.read(merged.tree)
    if not met:
        for path in both & sides[1].keys():
            assert content[path] == sides[1][path]
