"""Recorded answers of a real lakeFS: written by the live tests on request, played back anywhere.

`REPROLOCK_RECORD=1 pytest tests/live/test_lakefs_contract.py` records anew. One file per test. A
recording knows neither keys nor the server's port, and holds only what `LakeFSLake` reads.
Repositories get names that are the same at every run, for a name is part of an address.
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import Any

import vcr
from vcr.request import Request

FOLDER = Path(__file__).parent / "cassettes" / "lakefs"
RECORDED_ENDPOINT = "http://lakefs.recorded"
RECORDING = bool(os.environ.get("REPROLOCK_RECORD"))
LIVE_ONLY = {
    "test_many_files_at_once": "it makes 1,200 calls",
    "test_bytes_come_back_to_the_letter": "it sends megabytes",
    "test_concurrent_puts_lose_nothing": "vcrpy plays back to one thread at a time",
    "test_a_commit_says_what_it_was_told": "it asks for the time",
}
_HEADERS = {"content-type", "content-length", "content-range", "etag", "location"}


def cassette_file(test: str) -> Path:
    """Where a test's recording stands. `test` is its name with parameters, which may be any text."""
    name = re.sub(r"\W+", "-", test.removeprefix("test_"), flags=re.ASCII).strip("-")
    return FOLDER / f"{name[:60]}-{sha256(test.encode()).hexdigest()[:6]}.yaml"


def stable_token(test: str) -> str:
    """What stands in for chance in a recorded test, so that a repository has the same name again."""
    return sha256(test.encode()).hexdigest()[:12]


def record(test: str, endpoint: str) -> AbstractContextManager[Any]:
    """Write down what goes to and comes from the endpoint; what goes elsewhere is let through unseen."""
    cassette_file(test).unlink(missing_ok=True)
    return _cassette(test, endpoint, "all")


def play(test: str) -> AbstractContextManager[Any]:
    """Answer from the recording; a request that is not in it is an error. A test that asks nothing has none."""
    return _cassette(test, RECORDED_ENDPOINT, "none")


def _cassette(test: str, endpoint: str, mode: str) -> AbstractContextManager[Any]:
    def to_lakefs(request: Request) -> Request | None:
        # vcrpy hands a request over twice, the second time as it came back from here.
        if not request.uri.startswith((endpoint + "/", RECORDED_ENDPOINT + "/")):
            return None
        uri = RECORDED_ENDPOINT + request.uri.removeprefix(endpoint).removeprefix(RECORDED_ENDPOINT)
        return Request(request.method, uri, _body(request.body), {})

    recorder = vcr.VCR(
        match_on=["method", "uri", "body"], before_record_request=to_lakefs, before_record_response=_bare
    )
    return recorder.use_cassette(str(cassette_file(test)), record_mode=mode)


def _body(body: Any) -> bytes | None:
    """JSON stays; of an upload, which arrives as a stream, its size and digest are enough to know it again."""
    if not hasattr(body, "read"):
        return body
    data = body.read()
    return f"{len(data)} bytes, sha256 {sha256(data).hexdigest()}".encode()


def _bare(response: dict[str, Any]) -> dict[str, Any]:
    response["headers"] = {name: value for name, value in response["headers"].items() if name.lower() in _HEADERS}
    return response
