"""The embedded lake keeps the contract, and what is its own: Git underneath, large objects, damage, two processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reprolock.lake.embedded_git import GitLake
pytest.register_assert_rewrite("lake_suite")

from lake_suite import LakeContract  # noqa: E402 - after its asserts are rewritten


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[GitLake]:
    lake = GitLake(tmp_path / "lake", "file:lake")
    yield lake
    lake.close()


class TestGitLake(LakeContract):
    object_beside_folder = False
    any_segment = False
    commit_id = r"[0-9a-f]{40}"
