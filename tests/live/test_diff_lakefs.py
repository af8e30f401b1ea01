"""`diff`, `data diff` and `impact` on a real lakeFS: right, and by lakeFS's own comparison, whose log is read here.

The server is the module's own, for it keeps an access log.
"""

from __future__ import annotations

import io
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import services
from command_line import Cli
from project import Project

from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake

pytestmark = pytest.mark.live

OBJECTS = 2500
"""Three pages of a listing."""
COMPARED = [["DiffRefs"], ["DiffRefs", "DiffRefs"]]
"""One page of lakeFS's own comparison, of a path that may be an object and a folder; and no listing of either side."""
SPEC = """\
[project]
name = "flights"

[datasets.train]
uri = "lakefs://{repository}/main/train/"
format = "csv"

[run]
command = ["python", "train.py"]
"""


class Scene(Project):
    """A project whose dataset was locked and run twice; between the two ten objects changed, were added or removed."""

    def __init__(self, root: Path, server: services.LakeFS, lake: Lake, cli: Cli) -> None:
        self.root = root
        self.server = server
        self.lake = lake
        self.repository = f"diffs-{secrets.token_hex(4)}"
        lake.create_repository(self.repository, storage=f"s3://lake/{self.repository}")
        sources = root / "sources"
        sources.mkdir()
        for number in range(10):
            (sources / str(number)).write_bytes(b"x\n%d\n" % number)
        names = [f"train/{number:05d}.csv" for number in range(OBJECTS)]
        assert (
            len(list(lake.put_many(self.repository, "main", ((name, sources / name[-5]) for name in names)))) == OBJECTS
        )
        self.first = lake.commit(self.repository, "main", "First").id
        self.spec(SPEC.format(repository=self.repository))
        self.script("print('hello')")
        self.old = self.made(cli, "lock")
        for number in (0, 1200, 2400):
            lake.put(self.repository, "main", f"train/{number:05d}.csv", io.BytesIO(b"x\n77\n"))
        for number in (1, 2, 3):
            lake.remove(self.repository, "main", f"train/{number:05d}.csv")
        for number in range(4):
            lake.put(self.repository, "main", f"train/new {number} ü.csv", io.BytesIO(b"x\n"))
        lake.put(self.repository, "main", "training/not.csv", io.BytesIO(b"x\n"))
        self.second = lake.commit(self.repository, "main", "Second").id
        self.new = self.made(cli, "lock", "--upgrade")
        self._seen = len(self._calls())

    def made(self, cli: Cli, *lock: str) -> str:
        for command in (lock, ("run", "-q")):
            said = cli(*command)
            assert said.code == 0, said.err
        return self.record.run_id[:8]

    def _calls(self) -> list[str]:
        """What the server was asked to do, by its own log, in the words of lakeFS's API."""
        entries = (json.loads(line) for line in self.server.server.log().splitlines() if line.startswith("{"))
        return [entry["operation_id"] for entry in entries if entry["msg"] == "HTTP call ended"]

    def asked(self) -> list[str]:
        """What was asked since the last look."""
        calls = self._calls()
        new, self._seen = calls[self._seen :], len(calls)
        return new


@pytest.fixture(scope="module")
def server(
    lakefs: services.LakeFS, object_store: services.ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[services.LakeFS]:
    own = services.start_lakefs(tmp_path_factory.mktemp("lakefs-diff"), object_store)
    own.server.stop()
    own.server.environ |= {
        "LAKEFS_LOGGING_LEVEL": "INFO",
        "LAKEFS_LOGGING_AUDIT_LOG_LEVEL": "INFO",
        "LAKEFS_LOGGING_FORMAT": "json",
    }
    own.server.start()
    yield own
    own.server.stop()


@pytest.fixture
def scene(
    server: services.LakeFS,
    tmp_path: Path,
    empty_mlflow: Path,
    cache: Path,
    bare: None,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    for name, value in {**server.lakectl, "REPROLOCK_CACHE_DIR": str(cache), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    lake = open_lake(None, tmp_path, server.lakectl, tmp_path)
    yield Scene(tmp_path, server, lake, cli)
    lake.close()


def test_what_changed_and_who_read_it(scene: Scene, cli: Cli) -> None:
    changes = [f"~ train/{number:05d}.csv" for number in (0, 1200, 2400)]
    changes += [f"- train/{number:05d}.csv" for number in (1, 2, 3)]
    changes += [f"+ train/new {number} ü.csv" for number in range(4)]
    changes.sort(key=lambda line: line[2:].encode())
    at = f"lakefs://{scene.repository}"

    # Two refs by hand: all that changed, in lakeFS's own words.
    said = cli("data", "diff", f"{at}/{scene.first}/train/", f"{at}/main/")
    assert (said.code, said.out.splitlines()) == (0, changes), said.err
    assert scene.asked() in COMPARED
    said = cli("data", "diff", f"{at}/main/train/new 0 ü.csv", f"{at}/{scene.first}/")
    assert (said.code, said.out) == (0, "- train/new 0 ü.csv\n"), said.err
    assert scene.asked() in COMPARED

    # Two runs: what changed in the dataset, and nothing of `training`.
    commits = f"{scene.first[:12]} → {scene.second[:12]}"
    said = cli("diff", scene.old, scene.new)
    assert said.code == 0, said.err
    assert said.out.splitlines()[:7] == [
        f"data      changed  train {commits}   4 objects added, 3 removed, 3 changed",
        *(f"                     {line}" for line in changes[:5]),
        "                     … and 5 more; --objects names all",
    ]
    assert said.out.splitlines()[-1] == "One input changed, and no result."
    assert scene.asked() in COMPARED
    said = cli("diff", scene.old, scene.new, "--objects")
    assert said.out.splitlines()[1:11] == [f"                     {line}" for line in changes]
    assert scene.asked() in COMPARED

    # Who read the bytes of an object: one look at it at each commit, whatever else is there.
    for place, runs in (
        ("main/train/00000.csv", [scene.new]),
        (f"{scene.first}/train/00000.csv", [scene.old]),
        ("main/train/00004.csv", [scene.old, scene.new]),
        ("main/training/not.csv", []),
    ):
        said = cli("impact", f"{at}/{place}")
        assert said.code == 0, said.err
        *lines, summary = said.out.splitlines()
        assert sorted(line.split()[0] for line in lines) == sorted(runs)
        assert f" read {at}/{place} (" in summary
        assert "ListObjects" not in scene.asked()
