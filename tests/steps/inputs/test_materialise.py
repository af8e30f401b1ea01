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
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import reprolock.errors
from reprolock.errors import MachineError, PinError, UsageError
from reprolock.files.object_cache import STAMP, ObjectCache
from reprolock.lake.git.lake import GitLake
from reprolock.lake.protocol import Commit, Object
from reprolock.model.content import Content
from reprolock.model.lock import DatasetPin
from reprolock.model.spec import DatasetSpec
from reprolock.model.uri import LakeURI
from reprolock.steps.inputs.materialise import Materialised, make_tree, materialise
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


class Ground:
    """An embedded lake, a cache and a folder for trees."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lake = GitLake(root / "lake", "file:lake")
        self.lake.create_repository("weather")
        self.cache = ObjectCache(root / "cache")
        self.folder = root / "data"

    def commit(self, files: Mapping[str, bytes]) -> Commit:
        for path, data in files.items():
            self.lake.put("weather", "main", path, io.BytesIO(data))
        return self.lake.commit("weather", "main", "Put files")

    def pin(self, path: str = "train/", glob: str | None = None) -> DatasetPin:
        spec = DatasetSpec(uri=f"lakefs://weather/main/{path}", format="binary", glob=glob)
        return pin_dataset(self.lake, "train", spec, self.lake.resolve("weather", "main"))

    def make(self, pin: DatasetPin, folder: str = "data") -> Materialised:
        return make_tree(self.lake, pin, self.cache, self.root / folder)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path)
    made.commit(FILES)
    yield made
    made.lake.close()


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def below(folder: str) -> dict[str, bytes]:
    return {path.removeprefix(folder): data for path, data in FILES.items() if path.startswith(folder)}


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_tree_of_exactly_the_pinned_objects(ground: Ground) -> None:
    pin = ground.pin()
    path = materialise(ground.lake, pin, ground.cache, ground.folder)
    assert path == ground.folder / "weather" / pin.commit / "train"
    assert files(path) == below("train/")
    for file in path.rglob("*"):
        if file.is_file():
            assert stat.S_IMODE(file.stat().st_mode) & 0o222 == 0
            assert file.stat().st_mtime_ns == STAMP
    assert files(ground.folder).keys() == {f"weather/{pin.commit}/train/{name}" for name in below("train/")}
    assert [item.name for item in ground.folder.iterdir()] == ["weather"]


def test_what_was_done_is_counted(ground: Ground) -> None:
    pin = ground.pin()
    made = ground.make(pin)
    assert made[1:] == (4, 10, 4, 10, 0)
    assert ground.make(pin)[1:] == (4, 10, 0, 0, 0)
    assert ground.make(pin, "elsewhere")[1:] == (4, 10, 0, 0, 0)


@pytest.mark.parametrize(
    ("path", "glob", "name", "at"),
    [
        ("train/", None, "deep/er/b.csv", "{commit}/train/deep/er/b.csv"),
        ("train/a.csv", None, "a.csv", "{commit}/train/a.csv"),
        ("", None, "train-x", "{commit}/train-x"),
        ("train/", "*.csv", "a.csv", "{commit}-8d0f00ca/train/a.csv"),
    ],
)
def test_one_object_of_it(ground: Ground, path: str, glob: str | None, name: str, at: str) -> None:
    """It stands where the whole tree will, which takes it over."""
    pin = ground.pin(path, glob)
    made = make_tree(ground.lake, pin, ground.cache, ground.folder, name=name)
    place = ground.folder / "weather" / at.format(commit=pin.commit)
    assert made.path == place
    assert [file for file in ground.folder.rglob("*") if file.is_file()] == [place]
    assert made[1:] == (1, place.stat().st_size, 1, place.stat().st_size, 0)
    assert place.read_bytes() == FILES[(path.rpartition("/")[0] + "/" + name).lstrip("/")]
    whole = ground.make(pin)
    assert whole.fetched == whole.objects - 1


def test_an_object_that_it_does_not_have(ground: Ground) -> None:
    for name, near in (("deep/er/c.csv", "deep/er/b.csv"), ("../a.csv", "a.csv"), ("", "a.csv")):
        with pytest.raises(UsageError) as caught:
            make_tree(ground.lake, ground.pin(), ground.cache, ground.folder, name=name)
        assert caught.value.message == f'dataset "train" has no object "{name}"'
        assert caught.value.hint == f'one that it has: .open("{near}")'
    assert not ground.folder.exists()


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


def test_an_object_whose_name_leads_elsewhere(ground: Ground) -> None:
    lake: Any = Foreign()
    (ground.root / "train.py").write_text("mine")
    spec = DatasetSpec(uri="lakefs://repo/main/train/", format="binary")
    pin = pin_dataset(lake, "train", spec, lake.resolve())
    for name in ("/a.csv", "x/../a.csv", "../../../../../train.py"):
        with pytest.raises(UsageError) as caught:
            make_tree(lake, pin, ground.cache, ground.folder, name=name)
        assert (
            caught.value.message
            == f"{name!r} of lakefs://repo/{'c' * 64}/train/ cannot be the name of a file here: it could leave the folder"
        )
    assert make_tree(lake, pin, ground.cache, ground.folder, name="a.csv").path.read_bytes() == b"1"
    assert (ground.root / "train.py").read_text() == "mine"


def test_a_whole_repository(ground: Ground) -> None:
    pin = ground.pin("")
    made = ground.make(pin)
    assert made.path == ground.folder / "weather" / pin.commit
    assert files(made.path) == FILES


def test_a_single_object(ground: Ground) -> None:
    pin = ground.pin("train/deep/er/b.csv")
    made = ground.make(pin)
    assert made.path == ground.folder / "weather" / pin.commit / "train/deep/er/b.csv"
    assert files(ground.folder) == {f"weather/{pin.commit}/train/deep/er/b.csv": b"x\n2\n"}
    overwrite(made.path, b"gone wrong")
    assert ground.make(pin).path.read_bytes() == b"x\n2\n"


def test_a_glob_is_held_against_names_and_has_a_tree_of_its_own(ground: Ground) -> None:
    whole, tables = ground.pin(), ground.pin(glob="*.csv")
    assert files(ground.make(tables).path) == {"a.csv": b"x\n1\n", "deep/er/b.csv": b"x\n2\n"}
    assert files(ground.make(whole).path) == below("train/")
    assert files(ground.make(tables).path) == {"a.csv": b"x\n1\n", "deep/er/b.csv": b"x\n2\n"}
    assert ground.make(tables).path.parts[-2:] == (
        f"{tables.commit}-{hashlib.sha256(b'*.csv').hexdigest()[:8]}",
        "train",
    )


def test_datasets_inside_each_other_share_a_tree(ground: Ground) -> None:
    inner, outer = ground.pin("train/deep/"), ground.pin()
    assert files(ground.make(inner).path) == below("train/deep/")
    made = ground.make(outer)
    assert files(made.path) == below("train/")
    assert files(ground.make(inner).path) == below("train/deep/")


def test_names_that_files_can_have(ground: Ground) -> None:
    odd = {
        f"odd/{name}": name.encode()
        for name in ("a b", "ümläut", "100%25", "a+b", ".dot", "[*]", "'\"", "日本", "e\u0301")
    }
    ground.commit(odd)
    assert files(ground.make(ground.pin("odd/")).path) == {
        name.removeprefix("odd/"): data for name, data in odd.items()
    }


def test_content_beside_the_repository(ground: Ground) -> None:
    large = os.urandom(2**20) * 65
    ground.commit({"large/file": large, "large/small": b"s"})
    made = ground.make(ground.pin("large/"))
    assert made[1:] == (2, len(large) + 1, 2, len(large) + 1, 0)
    assert (made.path / "file").read_bytes() == large


def test_the_second_time_no_lake_is_asked(ground: Ground) -> None:
    pin = ground.pin()
    ground.make(pin)
    ground.lake.close()
    os.rename(ground.root / "lake", ground.root / "away")
    gone = GitLake(ground.root / "lake", "file:lake")
    path = materialise(gone, pin, ground.cache, ground.root / "second")
    assert files(path) == below("train/")


def test_only_what_is_new_is_fetched(ground: Ground) -> None:
    first = ground.make(ground.pin())
    ground.commit({"train/a.csv": b"x\n3\n", "train/new.csv": b"x\n1\n"})  # the second one's bytes are a.csv's old ones
    second = ground.make(ground.pin())
    assert (second.objects, second.fetched, second.fetched_bytes) == (5, 1, 4)
    assert files(second.path) == below("train/") | {"a.csv": b"x\n3\n", "new.csv": b"x\n1\n"}
    assert files(first.path) == below("train/")


def test_equal_bytes_come_once(ground: Ground) -> None:
    ground.commit({f"same/{number}": b"the same" for number in range(30)})
    made = ground.make(ground.pin("same/"))
    assert (made.objects, made.fetched) == (30, 1)
    assert files(made.path) == {str(number): b"the same" for number in range(30)}


def test_a_damaged_file_is_never_handed_on(ground: Ground) -> None:
    pin = ground.pin()
    first = ground.make(pin)
    overwrite(first.path / "a.csv", b"x\n9\n")  # a hard link: the cache's own file is damaged too
    elsewhere = ground.make(pin, "elsewhere")
    assert files(elsewhere.path) == below("train/")
    assert elsewhere.fetched == 1
    assert files(ground.make(pin).path) == below("train/")
    assert stat.S_IMODE((first.path / "a.csv").stat().st_mode) & 0o222 == 0


def test_files_that_were_only_touched_are_not_fetched(ground: Ground) -> None:
    pin = ground.pin()
    path = ground.make(pin).path
    for name in ("a.csv", "empty", "deep/c.json"):
        os.utime(path / name)
    assert ground.make(pin).fetched == 0
    assert {file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()} == {STAMP}


def test_what_was_removed_comes_back(ground: Ground) -> None:
    pin = ground.pin()
    path = ground.make(pin).path
    (path / "deep" / "er" / "b.csv").unlink()
    (path / "deep" / "er").rmdir()
    assert ground.make(pin).fetched == 0
    assert files(path) == below("train/")


def test_a_file_that_is_none_of_the_tree_s_is_refused_and_left(ground: Ground) -> None:
    pin = ground.pin()
    path = ground.make(pin).path
    (path / "deep" / "mine.csv").write_bytes(b"mine")
    with pytest.raises(PinError) as error:
        ground.make(pin)
    assert error.value.message == f"{path} holds 1 file that {pin.resolved} does not have"
    assert error.value.hint == "move them away, or remove the folder: it is made again"
    assert error.value.problems == ("deep/mine.csv",)
    assert error.value.exit_code == 4
    assert (path / "deep" / "mine.csv").read_bytes() == b"mine"


def test_a_link_in_a_file_s_place_is_replaced(ground: Ground) -> None:
    pin = ground.pin()
    path = ground.make(pin).path
    (ground.root / "elsewhere").write_bytes(b"x\n1\n")
    (path / "a.csv").unlink()
    (path / "a.csv").symlink_to(ground.root / "elsewhere")
    ground.make(pin)
    assert not (path / "a.csv").is_symlink()
    assert (ground.root / "elsewhere").read_bytes() == b"x\n1\n"


def test_another_listing_than_the_pinned_one(ground: Ground) -> None:
    pin = ground.pin()
    fields = {name: getattr(pin, name) for name in DatasetPin.model_fields if name not in ("seal", "digest")}
    forged = DatasetPin.sealed(**fields, digest="git-sha1-1:" + "0" * 64)
    with pytest.raises(PinError) as error:
        ground.make(forged)
    assert error.value.message == (
        f"dataset train: what the lake lists at {pin.resolved} has the digest {pin.digest}, "
        f"pinned is git-sha1-1:{'0' * 64}"
    )
    assert error.value.exit_code == 4
    assert not ground.folder.exists()


def test_checksums_of_another_kind_are_not_compared(ground: Ground) -> None:
    pin = ground.pin()
    fields = {name: getattr(pin, name) for name in DatasetPin.model_fields if name not in ("seal", "digest")}
    other = DatasetPin.sealed(**fields, digest=pin.digest.replace("git-sha1-1", "lakefs-etag-1"))
    with pytest.raises(PinError) as error:
        ground.make(other)
    assert error.value.message == (
        "dataset train is pinned by lakefs-etag-1 checksums, the lake file:lake has git-sha1-1"
    )


def test_a_commit_that_is_gone(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> None:
    pin = ground.pin()
    other = Ground(tmp_path_factory.mktemp("other"))
    with pytest.raises(PinError) as error:
        other.make(pin)
    assert error.value.message == (
        f"dataset train is pinned at {pin.resolved}, which is gone: "
        f'no branch, tag or commit "{pin.commit}" in the repository "weather"'
    )
    assert error.value.exit_code == 4


def test_a_damaged_object_in_the_lake(ground: Ground) -> None:
    pin = ground.pin()
    checksum = next(item.checksum for item in ground.lake.list("weather", pin.commit, "train/a.csv"))
    blob = ground.root / "lake" / "weather.git" / "objects" / checksum[:2] / checksum[2:]
    other = next(item.checksum for item in ground.lake.list("weather", pin.commit, "train/deep/er/b.csv"))
    overwrite(blob, (blob.parents[1] / other[:2] / other[2:]).read_bytes())
    with pytest.raises(PinError) as error:
        ground.make(pin)
    assert error.value.message == (
        f"{pin.resolved}a.csv is damaged: its bytes do not have the checksum that the commit names"
    )
    assert not ground.folder.exists() or files(ground.folder) == {}


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/out", "a//b", "./a", "a\\b"])
def test_names_that_would_leave_the_folder(ground: Ground, name: str) -> None:
    tree = LocalTree(
        ground.folder, ground.folder / "t", LakeURI("weather", "c0", "train/"), [Object(f"train/{name}", 1, "")]
    )
    with pytest.raises(UsageError) as error, tree.building():
        raise AssertionError("a place was made for it")
    assert error.value.message == "lakefs://weather/c0/train/ has names that a folder here cannot hold: 1"
    assert error.value.problems == (f"{name!r}: it could leave the folder",)
    assert list(ground.folder.iterdir()) == []


def test_a_path_that_is_too_long(ground: Ground) -> None:
    ground.folder = ground.root.joinpath(*["f" * 200] * 16)
    ground.commit({"long/" + "/".join(["n" * 240] * 4): b"far away"})
    pin = ground.pin("long/")
    with pytest.raises(MachineError) as error:
        materialise(ground.lake, pin, ground.cache, ground.folder)
    assert error.value.message == (
        f"{pin.resolved} has a name that is too long for a file in {ground.folder}: {'n' * 80}…"
    )
    assert error.value.hint == "use a folder with a shorter path, or a glob that leaves the object out"
    assert files(ground.folder) == {}


def test_something_else_in_the_tree_s_place(ground: Ground) -> None:
    pin = ground.pin()
    ground.folder.write_bytes(b"")
    with pytest.raises(MachineError) as error:
        ground.make(pin)
    assert error.value.message == f"{ground.folder} cannot be written: something else has its name"


class Watching:
    """Who watches: keeps what was said."""

    def __init__(self) -> None:
        self.expected: list[tuple[int, int]] = []
        self.done = (0, 0)

    def expect(self, objects: int, bytes: int) -> None:
        self.expected.append((objects, bytes))

    def advance(self, objects: int, bytes: int) -> None:
        self.done = (self.done[0] + objects, self.done[1] + bytes)


def test_progress_comes_to_the_whole(ground: Ground) -> None:
    ground.commit({"train/again": b"x\n1\n"})
    pin = ground.pin()
    for folder in ("first", "first", "second"):
        watching = Watching()
        materialise(ground.lake, pin, ground.cache, ground.root / folder, watching)
        assert watching.expected == [(5, 14)]
        assert watching.done == (5, 14)


def test_a_cache_that_loses_objects_is_said_to(ground: Ground) -> None:
    class Leaking(ObjectCache):
        """A cache that another program empties all the time."""

        def place(self, content: Content, destination: str) -> bool:
            self.trim(max_bytes=0)
            return super().place(content, destination)

    with pytest.raises(MachineError) as error:
        materialise(ground.lake, ground.pin(), Leaking(ground.root / "leaking"), ground.folder)
    assert error.value.message == f"the cache in {ground.root}/leaking loses what is put into it"
    assert files(ground.folder) == {}


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


def many(ground: Ground, count: int) -> DatasetPin:
    source = ground.root / "source"
    source.mkdir()
    for number in range(count):
        (source / str(number)).write_bytes(b"%d" % number * 100)
    list(ground.lake.put_many("weather", "main", ((f"many/{item.name}", item) for item in source.iterdir())))
    ground.lake.commit("weather", "main", "Put many")
    pin = ground.pin("many/")
    (ground.root / "pin.json").write_text(pin.model_dump_json(exclude_none=True))
    return pin


def start(ground: Ground) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", MAKE, str(ground.root)]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_after_kill_9_it_goes_on_where_it_was(ground: Ground) -> None:
    pin = many(ground, 6000)
    contents = [item.content(ground.lake.scheme) for item in ground.lake.list("weather", pin.commit, "many/")]
    process = start(ground)
    while not any(map(ground.cache.holds, contents)):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    tree = ground.folder / "weather" / pin.commit
    assert not tree.exists()  # half of it never stands there
    made = ground.make(pin)
    assert files(made.path) == {str(number): b"%d" % number * 100 for number in range(6000)}
    assert 0 < made.fetched < 6000


def test_two_processes_make_one_tree(ground: Ground) -> None:
    pin = many(ground, 500)
    processes = [start(ground) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, b"")
    path = ground.folder / "weather" / pin.commit / "many"
    assert files(path) == {str(number): b"%d" % number * 100 for number in range(500)}
    assert ground.make(pin).fetched == 0
    assert [item.name for item in ground.folder.iterdir()] == ["weather"]
