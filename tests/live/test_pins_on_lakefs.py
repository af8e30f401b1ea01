"""What it costs to ask a lakeFS, before a run, whether it still has what is pinned."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import services

from reprolock.errors import NotFound
from reprolock.lake.lakefs.lake import LakeFSLake
from reprolock.lake.open import open_lake
from reprolock.model.spec import DatasetSpec
from reprolock.steps.locking.availability import check_pins
from reprolock.steps.locking.datasets import resolve_datasets

pytestmark = pytest.mark.live


@pytest.fixture
def lake(lakefs: services.LakeFS, tmp_path: Path) -> Iterator[LakeFSLake]:
    opened = open_lake(None, tmp_path, lakefs.lakectl, tmp_path)
    assert isinstance(opened, LakeFSLake)
    yield opened
    opened.close()


@pytest.mark.parametrize(("glob", "most"), [(None, 2), ("*-9.csv", 13)])
def test_one_object_and_no_listing(
    lake: LakeFSLake, monkeypatch: pytest.MonkeyPatch, glob: str | None, most: int
) -> None:
    repository = f"pins-{secrets.token_hex(4)}"
    lake.create_repository(repository, storage=f"s3://lake/{repository}")
    for number in range(30):
        lake.put(repository, "main", f"train/{number:02d}-{number % 10}.csv", io.BytesIO(b"x\n1\n"))
    lake.commit(repository, "main", "Put")
    pins = resolve_datasets(
        lake, {"train": DatasetSpec(uri=f"lakefs://{repository}/main/train/", format="csv", glob=glob)}
    )
    entries = 0
    ask = lake._transport.ask

    def noted(method: str, place: Sequence[str], query: Mapping[str, Any] | None = None, *more: Any) -> Any:
        nonlocal entries
        entries += (query or {}).get("amount", 0) if place[-1] == "ls" else 0
        return ask(method, place, query, *more)

    monkeypatch.setattr(lake._transport, "ask", noted)
    check_pins(lake, pins)
    assert entries <= most


def test_data_that_was_put_and_not_committed(lake: LakeFSLake) -> None:
    repository = f"pins-{secrets.token_hex(4)}"
    lake.create_repository(repository, storage=f"s3://lake/{repository}")
    lake.put(repository, "main", "homes/a.csv", io.BytesIO(b"x\n1\n"))
    branch, head = f"lakefs://{repository}/main", lake.resolve(repository, "main").id
    commit = f"commit what is staged there first: `reprolock data commit {branch} -m MESSAGE`"
    look = f"see what is there with `reprolock data ls -r lakefs://{repository}/%s/`"
    for ref, path, hint in (("main", "homes", commit), ("main", "home", look % "main"), (head, "homes", look % head)):
        uri = f"lakefs://{repository}/{ref}/{path}/"
        with pytest.raises(NotFound) as missing:
            resolve_datasets(lake, {"homes": DatasetSpec(uri=uri, format="csv")})
        assert (missing.value.message, missing.value.hint) == (
            f"datasets.homes.uri: nothing is at {uri} (commit {head[:12]})",
            hint,
        )
