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
from lake_project import Repository, embedded

import reprolock.errors
from reprolock.errors import MachineError, NotFound, PinError
from reprolock.files.object_cache import STAMP
from reprolock.lake.git.lake import GitLake
from reprolock.model.uri import LakeURI
from reprolock.steps.data.get import Got, get

ROOT = Path(reprolock.errors.__file__).parents[1]
MAIN = LakeURI("weather", "main")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = embedded(tmp_path, "weather")
    made.folder.mkdir()
    yield made
    made.lake.close()


def named(*paths: str) -> dict[str, bytes]:
    """Files whose content is their own path, a hundred times."""
    return {path: path.encode() * 100 for path in paths}


def names(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_what_is_cached_is_not_fetched_and_takes_no_further_space(repository: Repository) -> None:
    head = repository.commit_files(named("train/a", "train/deep/b"))
    assert repository.get("train", "one") == Got(repository.folder / "one", head, 2, 1900, 2, 1900, 0)
    repository.commit_files(named("train/c"))
    assert repository.get("train", "two")[2:] == (3, 2600, 1, 700, 0)
    assert repository.get("train/c", "c")[2:] == (1, 700, 0, 0, 0)
    found = [file.stat() for file in repository.folder.rglob("*") if file.is_file()]
    reflinked = {status.st_nlink for status in found} == {1}  # then each file is one of its own, and its bytes are not
    assert len({status.st_ino for status in found}) == (6 if reflinked else 3)


def test_files_are_read_only_and_folders_are_not(repository: Repository) -> None:
    repository.commit_files(named("train/a", "train/deep/b"))
    repository.get("train", "one")
    repository.get("train/a", "a")
    for file in ("one/a", "one/deep/b", "a"):
        status = (repository.folder / file).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o444, STAMP)
    assert stat.S_IMODE((repository.folder / "one" / "deep").stat().st_mode) == stat.S_IMODE(
        repository.folder.stat().st_mode
    )
    (repository.folder / "one" / "a").unlink()


def test_an_empty_folder_stays_the_one_that_somebody_stands_in(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit_files(named("train/a", "train/deep/b"))
    monkeypatch.chdir(repository.folder)
    done = get(repository.lake, LakeURI("weather", "main", "train"), Path("."), repository.cache)
    assert (done.dest, names(Path("."))) == (repository.folder, ["a", "deep/b"])
    assert os.listdir(repository.folder) == os.listdir(".")


class Moving(GitLake):
    """A lake whose branch somebody writes to while it is copied."""

    def open(self, repository: str, ref: str, path: str) -> BinaryIO:
        if path == "train/a":
            super().put(repository, "main", "train/b", io.BytesIO(b"meanwhile"))
        return super().open(repository, ref, path)


def test_a_branch_with_staged_objects_that_moves_meanwhile(repository: Repository) -> None:
    repository.commit_files(named("train/a"))
    repository.lake.put("weather", "main", "train/b", io.BytesIO(b"staged"))
    repository.lake = Moving(repository.root / "lake", "file:lake")
    with pytest.raises(PinError) as error:
        repository.get("train", "out")
    assert error.value.message == "lakefs://weather/main/train changed while it was copied"
    assert error.value.hint == "try again, or commit what is staged there and get the commit"
    assert os.listdir(repository.folder) == []


def test_a_commit_stays_what_it_is(repository: Repository) -> None:
    head = repository.commit_files(named("train/a", "train/b"))
    repository.lake = Moving(repository.root / "lake", "file:lake")
    assert repository.get("train", "out").ref == head
    assert (repository.folder / "out" / "b").read_bytes() == b"train/b" * 100


def test_a_cache_that_cannot_be_written(repository: Repository) -> None:
    repository.commit_files(named("a"))
    (repository.root / "cache").write_text("in the way")
    with pytest.raises(MachineError) as error:
        repository.get("a", "a")
    assert error.value.message == f"{repository.root}/cache cannot be written: another file or folder has its name"
    assert os.listdir(repository.folder) == []


def test_a_folder_that_cannot_be_written(repository: Repository) -> None:
    repository.commit_files(named("a"))
    (repository.folder / "file").write_text("in the way")
    with pytest.raises(MachineError) as error:
        repository.get("a", "file/a")
    assert error.value.message == f"{repository.folder}/file cannot be written: another file or folder has its name"


def test_nothing_is_there(repository: Repository) -> None:
    repository.commit_files(named("a"))
    with pytest.raises(NotFound) as error:
        repository.get("b", "b")
    assert error.value.message == "nothing is at lakefs://weather/main/b"
    assert not repository.cache.folder.exists()


GET = """
import sys
from pathlib import Path
from reprolock.files.object_cache import ObjectCache
from reprolock.lake.git.lake import GitLake
from reprolock.model.uri import LakeURI
from reprolock.steps.data.get import get
root = Path(sys.argv[1])
get(GitLake(root / "lake", "file:lake"), LakeURI("weather", "main", "many"), root / "data" / "got", ObjectCache(root / "cache"))
"""


def killed_when(repository: Repository, seen: Callable[[], object]) -> None:
    """A get that is killed as soon as something is seen."""
    process = subprocess.Popen([sys.executable, "-c", GET, str(repository.root)], cwd=ROOT, stderr=subprocess.PIPE)
    while not seen():
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def many(repository: Repository, count: int) -> None:
    repository.commit_files({f"many/{number}": b"%d" % number * 100 for number in range(count)})


def test_after_kill_9_among_the_transfers_it_goes_on_and_nothing_is_left(repository: Repository) -> None:
    many(repository, 6000)
    contents = [item.content(repository.lake.scheme) for item in repository.lake.list("weather", "main", "many/")]
    killed_when(repository, lambda: any(map(repository.cache.holds, contents)))
    assert os.listdir(repository.folder) == []
    done = repository.get("many", "got")
    assert 0 < done.fetched < 6000
    assert len(names(repository.folder / "got")) == 6000
    assert os.listdir(repository.folder) == ["got"]


def test_after_kill_9_among_the_links_the_next_one_clears_them_away(repository: Repository) -> None:
    many(repository, 3000)
    killed_when(repository, lambda: next(repository.folder.glob(".got.*/tree"), None))
    assert len(os.listdir(repository.folder)) == 1
    assert repository.get("many", "got").fetched == 0
    assert os.listdir(repository.folder) == ["got"]
    assert len(names(repository.folder / "got")) == 3000
