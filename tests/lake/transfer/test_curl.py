"""Reading signed addresses of a real MinIO: the bytes, or Unreadable; never a word of the address."""

from __future__ import annotations

import hashlib
import logging
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import services
from certificates import self_signed

from reprolock.lake.transfer.addresses import Address
from reprolock.lake.transfer.curl import Downloads, Store, Unreadable


@pytest.fixture(scope="module")
def s3(object_store: services.ObjectStore) -> Any:
    client = services.s3(object_store.endpoint, object_store.access_key, object_store.secret_key)
    client.put_object(Bucket="lake", Key="a b/ü%.csv", Body=b"bytes" * 100_000)
    client.put_object(Bucket="lake", Key="empty", Body=b"")
    return client


def signed(s3: Any, key: str) -> Address:
    return Address(key, s3.generate_presigned_url("get_object", {"Bucket": "lake", "Key": key}))


class Read:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.said: tuple[str, bool] | None = None
        self.data = b""

    def began(self, etag: str, encrypted: bool) -> None:
        self.said = (etag, encrypted)

    def write(self, data: bytes) -> None:
        self.data += data


class Refusing(Read):
    """Wants no bytes."""

    def write(self, data: bytes) -> None:
        raise KeyboardInterrupt


def read(
    *addresses: Address, store: Store | None = None, most: int = 4, reader: type[Read] = Read
) -> list[tuple[Read, BaseException | None]]:
    """All of them to their ends, by the order of the addresses."""
    downloads: Downloads[Read] = Downloads(most, store or Store())
    left, readers, errors = list(addresses), [], {}
    while left or downloads.busy:
        while left and not downloads.full:
            readers.append(reader())
            try:
                downloads.start(left.pop(0), readers[-1])
            except Unreadable as error:
                errors[readers[-1]] = error
        errors |= dict(downloads.turn(1))
    assert downloads.close() == []
    return [(one, errors[one]) for one in readers]


def fails(*addresses: Address, store: Store | None = None) -> bool:
    """Whether each ends as unreadable, which says nothing."""
    errors = [error for _, error in read(*addresses, store=store)]
    assert all(repr(error) == "Unreadable()" and error.__cause__ is None for error in errors if error)
    return all(isinstance(error, Unreadable) for error in errors)


@pytest.mark.parametrize("most", [1, 2, 8])
def test_the_bytes(s3: Any, most: int) -> None:
    large, store = b"bytes" * 100_000, Store()
    keys = [("a b/ü%.csv", large), ("empty", b"")] * 6
    for (_, data), (found, error) in zip(
        keys, read(*(signed(s3, key) for key, _ in keys), store=store, most=most), strict=True
    ):
        assert (found.data, found.said, error) == (data, (hashlib.md5(data).hexdigest(), False), None)
    assert store.gives


def test_after_a_download_that_was_refused_comes_the_right_next_one(s3: Any) -> None:
    store = Store()
    downloads: Downloads[Read] = Downloads(1, store)
    for one, key in ((Refusing(), "a b/ü%.csv"), (Read(), "empty"), (Read(), "a b/ü%.csv")):
        downloads.start(signed(s3, key), one)
        assert downloads.full
        while not (ended := downloads.turn(1)):
            pass
        ((found, error),) = ended
        assert found is one
        if isinstance(one, Refusing):
            assert isinstance(error, KeyboardInterrupt)
        else:
            assert (error, one.data) == (None, b"" if key == "empty" else b"bytes" * 100_000)
    downloads.close()


def test_what_is_on_its_way_at_the_end_is_named(s3: Any) -> None:
    downloads: Downloads[Read] = Downloads(2, Store())
    one = Read()
    downloads.start(signed(s3, "a b/ü%.csv"), one)
    assert downloads.close() == [one]


def test_a_wrong_signature_says_nothing(
    s3: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    good = signed(s3, "empty")
    caplog.set_level(logging.DEBUG)
    bad = Address(good.path, good.url.replace("Signature=", "Signature=0"))
    assert fails(bad)
    assert "Signature" not in caplog.text + "".join(capfd.readouterr())
    assert "Signature" not in repr(bad) and repr(bad) == "Address(path='empty')"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:9/\n?q",
        "nonsense",
        "http://127.0.0.1:9/\0",
        "http://[",
        "http://ü\0/",
        "http://\ud800/",
    ],
)
def test_what_is_no_address(url: str) -> None:
    assert fails(Address("x", url))


def test_a_field_that_looks_like_a_status(s3: Any) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nHTTP/x: y\r\nContent-Length: 4\r\n\r\ngood") as address:
        ((found, error),) = read(address)
    assert (found.data, error) == (b"good", None)


def test_what_stands_behind_a_chunked_answer_is_no_answer(s3: Any) -> None:
    chunked = b"Transfer-Encoding: chunked\r\nTrailer: X-Time\r\n\r\n4\r\ngood\r\n0\r\nX-Time: 200 ms\r\n\r\n"
    with answering(b'HTTP/1.1 200 OK\r\nETag: "e"\r\n' + chunked) as address:
        ((found, error),) = read(address)
        assert (found.data, found.said, error) == (b"good", ("e", False), None)
    with answering(b"HTTP/1.1 404 Not Found\r\n" + chunked) as address:
        assert fails(address)


def test_an_answer_of_another_kind_is_none(s3: Any) -> None:
    with answering(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 4\r\n\r\nmove") as address:
        assert fails(address)
    with answering(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n\r\npart") as address:
        assert fails(address)
    with answering(
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 4\r\n\r\ngood'
    ) as address:
        ((found, error),) = read(address)
        assert (found.data, found.said, error) == (b"good", ("e", False), None)


@pytest.mark.parametrize(
    ("field", "encrypted"),
    [
        (b"x-amz-server-side-encryption: AES256", False),
        (b"X-Amz-Server-Side-Encryption: aws:kms", True),
        (b"x-amz-server-side-encryption-customer-algorithm: AES256", True),
    ],
)
def test_a_store_that_encrypts(field: bytes, encrypted: bool) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nETag: e\r\n" + field + b"\r\nContent-Length: 0\r\n\r\n") as address:
        ((found, error),) = read(address)
    assert (found.said, error) == (("e", encrypted), None)


def test_a_store_that_gives_nothing_any_more_is_left_alone(s3: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = Address("x", f"http://127.0.0.1:{closed.getsockname()[1]}/x")
        store = Store()
        for _ in range(15):
            assert fails(nobody, store=store)
        assert store.gives
        read(signed(s3, "empty"), store=store)  # one that gives something has another chance
        for _ in range(16):
            assert store.gives
            assert fails(nobody, store=store)
    assert not store.gives


@contextmanager
def answering(*answers: bytes, after: float = 0) -> Iterator[Address]:
    """A server that gives these answers, one a connection, whatever it is asked."""

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            asked.append(connection.recv(4096))
            time.sleep(after)
            connection.sendall(answer)
            connection.close()

    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield Address("x", f"http://127.0.0.1:{listener.getsockname()[1]}/x/../y?q")
        thread.join()
    assert all(b"/x/../y?q HTTP/1.1" in one for one in asked)


def test_an_answer_that_ends_early_is_not_taken_for_whole() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this") as address:
        assert fails(address)
    with answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n") as address:
        assert fails(address)
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 200_000) as address:
        assert fails(address)


def test_the_way_is_the_one_that_the_lake_itself_is_asked_by(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment, but none to loopback, nor to what no_proxy names with its port: keys go this way."""
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nproxy") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/x/../y?q"))
        ((found, error),) = read(Address("x", "http://elsewhere.example/x/../y?q"))
    assert (found.data, error) == (b"proxy", None)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    ((found, error),) = read(signed(s3, "empty"))
    assert (found.data, error) == (b"", None)
    own = "lake.localhost"  # which curl itself takes for this machine
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setenv("no_proxy", f"{own}:{port}")
        asked: list[bytes] = []

        def serve() -> None:
            connection, _ = listener.accept()
            asked.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        ((_, error),) = read(Address("x", f"http://{own}:{port}/x", {"Authorization": "Basic c2VjcmV0"}))
        thread.join()
    assert error is None and asked[0].startswith(b"GET /x HTTP/1.1")


def test_more_files_open_than_select_can_number(tmp_path: Path) -> None:
    """Waiting takes no processor time even then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("this machine lets no process open 2,000 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1500)]
    try:
        with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate", after=1.5) as address:
            before = time.process_time()
            ((found, error),) = read(address)
            spent = time.process_time() - before
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (found.data, error) == (b"late", None)
    assert spent < 1


def test_a_certificate_is_believed_when_its_authority_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zertifikäte").mkdir()
    certificate, context = self_signed(tmp_path / "zertifikäte")

    def serve() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(4096)
                    secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsafe")
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("x", f"https://localhost:{listener.getsockname()[1]}/x")
        thread = threading.Thread(target=serve)
        thread.start()
        assert fails(address)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        ((found, error),) = read(address)
        thread.join()
    assert (found.data, error) == (b"safe", None)


def test_keys_go_with_their_own_address_alone() -> None:
    asked: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        for _ in range(2):
            asked.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        thread = threading.Thread(target=serve)
        thread.start()
        read(Address("x", url, {"Authorization": "Basic c2VjcmV0"}), Address("x", url), most=1)
        thread.join()
    assert [b"Authorization: Basic c2VjcmV0\r\n" in one for one in asked] == [True, False]
