"""Exactly the pinned bytes on the disk, read-only, fetched once; what was damaged is put right, what is strange refused."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lake_project import Repository, embedded

import reprolock.errors
from reprolock.errors import MachineError, PinError, UsageError
from reprolock.files.object_cache import STAMP, ObjectCache
from reprolock.lake.git.lake import GitLake
from reprolock.lake.protocol import Commit, Object
from reprolock.model.content import Content
from reprolock.model.lock import DatasetPin
from reprolock.model.spec import DatasetSpec
from reprolock.model.uri import LakeURI
from reprolock.model.workspace import Copied
from reprolock.steps.inputs.materialise import make_tree, materialise
from reprolock.steps.inputs.tree import LocalTree
from reprolock.steps.locking.datasets import pin_dataset

ROOT = Path(reprolock.errors.__file__).parents[1]
FILES = {
    "train/a.csv": b"x\n1\n",
    "train/deep/er/b.csv": b"x\n2\n",
    "train/deep/c.json": b"{}",
    "train/empty": b"",
    "training/no.csv": b"not this",
    "train-x": b"nor this",
}


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = embedded(tmp_path, "weather")
    made.commit_files(FILES)
    yield made
    made.lake.close()


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def below(folder: str) -> dict[str, bytes]:
    return {path.removeprefix(folder): data for path, data in FILES.items() if path.startswith(folder)}


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_tree_of_exactly_the_pinned_objects(repository: Repository) -> None:
    pin = repository.pin()
    path = materialise(repository.lake, pin, repository.cache, repository.folder)
    assert path == repository.folder / "weather" / pin.commit / "train"
    assert files(path) == below("train/")
    for file in path.rglob("*"):
        if file.is_file():
            assert stat.S_IMODE(file.stat().st_mode) & 0o222 == 0
            assert file.stat().st_mtime_ns == STAMP
    assert files(repository.folder).keys() == {f"weather/{pin.commit}/train/{name}" for name in below("train/")}
    assert [item.name for item in repository.folder.iterdir()] == ["weather"]


def test_what_was_done_is_counted(repository: Repository) -> None:
    pin = repository.pin()
    made = repository.make(pin)
    assert made[1:] == (4, 10, 4, 10, Copied(whole=True))
    assert repository.make(pin)[1:] == (4, 10, 0, 0, Copied(whole=True))
    assert repository.make(pin, "elsewhere")[1:] == (4, 10, 0, 0, Copied(whole=True))


@pytest.mark.parametrize(
    ("path", "glob", "name", "at"),
    [
        ("train/", None, "deep/er/b.csv", "{commit}/train/deep/er/b.csv"),
        ("train/a.csv", None, "a.csv", "{commit}/train/a.csv"),
        ("", None, "train-x", "{commit}/train-x"),
        ("train/", "*.csv", "a.csv", "{commit}-8d0f00ca/train/a.csv"),
    ],
)
def test_one_object_of_it(repository: Repository, path: str, glob: str | None, name: str, at: str) -> None:
    """It stands where the whole tree will, which takes it over."""
    pin = repository.pin(path, glob)
    made = make_tree(repository.lake, pin, repository.cache, repository.folder, name=name)
    place = repository.folder / "weather" / at.format(commit=pin.commit)
    assert made.path == place
    assert [file for file in repository.folder.rglob("*") if file.is_file()] == [place]
    assert made[1:] == (1, place.stat().st_size, 1, place.stat().st_size, Copied())
    assert place.read_bytes() == FILES[(path.rpartition("/")[0] + "/" + name).lstrip("/")]
    whole = repository.make(pin)
    assert whole.fetched == whole.objects - 1


def test_an_object_that_it_does_not_have(repository: Repository) -> None:
    for name, near in (("deep/er/c.csv", "deep/er/b.csv"), ("../a.csv", "a.csv"), ("", "a.csv")):
        with pytest.raises(UsageError) as caught:
            make_tree(repository.lake, repository.pin(), repository.cache, repository.folder, name=name)
        assert caught.value.message == f'dataset "train" has no object "{name}"'
        assert caught.value.hint == f'one that it has: .open("{near}")'
    assert not repository.folder.exists()


class Foreign:
    """A lake that holds what lakeFS may: names that are no files' names here."""

    kind, scheme, endpoint = "lakefs", "lakefs-etag-1", "http://x"
    data = {
        "train/a.csv": b"1",
        "train//a.csv": b"2",
        "train/x/../a.csv": b"3",
        "train/../../../../../train.py": b"evil",
    }

    def list(self, *_: object, **__: object) -> Iterator[Object]:
        return iter(Object(path, len(data), hashlib.md5(data).hexdigest()) for path, data in sorted(self.data.items()))

    def resolve(self, *_: object) -> Commit:
        return Commit("c" * 64, datetime(2026, 1, 1, tzinfo=UTC), "", (), {})

    def open(self, _: str, __: str, path: str) -> io.BytesIO:
        return io.BytesIO(self.data[path])


def test_an_object_whose_name_leads_elsewhere(repository: Repository) -> None:
    lake: Any = Foreign()
    (repository.root / "train.py").write_text("mine")
    spec = DatasetSpec(uri="lakefs://repo/main/train/", format="binary")
    pin = pin_dataset(lake, "train", spec, lake.resolve())
    for name in ("/a.csv", "x/../a.csv", "../../../../../train.py"):
        with pytest.raises(UsageError) as caught:
            make_tree(lake, pin, repository.cache, repository.folder, name=name)
        assert (
            caught.value.message
            == f"{name!r} of lakefs://repo/{'c' * 64}/train/ cannot be the name of a file here: it could leave the folder"
        )
    assert make_tree(lake, pin, repository.cache, repository.folder, name="a.csv").path.read_bytes() == b"1"
    assert (repository.root / "train.py").read_text() == "mine"


def test_a_whole_repository(repository: Repository) -> None:
    pin = repository.pin("")
    made = repository.make(pin)
    assert made.path == repository.folder / "weather" / pin.commit
    assert files(made.path) == FILES


def test_a_single_object(repository: Repository) -> None:
    pin = repository.pin("train/deep/er/b.csv")
    made = repository.make(pin)
    assert made.path == repository.folder / "weather" / pin.commit / "train/deep/er/b.csv"
    assert files(repository.folder) == {f"weather/{pin.commit}/train/deep/er/b.csv": b"x\n2\n"}
    overwrite(made.path, b"gone wrong")
    assert repository.make(pin).path.read_bytes() == b"x\n2\n"


def test_a_glob_is_held_against_names_and_has_a_tree_of_its_own(repository: Repository) -> None:
    whole, tables = repository.pin(), repository.pin(glob="*.csv")
    assert files(repository.make(tables).path) == {"a.csv": b"x\n1\n", "deep/er/b.csv": b"x\n2\n"}
    assert files(repository.make(whole).path) == below("train/")
    assert files(repository.make(tables).path) == {"a.csv": b"x\n1\n", "deep/er/b.csv": b"x\n2\n"}
    assert repository.make(tables).path.parts[-2:] == (
        f"{tables.commit}-{hashlib.sha256(b'*.csv').hexdigest()[:8]}",
        "train",
    )


def test_datasets_inside_each_other_share_a_tree(repository: Repository) -> None:
    inner, outer = repository.pin("train/deep/"), repository.pin()
    assert files(repository.make(inner).path) == below("train/deep/")
    made = repository.make(outer)
    assert files(made.path) == below("train/")
    assert files(repository.make(inner).path) == below("train/deep/")


def test_names_that_files_can_have(repository: Repository) -> None:
    odd = {
        f"odd/{name}": name.encode()
        for name in ("a b", "ümläut", "100%25", "a+b", ".dot", "[*]", "'\"", "日本", "e\u0301")
    }
    repository.commit_files(odd)
    assert files(repository.make(repository.pin("odd/")).path) == {
        name.removeprefix("odd/"): data for name, data in odd.items()
    }


def test_content_beside_the_repository(repository: Repository) -> None:
    large = os.urandom(2**20) * 65
    repository.commit_files({"large/file": large, "large/small": b"s"})
    made = repository.make(repository.pin("large/"))
    assert made[1:] == (2, len(large) + 1, 2, len(large) + 1, Copied(whole=True))
    assert (made.path / "file").read_bytes() == large


def test_the_second_time_no_lake_is_asked(repository: Repository) -> None:
    pin = repository.pin()
    repository.make(pin)
    repository.lake.close()
    os.rename(repository.root / "lake", repository.root / "away")
    gone = GitLake(repository.root / "lake", "file:lake")
    path = materialise(gone, pin, repository.cache, repository.root / "second")
    assert files(path) == below("train/")


def test_only_what_is_new_is_fetched(repository: Repository) -> None:
    first = repository.make(repository.pin())
    repository.commit_files(
        {"train/a.csv": b"x\n3\n", "train/new.csv": b"x\n1\n"}
    )  # the second one's bytes are a.csv's old ones
    second = repository.make(repository.pin())
    assert (second.objects, second.fetched, second.fetched_bytes) == (5, 1, 4)
    assert files(second.path) == below("train/") | {"a.csv": b"x\n3\n", "new.csv": b"x\n1\n"}
    assert files(first.path) == below("train/")


def test_equal_bytes_come_once(repository: Repository) -> None:
    repository.commit_files({f"same/{number}": b"the same" for number in range(30)})
    made = repository.make(repository.pin("same/"))
    assert (made.objects, made.fetched) == (30, 1)
    assert files(made.path) == {str(number): b"the same" for number in range(30)}


def test_a_damaged_file_is_never_handed_on(repository: Repository) -> None:
    pin = repository.pin()
    first = repository.make(pin)
    overwrite(first.path / "a.csv", b"x\n9\n")  # a hard link: the cache's own file is damaged too
    elsewhere = repository.make(pin, "elsewhere")
    assert files(elsewhere.path) == below("train/")
    assert elsewhere.fetched == 1
    assert files(repository.make(pin).path) == below("train/")
    assert stat.S_IMODE((first.path / "a.csv").stat().st_mode) & 0o222 == 0


def test_files_that_were_only_touched_are_not_fetched(repository: Repository) -> None:
    pin = repository.pin()
    path = repository.make(pin).path
    for name in ("a.csv", "empty", "deep/c.json"):
        os.utime(path / name)
    assert repository.make(pin).fetched == 0
    assert {file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()} == {STAMP}


def test_what_was_removed_comes_back(repository: Repository) -> None:
    pin = repository.pin()
    path = repository.make(pin).path
    (path / "deep" / "er" / "b.csv").unlink()
    (path / "deep" / "er").rmdir()
    assert repository.make(pin).fetched == 0
    assert files(path) == below("train/")


def test_a_file_that_is_none_of_the_tree_s_is_refused_and_left(repository: Repository) -> None:
    pin = repository.pin()
    path = repository.make(pin).path
    (path / "deep" / "mine.csv").write_bytes(b"mine")
    with pytest.raises(PinError) as error:
        repository.make(pin)
    assert error.value.message == f"{path} holds 1 file that {pin.resolved} does not have"
    assert error.value.hint == "move them away, or remove the folder: it is made again"
    assert error.value.problems == ("deep/mine.csv",)
    assert error.value.exit_code == 4
    assert (path / "deep" / "mine.csv").read_bytes() == b"mine"


def test_a_link_in_a_file_s_place_is_replaced(repository: Repository) -> None:
    pin = repository.pin()
    path = repository.make(pin).path
    (repository.root / "elsewhere").write_bytes(b"x\n1\n")
    (path / "a.csv").unlink()
    (path / "a.csv").symlink_to(repository.root / "elsewhere")
    repository.make(pin)
    assert not (path / "a.csv").is_symlink()
    assert (repository.root / "elsewhere").read_bytes() == b"x\n1\n"


def test_another_listing_than_the_pinned_one(repository: Repository) -> None:
    pin = repository.pin()
    fields = {name: getattr(pin, name) for name in DatasetPin.model_fields if name not in ("seal", "digest")}
    forged = DatasetPin.sealed(**fields, digest="git-sha1-1:" + "0" * 64)
    with pytest.raises(PinError) as error:
        repository.make(forged)
    assert error.value.message == (
        f"dataset train: what the lake lists at {pin.resolved} has the digest {pin.digest}, "
        f"pinned is git-sha1-1:{'0' * 64}"
    )
    assert error.value.exit_code == 4
    assert not repository.folder.exists()


def test_checksums_of_another_kind_are_not_compared(repository: Repository) -> None:
    pin = repository.pin()
    fields = {name: getattr(pin, name) for name in DatasetPin.model_fields if name not in ("seal", "digest")}
    other = DatasetPin.sealed(**fields, digest=pin.digest.replace("git-sha1-1", "lakefs-etag-1"))
    with pytest.raises(PinError) as error:
        repository.make(other)
    assert error.value.message == (
        "dataset train is pinned by lakefs-etag-1 checksums, the lake file:lake has git-sha1-1"
    )


def test_a_commit_that_is_gone(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> None:
    pin = repository.pin()
    other = embedded(tmp_path_factory.mktemp("other"), "weather")
    with pytest.raises(PinError) as error:
        other.make(pin)
    assert error.value.message == (
        f"dataset train is pinned at {pin.resolved}, which is gone: "
        f'no branch, tag or commit "{pin.commit}" in the repository "weather"'
    )
    assert error.value.exit_code == 4


def test_a_damaged_object_in_the_lake(repository: Repository) -> None:
    pin = repository.pin()
    checksum = next(item.checksum for item in repository.lake.list("weather", pin.commit, "train/a.csv"))
    blob = repository.root / "lake" / "weather.git" / "objects" / checksum[:2] / checksum[2:]
    other = next(item.checksum for item in repository.lake.list("weather", pin.commit, "train/deep/er/b.csv"))
    overwrite(blob, (blob.parents[1] / other[:2] / other[2:]).read_bytes())
    with pytest.raises(PinError) as error:
        repository.make(pin)
    assert error.value.message == (
        f"{pin.resolved}a.csv is damaged: its bytes do not have the checksum that the commit names"
    )
    assert not repository.folder.exists() or files(repository.folder) == {}


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/out", "a//b", "./a", "a\\b"])
def test_names_that_would_leave_the_folder(repository: Repository, name: str) -> None:
    tree = LocalTree(
        repository.folder, repository.folder / "t", LakeURI("weather", "c0", "train/"), [Object(f"train/{name}", 1, "")]
    )
    with pytest.raises(UsageError) as error, tree.building():
        raise AssertionError("a place was made for it")
    assert error.value.message == "lakefs://weather/c0/train/ has names that a folder here cannot hold: 1"
    assert error.value.problems == (f"{name!r}: it could leave the folder",)
    assert list(repository.folder.iterdir()) == []


def test_a_path_that_is_too_long(repository: Repository) -> None:
    repository.folder = repository.root.joinpath(*["f" * 200] * 16)
    repository.commit_files({"long/" + "/".join(["n" * 240] * 4): b"far away"})
    pin = repository.pin("long/")
    with pytest.raises(MachineError) as error:
        materialise(repository.lake, pin, repository.cache, repository.folder)
    assert error.value.message == (
        f"{pin.resolved} has a name that is too long for a file in {repository.folder}: {'n' * 80}…"
    )
    assert error.value.hint == "use a folder with a shorter path, or a glob that leaves the object out"
    assert files(repository.folder) == {}


def test_something_else_in_the_tree_s_place(repository: Repository) -> None:
    pin = repository.pin()
    repository.folder.write_bytes(b"")
    with pytest.raises(MachineError) as error:
        repository.make(pin)
    assert error.value.message == f"{repository.folder} cannot be written: another file or folder has its name"


class Watching:
    """Who watches: keeps what was said."""

    def __init__(self) -> None:
        self.expected: list[tuple[int, int]] = []
        self.done = (0, 0)

    def expect(self, objects: int, bytes: int) -> None:
        self.expected.append((objects, bytes))

    def advance(self, objects: int, bytes: int) -> None:
        self.done = (self.done[0] + objects, self.done[1] + bytes)


def test_progress_comes_to_the_whole(repository: Repository) -> None:
    repository.commit_files({"train/again": b"x\n1\n"})
    pin = repository.pin()
    for folder in ("first", "first", "second"):
        watching = Watching()
        materialise(repository.lake, pin, repository.cache, repository.root / folder, watching)
        assert watching.expected == [(5, 14)]
        assert watching.done == (5, 14)


def test_a_cache_that_loses_objects_is_said_to(repository: Repository) -> None:
    class Leaking(ObjectCache):
        """A cache that another program empties all the time."""

        def place(self, content: Content, destination: str) -> bool:
            self.trim(max_bytes=0)
            return super().place(content, destination)

    with pytest.raises(MachineError) as error:
        materialise(repository.lake, repository.pin(), Leaking(repository.root / "leaking"), repository.folder)
    assert error.value.message == f"the cache in {repository.root}/leaking loses what is put into it"
    assert files(repository.folder) == {}


MAKE = """
import sys
from pathlib import Path
from reprolock.files.object_cache import ObjectCache
from reprolock.lake.git.lake import GitLake
from reprolock.model.lock import DatasetPin
from reprolock.steps.inputs.materialise import make_tree
root = Path(sys.argv[1])
pin = DatasetPin.model_validate_json((root / "pin.json").read_bytes())
print(make_tree(GitLake(root / "lake", "file:lake"), pin, ObjectCache(root / "cache"), root / "data").fetched)
"""


def many(repository: Repository, count: int) -> DatasetPin:
    source = repository.root / "source"
    source.mkdir()
    for number in range(count):
        (source / str(number)).write_bytes(b"%d" % number * 100)
    list(repository.lake.put_many("weather", "main", ((f"many/{item.name}", item) for item in source.iterdir())))
    repository.lake.commit("weather", "main", "Put many")
    pin = repository.pin("many/")
    (repository.root / "pin.json").write_text(pin.model_dump_json(exclude_none=True))
    return pin


def start(repository: Repository) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", MAKE, str(repository.root)]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_after_kill_9_it_goes_on_where_it_was(repository: Repository) -> None:
    pin = many(repository, 6000)
    contents = [item.content(repository.lake.scheme) for item in repository.lake.list("weather", pin.commit, "many/")]
    process = start(repository)
    while not any(map(repository.cache.holds, contents)):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    tree = repository.folder / "weather" / pin.commit
    assert not tree.exists()  # half of it never stands there
    made = repository.make(pin)
    assert files(made.path) == {str(number): b"%d" % number * 100 for number in range(6000)}
    assert 0 < made.fetched < 6000


def test_two_processes_make_one_tree(repository: Repository) -> None:
    pin = many(repository, 500)
    processes = [start(repository) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, b"")
    path = repository.folder / "weather" / pin.commit / "many"
    assert files(path) == {str(number): b"%d" % number * 100 for number in range(500)}
    assert repository.make(pin).fetched == 0
    assert [item.name for item in repository.folder.iterdir()] == ["weather"]
