"""What a checksum says about bytes, and what it does not."""

from __future__ import annotations

import hashlib

import pytest

from reprolock.model.content import SMALLEST_PART, Check, Content, Meaning, Mismatch, meaning_of

DATA = b"some bytes"
GIT = hashlib.sha1(b"blob 10\0" + DATA).hexdigest()
SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()


def read(data: bytes, scheme: str, checksum: str, meaning: Meaning = "unknown", size: int = 10) -> bool:
    """All bytes in small pieces; whether they were checked against the checksum."""
    check = Check(Content(scheme, checksum, size), meaning)
    piece = max(3, size // 4)
    for start in range(0, len(data), piece):
        check.write(data[start : start + piece])
    return check.finish()


@pytest.mark.parametrize(
    ("scheme", "checksum", "way"),
    [
        ("git-sha1-1", GIT, "git"),
        ("git-sha1-1", SHA256, "sha256"),
        ("lakefs-etag-1", MD5, "md5"),
        ("lakefs-etag-1", MD5 + "-2", None),
        ("lakefs-etag-1", "0x8DCA1B2C3D4E5F6", None),
        ("lakefs-etag-1", GIT, None),
        ("lakefs-etag-1", MD5.upper(), None),
        ("something-else-1", MD5, None),
    ],
)
def test_which_checksums_can_be_computed(scheme: str, checksum: str, way: str | None) -> None:
    assert Content(scheme, checksum, 10).algorithm == way
    assert read(DATA, scheme, checksum) is (way is not None)


@pytest.mark.parametrize(
    ("scheme", "checksum"),
    [("git-sha1-1", GIT), ("git-sha1-1", SHA256), ("lakefs-etag-1", MD5)],
    ids=["git", "sha256", "md5"],
)
def test_other_bytes_of_the_same_length(scheme: str, checksum: str) -> None:
    with pytest.raises(Mismatch):
        read(b"some bytez", scheme, checksum)


@pytest.mark.parametrize("data", [b"", b"some byte", b"some bytes!"])
def test_a_size_is_checked_whatever_the_checksum(data: bytes) -> None:
    with pytest.raises(Mismatch):
        read(data, "lakefs-etag-1", "0x8DCA1B2C3D4E5F6")


def test_an_encrypting_store_s_checksum_is_none_over_the_bytes() -> None:
    assert read(b"some bytez", "lakefs-etag-1", MD5, "other") is False
    with pytest.raises(Mismatch):
        read(b"some byte", "lakefs-etag-1", MD5, "other")


@pytest.mark.parametrize(
    ("scheme", "checksum", "size", "meaning", "decides"),
    [
        ("git-sha1-1", GIT, SMALLEST_PART, "unknown", True),
        ("sha256", SHA256, SMALLEST_PART, "unknown", True),
        ("lakefs-etag-1", MD5, SMALLEST_PART, "bytes", True),
        ("lakefs-etag-1", MD5, SMALLEST_PART - 1, "unknown", True),
        ("lakefs-etag-1", MD5, SMALLEST_PART, "unknown", False),
        ("lakefs-etag-1", MD5, 1, "other", False),
        ("lakefs-etag-1", MD5 + "-2", 1, "bytes", False),
    ],
)
def test_whether_the_answer_can_be_no_answer(
    scheme: str, checksum: str, size: int, meaning: Meaning, decides: bool
) -> None:
    assert Check(Content(scheme, checksum, size), meaning).decides is decides


ONE_PART = hashlib.md5(hashlib.md5(DATA).digest()).hexdigest()
LARGE = b"x" * SMALLEST_PART


def test_an_upload_of_one_part() -> None:
    assert read(DATA, "lakefs-etag-1", ONE_PART) is True
    with pytest.raises(Mismatch):
        read(b"some bytez", "lakefs-etag-1", ONE_PART)


def test_parts_of_unknown_sizes_are_no_damage_and_no_proof() -> None:
    assert read(LARGE, "lakefs-etag-1", MD5, size=len(LARGE)) is False
    assert read(LARGE, "lakefs-etag-1", hashlib.md5(LARGE).hexdigest(), size=len(LARGE)) is True


def test_where_the_store_says_it_is_over_the_bytes_they_must_fit() -> None:
    with pytest.raises(Mismatch):
        read(LARGE, "lakefs-etag-1", MD5, "bytes", size=len(LARGE))


@pytest.mark.parametrize(
    ("etag", "encrypted", "meaning"),
    [
        (MD5, False, "bytes"),
        (MD5, True, "other"),  # S3 with keys of its own
        (f"{MD5}-2", False, 2),  # uploaded in parts through lakeFS's gateway
        ("0" * 32, False, "bytes"),  # lakeFS computed it itself; or the object was replaced
        (f"{'0' * 32}-2", False, "bytes"),  # lakeFS computed it itself and uploaded in parts
        ("0x8DCA1B2C3D4E5F6", False, "unknown"),  # no S3
        ("", False, "unknown"),
    ],
)
def test_what_a_store_s_etag_says_of_lakefs_s(etag: str, encrypted: bool, meaning: Meaning) -> None:
    assert meaning_of(MD5, SMALLEST_PART, etag, encrypted) == meaning


@pytest.mark.parametrize(
    ("size", "etag", "encrypted", "meaning"),
    [
        (1000, f"{MD5}-1", False, "unknown"),  # of one part: the MD5 of an MD5, which can be computed again
        (1000, f"{MD5}-2", False, "unknown"),  # S3 has no two parts of so few bytes
        (SMALLEST_PART, f"{MD5}-1", False, "unknown"),
        (SMALLEST_PART - 1, f"{MD5}-2", False, "unknown"),
        (1000, f"{MD5}-1", True, "other"),
        (1000, MD5, True, "other"),
    ],
)
def test_parts_that_can_only_be_one(size: int, etag: str, encrypted: bool, meaning: Meaning) -> None:
    assert meaning_of(MD5, size, etag, encrypted) == meaning


@pytest.mark.parametrize("size", [12, 20])
def test_parts_of_any_size_that_programs_use(size: int) -> None:
    """Where nobody can be asked how many there were, all sizes are tried, and then there is an answer."""
    data = b"x" * 23 * 2**20
    checksum = of_parts(data, size * 2**20)
    assert read(data, "lakefs-etag-1", checksum, size=len(data)) is False
    assert read(data, "lakefs-etag-1", checksum, "computable", size=len(data)) is True
    assert Check(Content("lakefs-etag-1", checksum, len(data)), "computable").decides
    for wrong in (checksum, MD5):
        with pytest.raises(Mismatch):
            read(data[:-1] + b"y", "lakefs-etag-1", wrong, "computable", size=len(data))


def of_parts(data: bytes, size: int) -> str:
    parts = [hashlib.md5(data[start : start + size]).digest() for start in range(0, len(data), size)]
    return hashlib.md5(b"".join(parts)).hexdigest()


@pytest.mark.parametrize("meaning", ["unknown", 2])
def test_parts_of_a_size_that_programs_use_are_told_from_the_bytes(meaning: Meaning) -> None:
    data = bytes(range(256)) * (11 * 2**12)
    for size in (8 * 2**20, 11 * 2**20 - 1, len(data)):
        checksum = of_parts(data, size) if size < len(data) else hashlib.md5(data).hexdigest()
        found = read(data, "lakefs-etag-1", checksum, meaning, size=len(data))
        assert found == (size == 8 * 2**20 or (size == len(data) and meaning == "unknown"))
    with pytest.raises(Mismatch):
        read(data[:-1], "lakefs-etag-1", of_parts(data, 8 * 2**20), meaning, size=len(data))
    assert read(data[:-1] + b"x", "lakefs-etag-1", of_parts(data, 8 * 2**20), meaning, size=len(data)) is False
