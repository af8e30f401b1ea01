"""What several test modules on running services start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import services


@pytest.fixture(scope="module")
def storage(
    object_store: services.ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[services.ObjectStore]:
    """An object store of the module's own, for its tests kill it."""
    own = services.start_store(tmp_path_factory.mktemp("store"))
    yield own
    own.server.stop()


@pytest.fixture(scope="module")
def server(
    lakefs: services.LakeFS, storage: services.ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[services.LakeFS]:
    """A lakeFS on it, which they kill too."""
    own = services.start_lakefs(tmp_path_factory.mktemp("lakefs"), storage)
    yield own
    own.server.stop()
