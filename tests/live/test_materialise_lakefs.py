"""Trees out of a real lakeFS on a real MinIO: straight from the store, through lakeFS, and with servers that fail in the middle.

The servers are the module's own, for they are killed.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import services
from boto3.s3.transfer import TransferConfig
from lake_project import Repository

from reprolock.errors import PinError, ServiceError
from reprolock.files.object_cache import STAMP, ObjectCache
from reprolock.lake.lakefs.credentials import Credentials
from reprolock.lake.lakefs.lake import LakeFSLake
from reprolock.lake.lakefs.transport import Patience
from reprolock.model.uri import LakeURI
from reprolock.model.workspace import Copied
from reprolock.steps.data.get import get
from reprolock.steps.inputs.materialise import make_tree

pytestmark = pytest.mark.live

FILES = {
    "train/a b.csv": b"x\n1\n",
    "train/ümläut/%25+.csv": b"x\n2\n",
    "train/.dot": b"d",
    "train/empty": b"",
    "training/no.csv": b"not this",
}


def lakefs_on(storage: services.MinIO, folder: Path, **settings: str) -> services.LakeFS:
    """A lakeFS with settings of its blockstore changed."""
    own = services.start_lakefs(folder, storage)
    if settings:
        own.server.stop()
        own.server.environ.update({f"LAKEFS_BLOCKSTORE_S3_{name}": value for name, value in settings.items()})
        own.server.start()
    return own


@pytest.fixture(scope="module")
def server(
    lakefs: services.LakeFS, storage: services.MinIO, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[services.LakeFS]:
    own = lakefs_on(storage, tmp_path_factory.mktemp("lakefs-materialise"))
    yield own
    own.server.stop()


ODD_PARTS = TransferConfig(multipart_chunksize=9 * 2**20)
"""Parts of a size that no program uses: whose checksum can be told by who made it alone."""


class Counting(LakeFSLake):
    """A lakeFS that counts what is read through it."""

    opened = 0

    def open(self, repository: str, ref: str, path: str) -> BinaryIO:
        self.opened += 1
        return super().open(repository, ref, path)


def connect(server: services.LakeFS, patience: Patience = Patience()) -> Counting:
    return Counting(Credentials(server.endpoint, server.access_key_id, server.secret_access_key), patience=patience)


def filled(server: services.LakeFS, name: str, root: Path, files: Mapping[str, bytes]) -> Repository:
    made = Repository(connect(server), name, root, storage="s3://lake/")
    made.commit_files(files)
    return made


def repository_of(request: pytest.FixtureRequest) -> str:
    name = request.node.name.removeprefix("test_").replace("_", "-")
    return f"{name[:50]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


@pytest.fixture
def repository(server: services.LakeFS, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Repository]:
    made = filled(server, repository_of(request), tmp_path, FILES)
    yield made
    made.lake.close()


def s3(storage: services.MinIO) -> Any:
    """The bucket itself, behind lakeFS's back."""
    return services.s3(storage.endpoint, storage.access_key, storage.secret_key)


def key_of(storage: services.MinIO, repository: str, data: bytes) -> str:
    """Under which name MinIO keeps an object of a repository."""
    etag = hashlib.md5(data).hexdigest()
    listed = s3(storage).list_objects_v2(Bucket="lake", Prefix=f"{repository}/data/")["Contents"]
    return next(item["Key"] for item in listed if item["ETag"].strip('"') == etag)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def below(folder: str, of: Mapping[str, bytes] = FILES) -> dict[str, bytes]:
    return {path.removeprefix(folder): data for path, data in of.items() if path.startswith(folder)}


def many(count: int, size: int = 100) -> dict[str, bytes]:
    return {f"train/{number:04d}": b"%d " % number * size for number in range(count)}


def test_straight_from_the_store(repository: Repository) -> None:
    made = repository.make(repository.pin())
    assert files(made.path) == below("train/")
    assert made[1:] == (4, 9, 4, 9, Copied(whole=True))
    assert repository.lake.opened == 0


def test_data_get_goes_the_same_way(repository: Repository) -> None:
    """Straight from the store at the head; through the branch what is staged on it; from the cache what came before."""
    uri = LakeURI(repository.name, "main", "train/")
    first = get(repository.lake, uri, repository.root / "first", repository.cache)
    assert first[1:] == (repository.pin().commit, 4, 9, 4, 9, 0)
    assert files(repository.root / "first") == below("train/")
    repository.lake.put(repository.name, "main", "train/new", io.BytesIO(b"new"))
    second = get(repository.lake, uri, repository.root / "second", repository.cache)
    assert second[1:] == ("main", 5, 12, 1, 3, 0)
    assert files(repository.root / "second") == below("train/") | {"new": b"new"}
    assert repository.make(repository.pin()).fetched == 0
    assert repository.lake.opened == 0


def test_only_what_is_missing_is_fetched_and_nothing_is_asked_the_second_time(repository: Repository) -> None:
    pin = repository.pin()
    repository.make(pin)
    repository.lake.put(repository.name, "main", "train/new", io.BytesIO(b"new"))
    repository.lake.commit(repository.name, "main", "new")
    assert repository.make(repository.pin()).fetched == 1
    repository.lake = Counting(Credentials("http://127.0.0.1:9", "AKIAJ000000000000000", "nobody"))
    assert repository.make(pin, "elsewhere").fetched == 0


def test_few_of_many_that_lie_far_apart(
    server: services.LakeFS, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    all_of_them = many(300)
    repository = filled(server, repository_of(request), tmp_path, all_of_them)
    pin = repository.pin()
    path = repository.make(pin).path
    for number in range(0, 300, 30):
        path.joinpath(f"{number:04d}").chmod(0o644)
        path.joinpath(f"{number:04d}").write_bytes(b"damaged")
    made = repository.make(pin)
    assert made.fetched == 10
    assert files(path) == below("train/", all_of_them)


def test_addresses_and_keys_are_kept_nowhere(
    repository: Repository, server: services.LakeFS, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    repository.make(repository.pin())
    secret = server.secret_access_key
    assert "X-Amz" not in caplog.text and secret not in caplog.text
    for path in repository.root.rglob("*"):
        if path.is_file():
            assert b"X-Amz" not in path.read_bytes() and secret.encode() not in path.read_bytes()


def test_through_lakefs_where_it_signs_no_addresses(
    repository: Repository, storage: services.MinIO, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = lakefs_on(storage, tmp_path_factory.mktemp("lakefs"), DISABLE_PRE_SIGNED="true")
    try:
        other = filled(own, "unsigned", tmp_path_factory.mktemp("unsigned"), FILES)
        made = other.make(other.pin())
        assert files(made.path) == below("train/")
        assert made[1:] == (4, 9, 4, 9, Copied(whole=True))
        other.lake.close()
    finally:
        own.server.stop()


def test_through_lakefs_where_the_store_cannot_be_reached(
    repository: Repository, storage: services.MinIO, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        own = lakefs_on(storage, tmp_path_factory.mktemp("lakefs"), PRE_SIGNED_ENDPOINT=nobody)
        try:
            other = filled(own, "out-of-reach", tmp_path_factory.mktemp("out-of-reach"), many(50))
            made = other.make(other.pin())
            assert files(made.path) == below("train/", many(50))
            assert other.lake.opened == 50
            other.lake.close()
        finally:
            own.server.stop()


def test_a_checksum_of_parts_is_counted_apart(repository: Repository, server: services.LakeFS) -> None:
    data = os.urandom(11 * 2**20)
    gateway = services.s3(server.endpoint, server.access_key_id, server.secret_access_key)
    for name in ("parts", "twin"):  # equal checksums: equal bytes, which come once
        gateway.upload_fileobj(io.BytesIO(data), repository.name, f"main/train/{name}", Config=ODD_PARTS)
    gateway.upload_fileobj(io.BytesIO(data[::-1]), repository.name, "main/train/usual parts")  # the checksum tells
    repository.lake.commit(repository.name, "main", "parts")
    pin = repository.pin()
    made = repository.make(pin)
    assert (made.objects, made.fetched, len(made.copied.sha256)) == (7, 6, 2)
    assert (made.path / "parts").read_bytes() == (made.path / "twin").read_bytes() == data
    odd = {f"train/{name}": hashlib.sha256(data).hexdigest() for name in ("parts", "twin")}
    assert made.copied == Copied(True, odd)
    assert repository.make(pin).copied == Copied(True, odd)  # where the tree stands already, too
    assert repository.make(pin, "elsewhere")[3:] == (0, 0, Copied(True, odd))
    # Hashed again by what it was when it came: after a touch, and whenever a replay takes it.
    os.utime(made.path / "parts")
    nobody = make_tree(None, pin, repository.cache, repository.root / "offline")
    assert (nobody.fetched, len(nobody.copied.sha256)) == (0, 2)
    hashing = ObjectCache(repository.cache.folder, hashing=True)
    assert make_tree(repository.lake, pin, hashing, repository.root / "replay")[3:] == (0, 0, Copied(True, odd))
    (made.path / "parts").chmod(0o644)
    (made.path / "parts").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(made.path / "parts", ns=(STAMP, STAMP))
    hashing = ObjectCache(repository.cache.folder, hashing=True)
    again = make_tree(repository.lake, pin, hashing, repository.root / "replay again")
    assert (again.fetched, len(again.copied.sha256)) == (1, 2)
    assert (again.path / "parts").read_bytes() == (again.path / "twin").read_bytes() == data


def test_an_object_whose_bytes_are_gone(repository: Repository, storage: services.MinIO) -> None:
    pin = repository.pin()
    s3(storage).delete_object(Bucket="lake", Key=key_of(storage, repository.name, b"x\n1\n"))
    with pytest.raises(PinError) as error:
        repository.make(pin)
    assert error.value.message == (
        f"{pin.resolved}a b.csv is gone: the commit names it, but the lake no longer has its bytes"
    )
    assert error.value.exit_code == 4
    assert files(repository.root / "data") == {}


def test_an_object_that_somebody_overwrote(repository: Repository, storage: services.MinIO) -> None:
    pin = repository.pin()
    s3(storage).put_object(Bucket="lake", Key=key_of(storage, repository.name, b"x\n1\n"), Body=b"x\n7\n")
    with pytest.raises(PinError) as error:
        repository.make(pin)
    assert error.value.message == (
        f"{pin.resolved}a b.csv is damaged: its bytes do not have the checksum that the commit names"
    )
    assert not any(path.read_bytes() == b"x\n7\n" for path in (repository.cache.folder / "objects").glob("*/*"))


class At:
    """Does something once, when so many objects have come."""

    def __init__(self, objects: int, do: Callable[[], object]) -> None:
        self.left = objects
        self.do = do

    def expect(self, objects: int, bytes: int) -> None:
        pass

    def advance(self, objects: int, bytes: int) -> None:
        before, self.left = self.left, self.left - objects
        if before > 0 >= self.left:
            self.do()


def restart(server: services.Server, timers: list[threading.Timer]) -> None:
    """Kill it now; it is back a second later."""
    server.stop(signal.SIGKILL)
    timers.append(threading.Timer(1, server.start))
    timers[-1].start()


@pytest.mark.parametrize("which", ["lakefs", "minio"])
def test_a_restart_in_the_middle(
    server: services.LakeFS, storage: services.MinIO, tmp_path: Path, request: pytest.FixtureRequest, which: str
) -> None:
    name = f"restart-{which}"
    all_of_them = many(600, 5000)
    repository = filled(server, name, tmp_path, all_of_them)
    pin, timers = repository.pin(), []
    killed = server.server if which == "lakefs" else storage.server
    try:
        made = repository.make(pin, progress=At(100, lambda: restart(killed, timers)))
    finally:
        for timer in timers:
            timer.join()
    assert timers
    assert files(made.path) == below("train/", all_of_them)
    assert made.fetched == 600


def test_an_end_in_the_middle_and_a_second_go(
    server: services.LakeFS, storage: services.MinIO, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    all_of_them = many(600, 5000)
    repository = filled(server, "end-in-the-middle", tmp_path, all_of_them)
    pin = repository.pin()
    repository.lake = connect(server, Patience(pause=0.01))

    def end() -> None:
        storage.server.stop(signal.SIGKILL)
        server.server.stop(signal.SIGKILL)

    try:
        with pytest.raises(ServiceError) as error:
            repository.make(pin, progress=At(100, end))
    finally:
        storage.server.start()
        server.server.start()
    assert error.value.message.startswith(f"no answer from lakeFS at {server.endpoint} (LAKECTL_SERVER_ENDPOINT_URL)")
    assert "X-Amz" not in repr(error.value) and error.value.exit_code == 5
    assert files(repository.root / "data") == {}
    kept = [path for path in (repository.cache.folder / "objects").glob("*/*") if "-" in path.name]
    assert kept
    for path in kept:
        data = path.read_bytes()
        assert f"{hashlib.md5(data).hexdigest()}-{len(data)}" == path.parent.name + path.name
    # What came is in the cache, for whoever asks next.
    done = get(repository.lake, LakeURI(repository.name, pin.commit, "train/"), tmp_path / "got", repository.cache)
    assert 0 < done.fetched <= 500
    assert files(tmp_path / "got") == below("train/", all_of_them)
    made = repository.make(pin)
    assert files(made.path) == below("train/", all_of_them)
    assert made.fetched == 0
