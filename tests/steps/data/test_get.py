"""`data get` by way of the cache: fetched once, linked, read-only, gone on with after a kill."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

import reprolock.errors
from reprolock.errors import MachineError, NotFound, PinError
from reprolock.files.object_cache import STAMP, ObjectCache
from reprolock.lake.git.lake import GitLake
from reprolock.model.uri import LakeURI
from reprolock.steps.data.get import Got, get

ROOT = Path(reprolock.errors.__file__).parents[1]
MAIN = LakeURI("weather", "main")


class Ground:
    """An embedded lake, a cache and a folder to get into."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lake = GitLake(root / "lake", "file:lake")
        self.lake.create_repository("weather")
        self.cache = ObjectCache(root / "cache")
        self.out = root / "out"
        self.out.mkdir()

    def commit(self, *paths: str) -> str:
        for path in paths:
            self.lake.put("weather", "main", path, io.BytesIO(path.encode() * 100))
        return self.lake.commit("weather", "main", "Put files").id

    def get(self, path: str, dest: str, ref: str = "main") -> Got:
        return get(self.lake, LakeURI("weather", ref, path), self.out / dest, self.cache)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path)
    yield made
    made.lake.close()


def names(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_what_is_cached_is_not_fetched_and_takes_no_further_space(ground: Ground) -> None:
    head = ground.commit("train/a", "train/deep/b")
    assert ground.get("train", "one") == Got(ground.out / "one", head, 2, 1900, 2, 1900, 0)
    ground.commit("train/c")
    assert ground.get("train", "two")[2:] == (3, 2600, 1, 700, 0)
    assert ground.get("train/c", "c")[2:] == (1, 700, 0, 0, 0)
    found = [file.stat() for file in ground.out.rglob("*") if file.is_file()]
    reflinked = {status.st_nlink for status in found} == {1}  # then each file is one of its own, and its bytes are not
    assert len({status.st_ino for status in found}) == (6 if reflinked else 3)


def test_files_are_read_only_and_folders_are_not(ground: Ground) -> None:
    ground.commit("train/a", "train/deep/b")
    ground.get("train", "one")
    ground.get("train/a", "a")
    for file in ("one/a", "one/deep/b", "a"):
        status = (ground.out / file).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o444, STAMP)
    assert stat.S_IMODE((ground.out / "one" / "deep").stat().st_mode) == stat.S_IMODE((ground.out).stat().st_mode)
    (ground.out / "one" / "a").unlink()


def test_an_empty_folder_stays_the_one_that_somebody_stands_in(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.commit("train/a", "train/deep/b")
    monkeypatch.chdir(ground.out)
    done = get(ground.lake, LakeURI("weather", "main", "train"), Path("."), ground.cache)
    assert (done.dest, names(Path("."))) == (ground.out, ["a", "deep/b"])
    assert os.listdir(ground.root / "out") == os.listdir(".")


class Moving(GitLake):
    """A lake whose branch somebody writes to while it is copied."""

    def open(self, repository: str, ref: str, path: str) -> BinaryIO:
        if path == "train/a":
            super().put(repository, "main", "train/b", io.BytesIO(b"meanwhile"))
        return super().open(repository, ref, path)


def test_a_branch_with_staged_objects_that_moves_meanwhile(ground: Ground) -> None:
    ground.commit("train/a")
    ground.lake.put("weather", "main", "train/b", io.BytesIO(b"staged"))
    ground.lake = Moving(ground.root / "lake", "file:lake")
    with pytest.raises(PinError) as error:
        ground.get("train", "out")
    assert error.value.message == "lakefs://weather/main/train changed while it was copied"
    assert error.value.hint == "try again, or commit what is staged there and get the commit"
    assert os.listdir(ground.out) == []


def test_a_commit_stays_what_it_is(ground: Ground) -> None:
    head = ground.commit("train/a", "train/b")
    ground.lake = Moving(ground.root / "lake", "file:lake")
    assert ground.get("train", "out").ref == head
    assert (ground.out / "out" / "b").read_bytes() == b"train/b" * 100


def test_a_cache_that_cannot_be_written(ground: Ground) -> None:
    ground.commit("a")
    (ground.root / "cache").write_text("in the way")
    with pytest.raises(MachineError) as error:
        ground.get("a", "a")
    assert error.value.message == f"{ground.root}/cache cannot be written: something else has its name"
    assert os.listdir(ground.out) == []


def test_a_folder_that_cannot_be_written(ground: Ground) -> None:
    ground.commit("a")
    (ground.out / "file").write_text("in the way")
    with pytest.raises(MachineError) as error:
        ground.get("a", "file/a")
    assert error.value.message == f"{ground.out}/file cannot be written: something else has its name"


def test_nothing_is_there(ground: Ground) -> None:
    ground.commit("a")
    with pytest.raises(NotFound) as error:
        ground.get("b", "b")
    assert error.value.message == "nothing is at lakefs://weather/main/b"
    assert not ground.cache.folder.exists()


GET = """
import sys
from pathlib import Path
from reprolock.files.object_cache import ObjectCache
from reprolock.lake.git.lake import GitLake
from reprolock.model.uri import LakeURI
from reprolock.steps.data.get import get
root = Path(sys.argv[1])
get(GitLake(root / "lake", "file:lake"), LakeURI("weather", "main", "many"), root / "out" / "got", ObjectCache(root / "cache"))
"""


def killed_when(ground: Ground, seen: Callable[[], object]) -> None:
    """A get that is killed as soon as something is seen."""
    process = subprocess.Popen([sys.executable, "-c", GET, str(ground.root)], cwd=ROOT, stderr=subprocess.PIPE)
    while not seen():
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def many(ground: Ground, count: int) -> None:
    source = ground.root / "source"
    source.mkdir()
    for number in range(count):
        (source / str(number)).write_bytes(b"%d" % number * 100)
    list(ground.lake.put_many("weather", "main", ((f"many/{file.name}", file) for file in source.iterdir())))
    ground.lake.commit("weather", "main", "Put many")


def test_after_kill_9_among_the_transfers_it_goes_on_and_nothing_is_left(ground: Ground) -> None:
    many(ground, 6000)
    contents = [item.content(ground.lake.scheme) for item in ground.lake.list("weather", "main", "many/")]
    killed_when(ground, lambda: any(map(ground.cache.holds, contents)))
    assert os.listdir(ground.out) == []
    done = ground.get("many", "got")
    assert 0 < done.fetched < 6000
    assert len(names(ground.out / "got")) == 6000
    assert os.listdir(ground.out) == ["got"]


def test_after_kill_9_among_the_links_the_next_one_clears_them_away(ground: Ground) -> None:
    many(ground, 3000)
    killed_when(ground, lambda: next(ground.out.glob(".got.*/tree"), None))
    assert len(os.listdir(ground.out)) == 1
    assert ground.get("many", "got").fetched == 0
    assert os.listdir(ground.out) == ["got"]
    assert len(names(ground.out / "got")) == 3000
