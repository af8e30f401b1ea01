"""Reading signed addresses of a real MinIO: the bytes, or Unreadable; never a word of the address."""

from __future__ import annotations

import hashlib
import logging
import socket
import threading
from typing import Any

import boto3
import pytest
import services
from botocore.config import Config

from reprolock.lake.addresses import Address, ObjectStore, Unreadable, just_before
from reprolock.lake.checksum import Stream


@pytest.fixture(scope="module")
def s3(minio: services.MinIO) -> Any:
    client = boto3.client(
        "s3",
        endpoint_url=minio.endpoint,
        aws_access_key_id=minio.access_key,
        aws_secret_access_key=minio.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.put_object(Bucket="lake", Key="a b/ü%.csv", Body=b"bytes" * 100_000)
    client.put_object(Bucket="lake", Key="empty", Body=b"")
    return client


def signed(s3: Any, key: str) -> Address:
    return Address(key, s3.generate_presigned_url("get_object", {"Bucket": "lake", "Key": key}))


def read(stream: Stream) -> bytes:
    data, buffer = b"", memoryview(bytearray(70_000))
    while count := stream.readinto(buffer):
        data += buffer[:count]
    return data


def test_the_bytes_over_one_connection(s3: Any) -> None:
    store = ObjectStore()
    for key, data in (("a b/ü%.csv", b"bytes" * 100_000), ("empty", b""), ("a b/ü%.csv", b"bytes" * 100_000)):
        with store.opened(signed(s3, key)) as arrival:
            assert read(arrival.stream) == data
            assert arrival.etag == hashlib.md5(data).hexdigest()
            assert arrival.encrypted is False
    assert store.gives


def test_after_half_an_answer_comes_the_right_next_one(s3: Any) -> None:
    store = ObjectStore()
    with store.opened(signed(s3, "a b/ü%.csv")) as arrival:
        arrival.stream.readinto(memoryview(bytearray(10)))
    with store.opened(signed(s3, "empty")) as arrival:
        assert read(arrival.stream) == b""


def test_a_wrong_signature_says_nothing(s3: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    good = signed(s3, "empty")
    bad = Address(good.path, good.url.replace("Signature=", "Signature=0"))
    store = ObjectStore()
    with pytest.raises(Unreadable) as error, store.opened(bad):
        raise AssertionError("it was opened")
    assert error.value.args == ()
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
    assert "Signature" not in caplog.text
    assert "Signature" not in repr(bad) and repr(bad) == "Address(path='empty')"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://", "http://127.0.0.1:99999/x", "http://127.0.0.1/\n?q", "nonsense"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(Unreadable), ObjectStore().opened(Address("x", url)):
        raise AssertionError("it was opened")


def test_a_store_that_gives_nothing_is_left_alone(s3: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = Address("x", f"http://127.0.0.1:{closed.getsockname()[1]}/x")
        store, lucky = ObjectStore(), ObjectStore()
        with lucky.opened(signed(s3, "empty")) as arrival:
            read(arrival.stream)
        for _ in range(16):
            assert store.gives
            for one in (store, lucky):
                with pytest.raises(Unreadable), one.opened(nobody):
                    raise AssertionError("it was opened")
    assert not store.gives
    assert lucky.gives


def test_an_answer_that_ends_early_is_not_taken_for_whole() -> None:
    def cut(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=cut, args=(listener,))
        thread.start()
        address = Address("x", f"http://127.0.0.1:{listener.getsockname()[1]}/x")
        with pytest.raises(Unreadable), ObjectStore().opened(address) as arrival:
            read(arrival.stream)
        thread.join()


def test_a_proxy_is_left_to_the_lake(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(Unreadable), ObjectStore().opened(signed(s3, "empty")):
        raise AssertionError("it was opened")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ObjectStore().opened(signed(s3, "empty")) as arrival:
        assert read(arrival.stream) == b""


@pytest.mark.parametrize("path", ["a", "train/b", "a/\x01", "x/\ue000", "é"])
def test_just_before(path: str) -> None:
    before = just_before(path)
    assert before.encode() < path.encode()
    assert before > path[:-1]


def test_what_is_shown_of_an_address_is_its_path() -> None:
    assert str(Address("a", "http://secret", {"Authorization": "Basic secret"})) == "Address(path='a')"
