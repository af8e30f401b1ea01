"""`run` on a real lakeFS without Spark: data brought to the disk, keys that are wrong, commits that are gone, no network."""

from __future__ import annotations

import io
import secrets
import shutil
from pathlib import Path

import lakefs_sdk
import pytest
import services
from project import Project, wait_for

from reprolock.errors import NotFound
from reprolock.lake.open import open_lake

pytestmark = pytest.mark.live

SPEC = """\
[project]
name = "flights"

[lake]
endpoint = "{endpoint}"

[datasets.train]
uri = "lakefs://{repository}/main/train/"
format = "csv"

[run]
command = ["python", "train.py"]
"""


class OnLakeFS(Project):
    """A project whose lake is a lakeFS server."""

    def __init__(self, root: Path, server: services.LakeFS) -> None:
        self.root = root
        self.server = server
        self.repository = f"runs-{secrets.token_hex(4)}"
        self.lake = open_lake(server.endpoint, root, server.lakectl, root)
        self.lake.create_repository(self.repository, storage=f"{server.storage}{self.repository}")
        self.lake.put(self.repository, "main", "train/a.csv", io.BytesIO(b"x\n1\n"))
        self.commit_id = self.lake.commit(self.repository, "main", "First").id
        self.spec(SPEC.format(endpoint=server.endpoint, repository=self.repository))
        self.script(
            "import reprolock; print(sorted(p.name for p in reprolock.current().dataset('train').path.iterdir()))"
        )


@pytest.fixture
def on_lakefs(
    lakefs: services.LakeFS,
    tmp_path: Path,
    empty_mlflow: Path,
    cache: Path,
    bare: None,
    monkeypatch: pytest.MonkeyPatch,
) -> OnLakeFS:
    for name, value in {**lakefs.lakectl, "REPROLOCK_CACHE_DIR": str(cache), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    return OnLakeFS(tmp_path, lakefs)


def test_data_is_brought_to_the_disk_at_the_commit(on_lakefs: OnLakeFS, cli) -> None:
    assert cli("lock").code == 0
    on_lakefs.lake.put(on_lakefs.repository, "main", "train/b.csv", io.BytesIO(b"x\n2\n"))
    on_lakefs.lake.commit(on_lakefs.repository, "main", "Second")
    said = cli("run", "-q")
    assert (said.code, said.out) == (0, "['a.csv']\n")
    [given] = on_lakefs.record.datasets
    assert (given.kind, given.commit) == ("lakefs", on_lakefs.commit_id)
    assert given.url == f"file://{on_lakefs.root}/.reprolock/data/{on_lakefs.repository}/{given.commit}/train"


def test_keys_that_are_wrong(on_lakefs: OnLakeFS, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("lock").code == 0
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", "not-the-right-key-at-all")
    said = cli("run")
    assert said.err.splitlines()[0] == (
        f"error: lakeFS at {on_lakefs.server.endpoint} rejects the credentials of LAKECTL_CREDENTIALS_ACCESS_KEY_ID: "
        "error authenticating request"
    )
    assert "not-the-right-key-at-all" not in said.err
    assert (said.code, said.out) == (5, "")
    assert on_lakefs.all_stored() == []


def is_gone(place: OnLakeFS) -> bool:
    try:
        place.lake.resolve(place.repository, place.commit_id)
    except NotFound:
        return True
    return False


def test_a_repository_that_is_gone(on_lakefs: OnLakeFS, cli) -> None:
    assert cli("lock").code == 0
    configuration = lakefs_sdk.Configuration(
        host=f"{on_lakefs.server.endpoint}/api/v1",
        username=on_lakefs.server.access_key_id,
        password=on_lakefs.server.secret_access_key,
    )
    with lakefs_sdk.ApiClient(configuration) as client:
        lakefs_sdk.RepositoriesApi(client).delete_repository(on_lakefs.repository)
    wait_for(lambda: is_gone(on_lakefs))  # lakeFS itself remembers a repository for some seconds
    said = cli("run")
    assert said.err == (
        f"error: dataset train is pinned at lakefs://{on_lakefs.repository}/{on_lakefs.commit_id}/train/, which is gone: "
        f'no repository "{on_lakefs.repository}" in the lake {on_lakefs.server.endpoint}\n'
        "hint: restore the commit in the lake; `reprolock lock --upgrade` pins what is there now\n"
    )
    assert said.code == 4


def test_offline_takes_what_is_cached(
    on_lakefs: OnLakeFS, cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("lock").code == 0
    assert cli("run", "-q").code == 0
    away = f"http://127.0.0.1:{services.free_port()}"
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", away)
    on_lakefs.edit(on_lakefs.server.endpoint, away)
    # Linked trees are read-only, and the cache alone is enough to make one anew.
    shutil.move(on_lakefs.root / ".reprolock" / "data", on_lakefs.root / "moved")
    said = cli("run", "--offline")
    assert (said.code, said.out) == (0, "['a.csv']\n"), said.err
    assert on_lakefs.record.datasets[0].commit == on_lakefs.commit_id

    shutil.move(on_lakefs.root / ".reprolock" / "data", on_lakefs.root / "moved again")
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(tmp_path / "empty"))
    said = cli("run", "--offline")
    assert said == (
        5,
        "",
        f"error: dataset train is incomplete in the cache at {tmp_path}/empty/objects, and --offline does not download it\n"
        "hint: leave out --offline once the lake can be reached\n",
    )
    said = cli("run", "--offline", "--data", "train=main")
    assert said == (
        2,
        "",
        "error: --data needs the lake, and --offline contacts no service\nhint: leave out --offline\n",
    )
