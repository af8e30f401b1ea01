"""What a checksum says about bytes, and what it does not."""

from __future__ import annotations

import hashlib
import io

import pytest

from reprolock.lake.checksum import Checked, Mismatch, verifiable
from reprolock.lake.protocol import Object

DATA = b"some bytes"
GIT = hashlib.sha1(b"blob 10\0" + DATA).hexdigest()
SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()


def read(data: bytes, scheme: str, checksum: str, size: int = 10, *, opaque: bool = False) -> bool:
    """Read to the end in small pieces; whether the bytes were held against the checksum."""
    checked = Checked(io.BytesIO(data), scheme, Object("a", size, checksum), opaque=opaque)
    buffer = memoryview(bytearray(3))
    while checked.readinto(buffer):
        pass
    return checked.verified


@pytest.mark.parametrize(
    ("scheme", "checksum", "way"),
    [
        ("git-sha1-1", GIT, "git"),
        ("git-sha1-1", SHA256, "sha256"),
        ("lakefs-etag-1", MD5, "md5"),
        ("lakefs-etag-1", MD5 + "-2", None),
        ("lakefs-etag-1", "0x8DCA1B2C3D4E5F6", None),
        ("lakefs-etag-1", GIT, None),
        ("something-else-1", MD5, None),
    ],
)
def test_which_checksums_can_be_computed(scheme: str, checksum: str, way: str | None) -> None:
    assert verifiable(scheme, checksum) == way
    assert read(DATA, scheme, checksum) is (way is not None)


@pytest.mark.parametrize(
    ("scheme", "checksum"), [("git-sha1-1", GIT), ("git-sha1-1", SHA256), ("lakefs-etag-1", MD5)], ids=["git", "sha256", "md5"]
)
def test_other_bytes_of_the_same_length(scheme: str, checksum: str) -> None:
    with pytest.raises(Mismatch):
        read(b"some bytez", scheme, checksum)


@pytest.mark.parametrize("data", [b"", b"some byte", b"some bytes!"])
def test_a_size_is_checked_whatever_the_checksum(data: bytes) -> None:
    with pytest.raises(Mismatch):
        read(data, "lakefs-etag-1", "0x8DCA1B2C3D4E5F6")


def test_an_encrypting_store_s_checksum_is_none_over_the_bytes() -> None:
    assert read(b"some bytez", "lakefs-etag-1", MD5, opaque=True) is False
    with pytest.raises(Mismatch):
        read(b"some byte", "lakefs-etag-1", MD5, opaque=True)
