"""An endpoint decides which lake is opened, and only that lake's library is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reprolock.errors import UsageError
from reprolock.lake.git.lake import GitLake
from reprolock.lake.lakefs.lake import LakeFSLake
from reprolock.lake.open import open_lake

ENVIRON = {
    "LAKECTL_SERVER_ENDPOINT_URL": "http://127.0.0.1:8000/",
    "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": "an-access-key-id",
    "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": "a-secret-access-key",
}


def test_a_folder_is_an_embedded_lake(tmp_path: Path) -> None:
    lake = open_lake("file:lakes/mine", tmp_path, ENVIRON, tmp_path)
    assert isinstance(lake, GitLake)
    assert lake.endpoint == "file:lakes/mine"
    lake.create_repository("weather")
    assert (tmp_path / "lakes" / "mine" / "weather.git").is_dir()


def test_a_folder_without_a_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_lake("file:", tmp_path, ENVIRON, tmp_path)
    assert (caught.value.message, caught.value.hint) == (
        'the endpoint in repro.toml names no folder: "file:"',
        'write `endpoint = "file:lake"`',
    )


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:8000", "http://127.0.0.1:8000/api/v1"])
def test_a_server_is_a_lakefs_lake(tmp_path: Path, endpoint: str | None) -> None:
    lake = open_lake(endpoint, tmp_path, ENVIRON, tmp_path)
    assert isinstance(lake, LakeFSLake)
    assert lake.endpoint == "http://127.0.0.1:8000"


def test_the_place_of_a_refused_endpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_lake("https://evil.example.com", tmp_path, ENVIRON, tmp_path, declared_in="the record of run 3f9c2d1e")
    assert caught.value.message == (
        "no credentials may be sent to the lakeFS at https://evil.example.com that the record of run 3f9c2d1e names: "
        "those of LAKECTL_CREDENTIALS_ACCESS_KEY_ID belong to http://127.0.0.1:8000"
    )


@pytest.mark.parametrize(("endpoint", "loaded"), [("file:lake", "pygit2"), ("http://127.0.0.1:8000", "lakefs_sdk")])
def test_only_the_lake_s_own_library_is_loaded(tmp_path: Path, endpoint: str, loaded: str) -> None:
    program = (
        "import sys; from pathlib import Path; from reprolock.lake.open import open_lake\n"
        f"open_lake({endpoint!r}, Path('.'), {ENVIRON!r}, Path('.'))\n"
        "print(*sorted({'pygit2', 'lakefs_sdk', 'yaml'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.split() == [loaded]
