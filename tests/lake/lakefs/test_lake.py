"""The contract of every lake and lakeFS's own part of it, against recorded answers of a real lakeFS.

The recordings are made by tests/live/test_lakefs_contract.py; how, stands in tests/recording.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import recording

from reprolock.lake.lakefs.credentials import Credentials
from reprolock.lake.lakefs.lake import LakeFSLake
from reprolock.model.secrecy import looks_secret

pytest.register_assert_rewrite("lake_suite", "lakefs_suite")

from lakefs_suite import LakeFSContract


@pytest.fixture
def lake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LakeFSLake]:
    test = request.node.name
    monkeypatch.setattr(secrets, "token_hex", lambda _: recording.stable_token(test))
    opened = LakeFSLake(Credentials(recording.RECORDED_ENDPOINT, "an-access-key-id", "a-secret-access-key"))
    with recording.play(test):
        yield opened
    opened.close()


@pytest.fixture
def stranger(lake: LakeFSLake) -> LakeFSLake:
    return lake


class Bystander:
    """`Outside`, where it has happened already."""

    def protect(self, repository: str, pattern: str) -> None:
        """Recorded."""

    def lose(self, repository: str, ref: str, path: str) -> None:
        """Recorded."""


@pytest.fixture
def outside() -> Bystander:
    return Bystander()


class TestRecordedLakeFS(LakeFSContract):
    """Recorded."""


for name in recording.LIVE_ONLY:
    setattr(TestRecordedLakeFS, name, None)  # pytest collects nothing there


def test_recordings_hold_no_keys() -> None:
    recorded = sorted(recording.FOLDER.glob("*.yaml"))
    assert recorded
    for file in recorded:
        text = file.read_text(encoding="utf-8")
        assert not looks_secret(text), file.name
        assert "authorization" not in text.lower(), file.name
        assert "127.0.0.1" not in text, file.name
