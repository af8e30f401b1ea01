"""`verify` against a real lakeFS whose store loses and changes objects behind its back, and has some that nobody can verify."""

from __future__ import annotations

import hashlib
import io
import os
from typing import Any

import pytest
import services
from boto3.s3.transfer import TransferConfig
from test_run_on_lakefs import OnLakeFS, on_lakefs  # noqa: F401 - a fixture

pytestmark = pytest.mark.live

UPGRADE = "hint: restore what is pinned; `reprolock lock --upgrade` pins what is there now\n"


@pytest.fixture
def in_parts(on_lakefs: OnLakeFS) -> OnLakeFS:  # noqa: F811
    """A pinned dataset of two objects, one of which came in parts of a size that no program uses: its checksum is one of
    checksums that nothing tells from the bytes."""
    server = on_lakefs.server
    gateway = services.s3(server.endpoint, server.access_key_id, server.secret_access_key)
    odd = TransferConfig(multipart_threshold=1, multipart_chunksize=6 * 2**20 + 1)
    gateway.upload_fileobj(io.BytesIO(os.urandom(11 * 2**20)), on_lakefs.repository, "main/train/parts", Config=odd)
    on_lakefs.commit_id = on_lakefs.lake.commit(on_lakefs.repository, "main", "In parts").id
    return on_lakefs


def key_of(place: OnLakeFS, store: Any, data: bytes) -> str:
    """Under which name the store keeps an object."""
    listed = store.list_objects_v2(Bucket="lake", Prefix=f"{place.repository}/data/")["Contents"]
    return next(item["Key"] for item in listed if item["ETag"].strip('"') == hashlib.md5(data).hexdigest())


def test_what_is_there_what_cannot_be_told_and_what_is_not_there(
    in_parts: OnLakeFS, object_store: services.ObjectStore, cli
) -> None:
    assert cli("lock").code == 0
    at = in_parts.commit_id[:12]
    assert cli("verify") == (
        0,
        f"dataset  train  ok  listing of 2 at {at}\n",
        "",
    )  # what a checksum is of, lakeFS does not say
    assert cli("verify", "--deep") == (0, f"dataset  train  ok  read 2 at {at}  1 object unverifiable\n", "")
    store = services.s3(object_store.endpoint, object_store.access_key, object_store.secret_key)
    key, object_ = (
        key_of(in_parts, store, b"x\n1\n"),
        f"lakefs://{in_parts.repository}/{in_parts.commit_id}/train/a.csv",
    )
    store.put_object(Bucket="lake", Key=key, Body=b"x\n7\n")
    assert cli("verify").code == 0
    said = cli("verify", "--deep")
    changed = f"{object_} does not have the bytes that the listing names"
    assert said == (
        4,
        f"dataset  train  changed  {changed}  1 object unverifiable\n",
        f"error: dataset train: {changed}\n{UPGRADE}",
    )
    store.delete_object(Bucket="lake", Key=key)
    said = cli("verify", "--deep")
    gone = f"{object_} is gone: the commit names it, but the lake no longer has its bytes"
    assert said == (
        4,
        f"dataset  train  gone  {gone}  1 object unverifiable\n",
        f"error: dataset train: {gone}\n{UPGRADE}",
    )


def test_a_large_object_is_decided_by_its_bytes(on_lakefs: OnLakeFS, object_store: services.ObjectStore, cli) -> None:  # noqa: F811
    """One that came whole and one in boto3's parts; another one under the same name, of the same and of another size."""
    server, data = on_lakefs.server, os.urandom(11 * 2**20)
    whole = data[: 6 * 2**20]
    on_lakefs.lake.put(on_lakefs.repository, "main", "train/whole", io.BytesIO(whole))
    gateway = services.s3(server.endpoint, server.access_key_id, server.secret_access_key)
    gateway.upload_fileobj(io.BytesIO(data), on_lakefs.repository, "main/train/parts")
    at = on_lakefs.lake.commit(on_lakefs.repository, "main", "Large").id
    assert cli("lock").code == 0
    assert cli("verify", "--deep") == (0, f"dataset  train  ok  read 3 at {at[:12]}\n", "")
    store = services.s3(object_store.endpoint, object_store.access_key, object_store.secret_key)
    keys = {
        item["Size"]: item["Key"]
        for item in store.list_objects_v2(Bucket="lake", Prefix=f"{on_lakefs.repository}/data/")["Contents"]
    }
    other = bytes([whole[0] ^ 1])
    for name, key, good, bad in (
        ("whole", keys[len(whole)], whole, other + whole[1:]),
        ("whole", keys[len(whole)], whole, whole[:-1]),
        ("a.csv", keys[4], b"x\n1\n", b"x\n"),
        ("parts", keys[len(data)], data, other + data[1:]),
        ("parts", keys[len(data)], data, data[:-7]),
    ):
        store.put_object(Bucket="lake", Key=key, Body=bad)
        said = cli("verify", "--deep")
        assert (said.code, f"lakefs://{on_lakefs.repository}/{at}/train/{name}" in said.err) == (4, True), (name, said)
        if name != "parts":
            store.put_object(Bucket="lake", Key=key, Body=good)
