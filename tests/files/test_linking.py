"""Three ways to one file: a reflink where the file system has them, else a hard link, else a copy."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reprolock.files.linking import Linker

TIME = 946_684_800_000_000_000


def source(folder: Path) -> Path:
    path = folder / "source"
    path.write_bytes(b"bytes" * 5000)
    path.chmod(0o444)
    os.utime(path, ns=(TIME, TIME))
    return path


def link(one: Path, other: Path) -> str:
    return Linker().link(str(one), one.stat().st_dev, str(other))


def assert_alike(one: Path, other: Path) -> None:
    assert other.read_bytes() == one.read_bytes()
    assert other.stat().st_mtime_ns == TIME
    assert stat.S_IMODE(other.stat().st_mode) & 0o222 == 0


@pytest.fixture
def reflinking(tmp_path: Path) -> Iterator[Path]:
    """A small XFS, mounted."""
    if not shutil.which("mkfs.xfs"):
        pytest.skip("no `mkfs.xfs`: a file system with reflinks cannot be made here")
    image, folder = tmp_path / "image", tmp_path / "xfs"
    with image.open("wb") as file:
        file.truncate(400 * 2**20)
    folder.mkdir()
    subprocess.run(["mkfs.xfs", "-q", image], check=True, capture_output=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a file system with reflinks cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_reflink_is_a_file_of_its_own(reflinking: Path) -> None:
    one, other = source(reflinking), reflinking / "other"
    assert link(one, other) == "reflink"
    assert_alike(one, other)
    assert not other.samefile(one)
    other.chmod(0o644)
    other.write_bytes(b"changed")
    assert one.read_bytes() == b"bytes" * 5000


def test_a_reflink_overwrites_nothing(reflinking: Path) -> None:
    one, other = source(reflinking), reflinking / "other"
    other.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        link(one, other)
    assert other.read_bytes() == b"mine"


def test_between_two_disks_it_is_a_copy(reflinking: Path, tmp_path: Path) -> None:
    one, other = source(tmp_path), reflinking / "other"
    assert link(one, other) == "copy"
    assert_alike(one, other)


def test_without_reflinks_it_is_a_hard_link(tmp_path: Path) -> None:
    one, other = source(tmp_path), tmp_path / "other"
    if link(one, other) == "reflink":
        pytest.skip("this file system has reflinks")
    assert_alike(one, other)
    assert other.samefile(one)


def test_more_links_than_the_file_system_counts(tmp_path: Path) -> None:
    one, linker = source(tmp_path), Linker()
    ways = set()
    for number in range(os.pathconf(tmp_path, "PC_LINK_MAX") if hasattr(os, "pathconf") else 0):
        if number > 70_000:
            pytest.skip("this file system has no limit worth testing")
        ways.add(linker.link(str(one), one.stat().st_dev, f"{tmp_path}/{number}"))
    if ways == {"reflink"}:
        pytest.skip("this file system has reflinks")
    assert ways == {"link", "copy"}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        link(source(tmp_path), tmp_path / "no" / "other")
