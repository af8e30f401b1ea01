"""The contract of every lake and lakeFS's own part of it, against a real lakeFS on a real MinIO.

With REPROLOCK_RECORD=1 the answers are recorded for the tests that run without a server.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import recording
import services
import urllib3

from reprolock.lake.lakefs.credentials import Credentials
from reprolock.lake.lakefs.lake import LakeFSLake
from reprolock.lake.open import open_lake

pytest.register_assert_rewrite("lake_suite", "lakefs_suite")

from lakefs_suite import LakeFSContract

pytestmark = pytest.mark.live


@pytest.fixture(autouse=True)
def recorded(
    request: pytest.FixtureRequest, lakefs: services.LakeFS, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Record where that is asked for."""
    test = request.node.name
    wanted = recording.RECORDING and request.node.originalname not in recording.LIVE_ONLY
    if wanted:
        monkeypatch.setattr(secrets, "token_hex", lambda _: recording.stable_token(test))
    with recording.record(test, lakefs.endpoint) if wanted else nullcontext():
        yield


@pytest.fixture
def lake(recorded: None, lakefs: services.LakeFS, tmp_path: Path) -> Iterator[LakeFSLake]:
    opened = open_lake(None, tmp_path, lakefs.lakectl, tmp_path)
    assert isinstance(opened, LakeFSLake)
    yield opened
    opened.close()


@pytest.fixture
def stranger(recorded: None, lakefs: services.LakeFS) -> Iterator[LakeFSLake]:
    opened = LakeFSLake(Credentials(lakefs.endpoint, "AKIAJ000000000000000", "wrong"))
    yield opened
    opened.close()


class Administrator:
    """`Outside`, with the keys of lakeFS and of MinIO."""

    def __init__(self, lakefs: services.LakeFS, object_store: services.ObjectStore) -> None:
        self._http = urllib3.PoolManager(
            headers=urllib3.make_headers(basic_auth=f"{lakefs.access_key_id}:{lakefs.secret_access_key}")
        )
        self._api = f"{lakefs.endpoint}/api/v1/repositories"
        self._s3 = services.s3(object_store.endpoint, object_store.access_key, object_store.secret_key)

    def protect(self, repository: str, pattern: str) -> None:
        answer = self._http.request(
            "PUT", f"{self._api}/{repository}/settings/branch_protection", json=[{"pattern": pattern}]
        )
        assert answer.status == 204

    def lose(self, repository: str, ref: str, path: str) -> None:
        answer = self._http.request("GET", f"{self._api}/{repository}/refs/{ref}/objects/stat", fields={"path": path})
        bucket, _, key = json.loads(answer.data)["physical_address"].removeprefix("s3://").partition("/")
        self._s3.delete_object(Bucket=bucket, Key=key)


@pytest.fixture
def outside(lakefs: services.LakeFS, object_store: services.ObjectStore) -> Administrator:
    return Administrator(lakefs, object_store)


class TestLakeFS(LakeFSContract):
    """Live."""
