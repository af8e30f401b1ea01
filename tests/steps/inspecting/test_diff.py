"""`diff` of two locks: every kind of pin, and what it is called."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reprolock.cli.difference import markdown_lines, text_lines
from reprolock.cli.terminal import shown
from reprolock.errors import LockError
from reprolock.files.lock_file import lock_bytes
from reprolock.model.lock import DatasetPin, EnvironmentPin, JarPin, JarsPin, Lock, PackagePin
from reprolock.steps.inspecting.diff import diff

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def dataset(name: str, commit: str, digest: str, path: str = "train/") -> DatasetPin:
    return DatasetPin.sealed(
        name=name,
        kind="lakefs",
        uri=f"lakefs://example-repo/main/{path}",
        commit=commit * 40,
        time=NOW,
        resolved=f"lakefs://example-repo/{commit * 40}/{path}",
        objects=1,
        bytes=1,
        digest=f"s3-etag:{digest * 64}",
    )


def package(name: str, version: str, digest: str = "a", marker: str | None = None) -> PackagePin:
    return PackagePin(name=name, version=version, marker=marker, hashes=(digest * 64,))


def environment(*packages: PackagePin, java: str = "17", requirements: tuple[str, ...] = ("numpy",)) -> EnvironmentPin:
    return EnvironmentPin.sealed(requirements=requirements, python="3.11", java=java, package=packages)


def jars(*pins: tuple[str, str]) -> JarsPin:
    jar = tuple(JarPin(coordinate=coordinate, sha256=digest * 64, bytes=1) for coordinate, digest in pins)
    return JarsPin.sealed(packages=("io.delta:delta:1",), spark="4.2.0", jar=jar)


def said(folder: Path, old: Lock, new: Lock) -> list[str]:
    (folder / "old.lock").write_bytes(lock_bytes(old))
    (folder / "new.lock").write_bytes(lock_bytes(new))
    return [shown(line) for line in text_lines(diff(folder, "old.lock", "new.lock"))]


def test_all_of_a_lock_is_the_same(tmp_path: Path) -> None:
    lock = Lock(
        dataset=(dataset("train", "a", "1"),),
        environment=environment(package("numpy", "2.0")),
        jars=jars(("g:a:1", "b")),
    )
    assert said(tmp_path, lock, lock) == [
        "data         same  train aaaaaaaaaaaa",
        "environment  same  packages 1 for Python 3.11, jars 1 for Spark 4.2.0, java 17",
        "Nothing changed.",
    ]


def test_each_pin_that_changed_is_named(tmp_path: Path) -> None:
    old = Lock(
        dataset=(dataset("gone", "a", "1"), dataset("moved", "a", "1"), dataset("same_bytes", "a", "1")),
        environment=environment(package("numpy", "1.26"), package("old", "1"), package("rebuilt", "3")),
        jars=jars(("g:a:1", "b"), ("g:b:1", "b"), ("g:c:1:linux", "b")),
    )
    new = Lock(
        dataset=(
            dataset("moved", "a", "2", "other/"),
            dataset("new", "b", "3", "new/"),
            dataset("same_bytes", "b", "1"),
        ),
        environment=environment(
            package("numpy", "2.0"),
            package("new", "1"),
            package("rebuilt", "3", "c"),
            java="21",
            requirements=("numpy>=2",),
        ),
        jars=jars(("g:a:2", "b"), ("g:b:1", "c"), ("g:d:1", "b")),
    )
    assert said(tmp_path, old, new) == [
        "data      changed  removed gone aaaaaaaaaaaa   lakefs://example-repo/main/train/",
        "                   moved aaaaaaaaaaaa   lakefs://example-repo/main/train/ → lakefs://example-repo/main/other/",
        "                   added new bbbbbbbbbbbb   lakefs://example-repo/main/new/",
        "                   same_bytes aaaaaaaaaaaa → bbbbbbbbbbbb   the same bytes",
        "packages  changed  added new 1",
        "                   numpy 1.26 → 2.0",
        "                   removed old 1",
        "                   rebuilt 3   other files",
        "                   removed requirement numpy",
        "                   added requirement numpy>=2",
        "jars      changed  g:a 1 → 2",
        "                   g:b 1   other bytes",
        "                   removed g:c 1:linux",
        "                   added g:d 1",
        "java      changed  17 → 21",
        "15 things changed.",
    ]


def test_a_dataset_with_another_name_or_in_another_folder(tmp_path: Path) -> None:
    """By its address, else by its bytes; where two could be meant, one is gone and the other is new."""
    old = Lock(
        dataset=(
            dataset("bytes", "a", "4", "x/"),
            dataset("homes", "a", "1", "homes/"),
            dataset("moved", "a", "5", "y/"),
            dataset("one", "a", "6", "p/"),
            dataset("two", "a", "6", "q/"),
        )
    )
    new = Lock(
        dataset=(
            dataset("content", "b", "4", "z/"),
            dataset("houses", "b", "2", "homes/"),
            dataset("moved", "b", "5", "w/"),
            dataset("three", "b", "6", "r/"),
        )
    )
    main = "lakefs://example-repo/main"
    assert said(tmp_path, old, new)[:-1] == [
        f"data  changed  content aaaaaaaaaaaa → bbbbbbbbbbbb   renamed from bytes; {main}/x/ → {main}/z/; the same bytes",
        "               houses aaaaaaaaaaaa → bbbbbbbbbbbb   renamed from homes",
        f"               moved aaaaaaaaaaaa → bbbbbbbbbbbb   {main}/y/ → {main}/w/; the same bytes",
        f"               removed one aaaaaaaaaaaa   {main}/p/",
        f"               added three bbbbbbbbbbbb   {main}/r/",
        f"               removed two aaaaaaaaaaaa   {main}/q/",
        f"               (objects not compared: the lake file:{tmp_path}/lake is not there yet)",
    ]


def test_one_name_under_two_markers(tmp_path: Path) -> None:
    old = Lock(
        environment=environment(
            package("x", "1", marker="os_name == 'nt'"), package("x", "2", marker="os_name != 'nt'")
        )
    )
    new = Lock(
        environment=environment(
            package("x", "1", marker="os_name == 'nt'"), package("x", "3", marker="os_name != 'nt'")
        )
    )
    assert said(tmp_path, old, new) == [
        "packages  changed  x (os_name != 'nt') 2 → 3",
        "java      same     17",
        "One thing changed.",
    ]


def test_names_are_text_in_markdown(tmp_path: Path) -> None:
    old = Lock(environment=environment(requirements=("a @ x",)))
    new = Lock(environment=environment(requirements=("a|<b>*c*",)))
    for name, lock in (("old.lock", old), ("new.lock", new)):
        (tmp_path / name).write_bytes(lock_bytes(lock))
    lines = list(markdown_lines(diff(tmp_path, "old.lock", "new.lock")))
    assert "| packages | **changed** | removed requirement a &#64; x |" in lines
    assert "|  |  | added requirement a\\|\\<b\\>\\*c\\* |" in lines


def test_a_broken_lock_is_named(tmp_path: Path) -> None:
    (tmp_path / "old.lock").write_text("version = 2\n")
    (tmp_path / "new.lock").write_text("version = 1\n")
    with pytest.raises(LockError) as caught:
        diff(tmp_path, "new.lock", "old.lock")
    assert caught.value.message == "old.lock has version 2, and this reprolock reads up to version 1"
