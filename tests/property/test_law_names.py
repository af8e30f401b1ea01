"""Law: a path that an address can carry comes back exactly, or is refused with a sentence. No other is taken."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from lake_values import any_path, any_text, in_grammar

from reprolock.errors import LakeRefused, ReprolockError, UsageError
from reprolock.lake.git.lake import GitLake
from reprolock.model.uri import LakeURI
from reprolock.steps.inputs.portable_names import unsafe

pytestmark = pytest.mark.property


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitLake]:
    lake = GitLake(tmp_path_factory.mktemp("lake"), "file:lake")
    lake.create_repository("names")
    yield lake
    lake.close()


@given(any_path)
def test_a_path_comes_back_or_is_refused(lake: GitLake, path: str) -> None:
    try:
        stored = lake.put("names", "main", path, io.BytesIO(path.encode(errors="surrogatepass")))
    except ReprolockError as refused:
        assert isinstance(refused, LakeRefused if in_grammar(path) else UsageError)
        assert refused.hint
        assert not lake.uncommitted("names", "main")
        return
    assert in_grammar(path)
    assert LakeURI.parse(str(LakeURI("names", "main", path))).path == path
    assert list(lake.list("names", "main")) == list(lake.list("names", "main", path)) == [stored]
    assert lake.open("names", "main", path).read() == path.encode()
    assert lake.remove("names", "main", path) == 1


@given(any_path)
def test_a_name_that_is_safe_stays_in_its_folder(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    if unsafe(path, windows=False) is None:
        folder = tmp_path_factory.getbasetemp() / "safe"
        file = folder / path
        assert Path(*file.parts[: len(folder.parts)]) == folder
        assert ".." not in file.parts
        assert file.relative_to(folder).as_posix() == path


def test_half_a_surrogate_pair_is_not_a_name() -> None:
    assert unsafe("a/\ud800", windows=False) == "it is not text"


@given(any_text)
def test_a_branch_or_tag_is_made_or_refused(lake: GitLake, name: str) -> None:
    before = list(lake.branches("names"))
    try:
        lake.create_branch("names", name, "main")
    except LakeRefused:
        assert list(lake.branches("names")) == before
        return
    assert LakeURI.parse(f"lakefs://names/{name}/").ref == name
    assert lake.resolve("names", name) == lake.resolve("names", "main")
    lake.delete_branch("names", name)
    assert list(lake.branches("names")) == before
