"""A real lakeFS that fails: killed and restarted in the middle of things, its storage down, uploads cut off."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import services

from reprolock.errors import MachineError, ServiceError, UsageError
from reprolock.lake.lakefs.credentials import Credentials
from reprolock.lake.lakefs.lake import LakeFSLake
from reprolock.lake.lakefs.transport import Patience

HASTE = Patience(pause=0.01)

pytestmark = pytest.mark.live


def open_lake(server: services.LakeFS, patience: Patience = Patience(), page: int = 1000) -> LakeFSLake:
    return LakeFSLake(
        Credentials(server.endpoint, server.access_key_id, server.secret_access_key), patience=patience, page=page
    )


@pytest.fixture
def lake(server: services.LakeFS) -> Iterator[LakeFSLake]:
    opened = open_lake(server)
    yield opened
    opened.close()


@pytest.fixture
def repository(lake: LakeFSLake, request: pytest.FixtureRequest) -> str:
    name = request.node.name.removeprefix("test_").replace("_", "-")
    lake.create_repository(name, storage="s3://lake/")
    return name


@contextmanager
def down(server: services.Server) -> Iterator[None]:
    """A server that is not there during the block."""
    server.stop(signal.SIGKILL)
    try:
        yield
    finally:
        server.start()


def fill(lake: LakeFSLake, repository: str, count: int) -> str:
    for number in range(count):
        lake.put(repository, "main", f"data/{number:02d}", io.BytesIO(b"%d" % number))
    return lake.commit(repository, "main", "data").id


def test_a_restart_in_the_middle_of_a_listing(lake: LakeFSLake, server: services.LakeFS, repository: str) -> None:
    head = fill(lake, repository, 20)
    expected = list(lake.list(repository, head))
    listing = open_lake(server, page=4).list(repository, head)
    begun = [next(listing) for _ in range(3)]
    with services.killed(server.server, back_after=0.5):
        assert begun + list(listing) == expected


def test_an_end_in_the_middle_of_a_listing(lake: LakeFSLake, server: services.LakeFS, repository: str) -> None:
    head = fill(lake, repository, 20)
    listing = open_lake(server, HASTE, page=4).list(repository, head)
    next(listing)
    with down(server.server), pytest.raises(ServiceError) as caught:
        list(listing)
    assert caught.value.message == (
        f"no answer from lakeFS at {server.endpoint} (LAKECTL_SERVER_ENDPOINT_URL) after 3 tries in 0 s"
    )


def test_a_restart_in_the_middle_of_a_read(lake: LakeFSLake, server: services.LakeFS, repository: str) -> None:
    data = bytes(range(256)) * (64 << 12)  # 64 MiB: more than lies in buffers on the way
    lake.put(repository, "main", "large", io.BytesIO(data))
    head = lake.commit(repository, "main", "large").id
    with lake.open(repository, head, "large") as stream:
        begun = stream.read(1000)
        with services.killed(server.server, back_after=0.5):
            assert begun + stream.read() == data


def test_an_object_that_changed_while_it_was_read(lake: LakeFSLake, server: services.LakeFS, repository: str) -> None:
    lake.put(repository, "main", "large", io.BytesIO(b"a" * (64 << 20)))
    with lake.open(repository, "main", "large") as stream:
        stream.read(1000)
        lake.put(repository, "main", "large", io.BytesIO(b"b" * (64 << 20)))
        with services.killed(server.server, back_after=0.5), pytest.raises(ServiceError) as caught:
            stream.read()
    assert caught.value.message == (f"the connection to {server.endpoint} broke, and the object has changed meanwhile")


def test_a_restart_of_the_storage_behind_lakefs(
    lake: LakeFSLake, storage: services.MinIO, repository: str, tmp_path: Path
) -> None:
    head = fill(lake, repository, 1)
    with services.killed(storage.server, back_after=0.5), lake.open(repository, head, "data/00") as stream:
        assert stream.read() == b"0"
    with services.killed(storage.server, back_after=0.5):
        assert lake.put(repository, "main", "more", io.BytesIO(b"1")).size == 1


class CutOff(io.RawIOBase):
    """A stream that breaks off after a megabyte."""

    left = 1 << 20

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        if not self.left:
            raise OSError("the connection is gone")
        count = min(len(buffer), self.left)
        self.left -= count
        return count


def test_an_upload_that_is_cut_off_stages_nothing(lake: LakeFSLake, repository: str) -> None:
    with pytest.raises(MachineError) as caught:
        lake.put(repository, "main", "half", CutOff())
    assert caught.value.message == (
        f"what is put at lakefs://{repository}/main/half cannot be read to its end: the connection is gone"
    )
    assert not lake.uncommitted(repository, "main")
    lake.put(repository, "main", "whole", io.BytesIO(b"1"))
    assert [found.path for found in lake.list(repository, "main")] == ["whole"]


def test_an_end_in_the_middle_of_an_upload(server: services.LakeFS, lake: LakeFSLake, repository: str) -> None:
    class Killing(CutOff):
        def readinto(self, buffer: bytearray) -> int:
            if not self.left:
                server.server.stop(signal.SIGKILL)
                self.left = 64 << 20
            return super().readinto(buffer)

    try:
        with pytest.raises(ServiceError) as caught:
            lake.put(repository, "main", "half", Killing())
    finally:
        server.server.start()
    assert caught.value.message.startswith(f"no answer from lakeFS at {server.endpoint} (LAKECTL_SERVER_ENDPOINT_URL)")
    assert not lake.uncommitted(repository, "main")


def test_a_file_upload_outlives_a_restart(
    server: services.LakeFS, lake: LakeFSLake, repository: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 1000)
    with services.killed(server.server, back_after=0.5):
        assert lake.put(repository, "main", "file", file).size == 1000


def test_a_file_that_becomes_shorter_is_not_put(lake: LakeFSLake, repository: str, tmp_path: Path) -> None:
    from reprolock.lake.upload_sources import open_source

    file = tmp_path / "file"
    file.write_bytes(b"x" * 1000)
    with open_source(file) as stream:
        file.write_bytes(b"x" * 10)
        with pytest.raises(UsageError) as caught:
            stream.read()
    assert caught.value.message == f"{file} became shorter while it was read"


def test_what_a_failure_leaves_of_many_files(lake: LakeFSLake, repository: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}" for number in range(100)]
    for file in files[:50]:
        file.touch()
    with pytest.raises(UsageError) as caught:
        list(lake.put_many(repository, "main", ((file.name, file) for file in files)))
    assert caught.value.message == f"{files[50]} does not exist"
    assert len(list(lake.list(repository, "main"))) >= 50
