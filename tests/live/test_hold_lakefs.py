"""Holds on a real lakeFS: its own list for garbage collection counts them, and not what only a tag names."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import services
import urllib3

from reprolock.lake.lakefs.lake import LakeFSLake
from reprolock.lake.open import open_lake
from reprolock.steps.evidence.hold import Pinned, Why, check_holds, end_of, hold, lost, release
from reprolock.steps.project.machine import Machine

pytestmark = pytest.mark.live
LONG_AGO = 1577836800


@pytest.fixture
def lake(lakefs: services.LakeFS, tmp_path: Path) -> Iterator[LakeFSLake]:
    opened = open_lake(None, tmp_path, lakefs.lakectl, tmp_path)
    assert isinstance(opened, LakeFSLake)
    yield opened
    opened.close()


class Server:
    """lakeFS's API, as an administrator uses it."""

    def __init__(self, lakefs: services.LakeFS) -> None:
        login = f"{lakefs.access_key_id}:{lakefs.secret_access_key}"
        self.http = urllib3.PoolManager(headers=urllib3.make_headers(basic_auth=login))
        self.api = f"{lakefs.endpoint}/api/v1/repositories"

    def old_commit(self, repository: str) -> str:
        """A commit of years ago, which the rules of collection let go."""
        body = {"message": "old", "date": LONG_AGO}
        answer = self.http.request("POST", f"{self.api}/{repository}/branches/main/commits", json=body)
        assert answer.status == 201, answer.data
        return str(json.loads(answer.data)["id"])

    def set_rules(self, repository: str) -> None:
        body = {"default_retention_days": 1, "branches": []}
        assert self.http.request("PUT", f"{self.api}/{repository}/settings/gc_rules", json=body).status == 204


def test_held_past_the_garbage_collection(lake: LakeFSLake, lakefs: services.LakeFS) -> None:
    server = Server(lakefs)
    repository = f"hold-{secrets.token_hex(6)}"
    lake.create_repository(repository, storage=lakefs.storage)
    commits = []
    for number in range(3):
        lake.put(repository, "main", "a.csv", io.BytesIO(b"x" * (number + 1)))
        commits.append(server.old_commit(repository))
    pinned, control, _ = commits
    lake.create_tag(repository, "only-a-tag", control)
    now = Machine.here().now()
    pin, other = Pinned(repository, pinned), Pinned(repository, control)
    until = end_of("2099-12-31", None, now)
    (made,) = hold(lake, [pin], until, Why(run="r", reason="filing"), now)
    assert (made.state, made.why) == ("held", Why("r", None, "filing"))

    # Without rules of collection the server lists nothing, and that is said.
    (found,) = check_holds(lake, [pin], now)
    assert found.sentence == (
        "until 2099-12-31, the lake lists no kept commits: it has no rules of collection, or this account may not ask"
    )
    server.set_rules(repository)
    kept = lake.kept(repository)
    assert kept is not None
    assert lake.resolve(repository, pin.branch).id in kept
    assert control not in kept  # a tag alone holds nothing
    held, gone = check_holds(lake, [pin, other], now)
    assert held.sentence == "until 2099-12-31, kept by the lake's garbage collection"
    assert gone.state == "gone"

    # Somebody writes to the hold's branch, then deletes it.
    lake.put(repository, pin.branch, "b.csv", io.BytesIO(b"y"))
    lake.commit(repository, pin.branch, "not mine")
    (changed,) = check_holds(lake, [pin], now)
    assert changed.state == "changed"
    lake.delete_branch(repository, pin.branch)
    error = lost(check_holds(lake, [pin], now))
    assert error is not None and error.exit_code == 4
    assert str(error) == (
        f"1 pinned commit is not held: {pinned[:12]} of {repository}: gone: its branch was deleted, or never made"
    )
    hold(lake, [pin], until, Why(), now)
    release(lake, [pin], now, force=True)
    assert [each.state for each in check_holds(lake, [pin], now)] == ["gone"]


def test_a_hold_that_is_there_costs_one_call(
    lake: LakeFSLake, lakefs: services.LakeFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = f"hold-{secrets.token_hex(6)}"
    lake.create_repository(repository, storage=lakefs.storage)
    commit = lake.resolve(repository, "main").id
    now = Machine.here().now()
    until = end_of("2099-12-31", None, now)
    hold(lake, [Pinned(repository, commit)], until, Why(), now)
    asked: list[tuple[object, ...]] = []
    ask = lake._transport.ask
    monkeypatch.setattr(lake._transport, "ask", lambda *given, **more: (asked.append(given), ask(*given, **more))[1])
    hold(lake, [Pinned(repository, commit)] * 2, until, Why(), now)
    assert len(asked) == 1
