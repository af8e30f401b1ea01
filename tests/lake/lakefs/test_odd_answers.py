"""A server that answers nearly as lakeFS does: a field is missing deep inside, or is something else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from catcher import Catcher

from reprolock.errors import ServiceError
from reprolock.lake.lakefs.credentials import Credentials
from reprolock.lake.lakefs.lake import LakeFSLake

OBJECT = {"path": "a", "size_bytes": 1, "checksum": "c"}
COMMIT = {"id": "ab" * 20, "creation_date": 1, "message": "m", "parents": [], "metadata": {}}
PAGE = {"has_more": False, "next_offset": ""}


def page(**fields: Any) -> dict[str, Any]:
    return {"pagination": PAGE, "results": [fields]}


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    made = Catcher()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"results": []},
        {"results": 7, "pagination": PAGE},
        {"results": [7], "pagination": PAGE},
        {"results": [OBJECT], "pagination": {}},
        {"results": [OBJECT], "pagination": []},
        *(page(**{name: value for name, value in OBJECT.items() if name != left_out}) for left_out in OBJECT),
        page(**OBJECT | {"size_bytes": "many"}),
        page(**OBJECT | {"size_bytes": -1}),
        page(**OBJECT | {"path": None}),
    ],
)
def test_a_listing(answer: dict[str, Any], catcher: Catcher) -> None:
    catcher.answer = (200, {}, json.dumps(answer).encode())
    refuse(catcher, lambda lake: list(lake.list("example-repo", "main")))


@pytest.mark.parametrize("offset", [None, "", "a"])
def test_a_listing_whose_pages_would_never_end(offset: str | None, catcher: Catcher) -> None:
    endless = {"has_more": True, "next_offset": offset}
    catcher.answer = (200, {}, json.dumps({"results": [OBJECT], "pagination": endless}).encode())
    refuse(catcher, lambda lake: list(lake.list("example-repo", "main")))


@pytest.mark.parametrize("rows", [b"run_id,expired\nx,false\n", b"\xff\xfe"])
def test_a_list_of_active_commits_in_the_store(rows: bytes, catcher: Catcher) -> None:
    store = Catcher()
    store.answer = (200, {}, rows)
    catcher.answer = (200, {}, json.dumps({"gc_commits_presigned_url": store.endpoint}).encode())
    try:
        refuse(catcher, lambda lake: lake.kept("example-repo"))
    finally:
        store.server.shutdown()
        store.server.server_close()


@pytest.mark.parametrize(
    "answer",
    [
        *(
            {"results": [{name: value for name, value in COMMIT.items() if name != out}]}
            for out in ("id", "message", "parents")
        ),
        {"results": [COMMIT | {"id": "../../x"}]},
        {"results": [COMMIT | {"creation_date": 1e300}]},
        {"results": [COMMIT | {"creation_date": "now"}]},
        {"results": [COMMIT | {"parents": None}]},
        {"results": [COMMIT | {"metadata": 7}]},
        {"results": {}},
    ],
)
def test_a_commit(answer: dict[str, Any], catcher: Catcher) -> None:
    catcher.answer = (200, {}, json.dumps(answer).encode())
    refuse(catcher, lambda lake: lake.resolve("example-repo", "main"))


def test_json_nested_too_deeply(catcher: Catcher) -> None:
    catcher.answer = (200, {}, b"[" * 200_000)
    refuse(catcher, lambda lake: lake.resolve("example-repo", "main"))


def refuse(catcher: Catcher, ask: Any) -> None:
    lake = LakeFSLake(Credentials(catcher.endpoint, "AKIAJEXAMPLEEXAMPLEQ", "a-secret-of-the-test"))
    try:
        with pytest.raises(ServiceError) as refused:
            ask(lake)
    finally:
        lake.close()
    assert refused.value.message == f"the server at {catcher.endpoint} (LAKECTL_SERVER_ENDPOINT_URL) is not lakeFS"
