"""Law: a listing is what was put, less what was removed, sorted by the bytes of the path; staged, committed, compared."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lake_values import contents, paths

from reprolock.errors import LakeRefused, NotFound
from reprolock.lake.git.lake import GitLake
from reprolock.model.uri import is_under

pytestmark = pytest.mark.property
steps = st.lists(st.one_of(st.tuples(paths, contents), st.tuples(paths, st.none()), st.none()), max_size=10)
"""Put an object, remove a path, or commit."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitLake]:
    lake = GitLake(tmp_path_factory.mktemp("lake"), "file:lake")
    yield lake
    lake.close()


@given(steps)
def test_a_listing_is_what_was_put(lake: GitLake, steps: list[tuple[str, bytes | None] | None]) -> None:
    name = f"test-{secrets.token_hex(8)}"
    lake.create_repository(name)
    seen: dict[str, bytes] = {}
    committed: dict[str, bytes] = {}
    for step in steps:
        if step is None:
            committed = commit(lake, name, seen, committed)
        elif step[1] is None:
            remove(lake, name, step[0], seen)
        else:
            put(lake, name, *step, seen)
        assert contents_of(lake, name, "main", "") == seen
        assert contents_of(lake, name, "main~0", "") == committed
        for folder in {path.partition("/")[0] for path in seen}:
            expected = {path: data for path, data in seen.items() if is_under(path, folder)}
            assert contents_of(lake, name, "main", folder) == expected
        assert lake.uncommitted(name, "main") == (seen != committed)


def put(lake: GitLake, name: str, path: str, data: bytes, seen: dict[str, bytes]) -> None:
    if any(is_under(other, path) != is_under(path, other) for other in seen):
        with pytest.raises(LakeRefused, match="no object beside a folder of the same name"):
            lake.put(name, "main", path, io.BytesIO(data))
        return
    assert lake.put(name, "main", path, io.BytesIO(data)).size == len(data)
    seen[path] = data


def remove(lake: GitLake, name: str, path: str, seen: dict[str, bytes]) -> None:
    going = [other for other in seen if is_under(other, path)]
    if not going:
        with pytest.raises(NotFound, match="nothing is at"):
            lake.remove(name, "main", path)
        return
    assert lake.remove(name, "main", path) == len(going)
    for other in going:
        del seen[other]


def commit(lake: GitLake, name: str, seen: dict[str, bytes], before: dict[str, bytes]) -> dict[str, bytes]:
    if seen == before:
        with pytest.raises(LakeRefused, match="nothing is staged"):
            lake.commit(name, "main", "none")
        return before
    made = lake.commit(name, "main", "some").id
    changes = {change.path: change.kind for change in lake.diff(name, f"{made}~1", made)}
    assert list(changes) == sorted(changes, key=str.encode)
    assert changes == {
        path: "added" if path not in before else "removed" if path not in seen else "changed"
        for path in seen.keys() | before.keys()
        if seen.get(path) != before.get(path)
    }
    return dict(seen)


def contents_of(lake: GitLake, name: str, ref: str, path: str) -> dict[str, bytes]:
    listing = list(lake.list(name, ref, path))
    assert [found.path for found in listing] == sorted((found.path for found in listing), key=str.encode)
    found = {item.path: lake.open(name, ref, item.path).read() for item in listing}
    assert [item.size for item in listing] == [len(data) for data in found.values()]
    assert all(lake.stat(name, ref, item.path) == item for item in listing)
    return found
