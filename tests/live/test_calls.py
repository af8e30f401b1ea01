"""How often each command asks a real lakeFS: docs/concepts/scale.md counts with these numbers."""

from __future__ import annotations

import io
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import services
from command_line import Cli
from path_proxy import under_a_path

from reprolock.lake.open import open_lake

pytestmark = pytest.mark.live
OBJECTS = 1001
"""One more than lakeFS lists at once."""

SPEC = """\
[project]
name = "calls"

[lake]
endpoint = "{endpoint}"

[datasets.train]
uri = "lakefs://{repository}/main/train/"
format = "csv"

[run]
command = ["true"]
"""
Asked = Callable[..., dict[str, int]]


@pytest.fixture(scope="module")
def repository(lakefs: services.LakeFS, tmp_path_factory: pytest.TempPathFactory) -> str:
    name = f"calls-{secrets.token_hex(4)}"
    folder = tmp_path_factory.mktemp("empty")
    lake = open_lake(lakefs.endpoint, folder, lakefs.lakectl, folder)
    lake.create_repository(name, storage=f"{lakefs.storage}{name}")
    for number in range(OBJECTS):
        lake.put(name, "main", f"train/{number:04}.csv", io.BytesIO(b"x\n"))
    lake.commit(name, "main", "Put")
    lake.close()
    return name


@pytest.fixture
def asked(
    lakefs: services.LakeFS,
    repository: str,
    cli: Cli,
    tmp_path: Path,
    empty_mlflow: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Asked]:
    """Runs a command, and says how often each operation of lakeFS's was called for it."""
    for name, value in lakefs.lakectl.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(tmp_path / "cache"))  # what is in one already is not asked for
    heard: list[str] = []
    with under_a_path(int(lakefs.endpoint.rpartition(":")[2]), "", heard) as endpoint:
        monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", endpoint)
        (tmp_path / "repro.toml").write_text(SPEC.format(endpoint=endpoint, repository=repository))

        def ask(*words: str) -> dict[str, int]:
            heard.clear()
            said = cli(*words)
            assert said.code == 0, said.err
            return dict(Counter(_operation(call) for call in heard))

        yield ask


def _operation(call: str) -> str:
    method, address = call.split(" ", 1)
    path = urlsplit(address).path.removeprefix("/api/v1/")
    return f"{method} {re.sub(r'[0-9a-f]{64}', 'COMMIT', re.sub(r'calls-[0-9a-f]{8}', 'R', path))}"


def test_the_calls_of_each_command(asked: Asked) -> None:
    head, listing = "GET repositories/R/refs/main/commits", "GET repositories/R/refs/COMMIT/objects/ls"
    staged = "GET repositories/R/branches/main/diff"
    looked = {
        # The commit, the first object of the dataset, and that object's first byte.
        "GET repositories/R/refs/COMMIT/commits": 1,
        listing: 2,
        "GET repositories/R/refs/COMMIT/objects/stat": 1,
        "GET repositories/R/refs/COMMIT/objects": 1,
    }
    commands = (["lock"], ["lock", "--check"], ["status"], ["run"], ["run", "-q"], ["verify"])
    assert {" ".join(words): asked(*words) for words in commands} == {
        # The listing is read once for the digest: two pages, and a first look at one object.
        "lock": {head: 1, listing: 3, staged: 2},
        "lock --check": {},
        "status": {head: 1, staged: 2},
        # Besides, the whole listing, and an address that the store signs for each object that is not in the cache: all have the same bytes.
        "run": looked | {listing: 2 + 3 + 1, "GET config": 1},
        "run -q": looked,
        "verify": {listing: 3},
    }


def test_the_calls_of_a_publication(asked: Asked, tmp_path: Path) -> None:
    spec = tmp_path / "repro.toml"
    repository = spec.read_text().partition("lakefs://")[2].partition("/")[0]
    command = "[\"python\", \"-c\", \"open('out.txt', 'w').write('x')\"]"
    spec.write_text(
        spec.read_text().replace('["true"]', command)
        + f'\n[outputs.out]\npath = "out.txt"\npublish = "lakefs://{repository}/main/results/"\n'
    )
    asked("lock")
    # 17 for the one object that is published, whatever the dataset's size; the others are those of any first run.
    assert sum(asked("run").values()) == 17 + 10


def test_the_calls_to_mlflow(asked: Asked, mlflow_server: services.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    with under_a_path(int(mlflow_server.endpoint.rpartition(":")[2]), "", heard) as endpoint:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", endpoint)
        asked("lock")
        asked("run")
    assert len(heard) == 27  # of a first run: the experiment's two among them
