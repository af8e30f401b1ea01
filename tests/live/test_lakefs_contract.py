"""The contract of every lake, held against a real lakeFS on a real MinIO."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import services
pytest.register_assert_rewrite("lake_suite")

from lake_suite import LakeContract  # noqa: E402 - after its asserts are rewritten
from reprolock.lake.lakefs_server import LakeFSLake
from reprolock.lake.opening import open_lake
from pathlib import Path


@pytest.fixture
def lake(lakefs: services.LakeFS, tmp_path: Path) -> Iterator[LakeFSLake]:
    opened = open_lake(None, tmp_path, lakefs.lakectl, tmp_path)
    assert isinstance(opened, LakeFSLake)
    yield opened
    opened.close()


class TestLakeFS(LakeContract):
    object_beside_folder = True
    any_segment = True
    commit_id = "[0-9a-f]{64}"

    def storage(self, repository: str) -> str | None:
        return f"s3://lake/{repository}"
