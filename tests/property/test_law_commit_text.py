"""Law: a commit's message and metadata come back exactly, through Git itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pygit2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reprolock.errors import UsageError
from reprolock.lake.git import commits as git_commits

pytestmark = pytest.mark.property
text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> pygit2.Repository:
    return pygit2.init_repository(str(tmp_path_factory.mktemp("git")), bare=True)


@given(text, st.dictionaries(text, text))
@example("\n\nleading", {})
@example("trailing\n\n", {"a": "b"})
@example("", {})
@example("", {"": ""})
@example('text\n\nReprolock-Metadata: {"a": "b"}\n', {})
@example('text\n\nReprolock-Metadata: {"a": "b"}\n', {"c": "d\n\nReprolock-Metadata: {}\n"})
@example("text\n\nReprolock-Metadata: {not JSON}\n", {})
def test_text_comes_back(repository: pygit2.Repository, message: str, metadata: dict[str, str]) -> None:
    if git_commits.target_of(repository, "refs/heads/main") is not None:
        repository.references.delete("refs/heads/main")
    tree = repository.TreeBuilder().write()
    made = git_commits.write(repository, "main", tree, [], message, metadata, NOW)
    commit = git_commits.read(repository[made.id])
    assert (commit.message, commit.metadata, commit.time) == (message, metadata, NOW)


@given(st.sampled_from(["\0", "\ud800", "\udfff"]), text, text)
def test_what_git_cannot_keep_is_refused(bad: str, before: str, after: str) -> None:
    for message, metadata in ((before + bad + after, {}), ("text", {"key": before + bad + after})):
        if bad == "\0" and metadata:
            assert git_commits.decode(git_commits.encode(message, metadata)) == (message, metadata)
            continue
        with pytest.raises(UsageError) as caught:
            git_commits.encode(message, metadata)
        assert (
            caught.value.message == "the commit's message or metadata contains a character that is not allowed in text"
        )
        assert caught.value.hint == "write it without NUL characters, in UTF-8"
