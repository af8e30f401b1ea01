"""Files into a lake and out again: all of it or nothing, nothing overwritten, nothing renamed, nothing outside."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from reprolock.errors import NotFound, PinError, ReprolockError, UsageError
from reprolock.files.object_cache import ObjectCache
from reprolock.lake.git.lake import GitLake
from reprolock.model.uri import LakeURI
from reprolock.steps.data.get import Got, get
from reprolock.steps.data.put import Listed, Moved, ls, put_tree
from reprolock.steps.inputs.portable_names import collisions, ignores_case, unsafe

MAIN = LakeURI("weather", "main")


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[GitLake]:
    lake = GitLake(tmp_path / "lake", "file:lake")
    lake.create_repository("weather")
    yield lake
    lake.close()


@pytest.fixture
def got(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Got]:
    """`get` with a cache of the test's own."""
    return partial(get, cache=ObjectCache(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of all ordinary kinds."""
    folder = tmp_path / "source"
    write(
        folder,
        {"a.csv": b"1\r\n", "sub/deep/b": b"", "sub/.hidden": b"h", "sub-a": b"s", "with space/é[1]{}*%.csv": b"x"},
    )
    return folder


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def at(path: str, ref: str = "main") -> LakeURI:
    return LakeURI("weather", ref, path)


class Counted:
    """A progress that a test can read."""

    def __init__(self) -> None:
        self.expected: list[tuple[int, int]] = []
        self.done = (0, 0)

    def expect(self, objects: int, bytes: int) -> None:
        self.expected.append((objects, bytes))

    def advance(self, objects: int, bytes: int) -> None:
        self.done = (self.done[0] + objects, self.done[1] + bytes)


def refused(kind: type[ReprolockError], call: object, *arguments: object) -> tuple[str, str | None, tuple[str, ...]]:
    with pytest.raises(kind) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.message, caught.value.hint, caught.value.problems


# in
def test_a_folder_goes_in_and_comes_back(lake: GitLake, folder: Path, got, tmp_path: Path) -> None:
    progress = Counted()
    assert put_tree(lake, folder, at("train/"), progress=progress) == Moved(5, 6)
    assert progress.expected == [(5, 6)]
    assert progress.done == (5, 6)
    listed = [found.path for found in lake.list("weather", "main")]
    assert listed == sorted((f"train/{name}" for name in contents(folder)), key=str.encode)
    progress = Counted()
    assert got(lake, at("train"), tmp_path / "out", progress=progress)[2:4] == (5, 6)
    assert progress.expected == [(5, 6)]
    assert progress.done == (5, 6)
    assert contents(tmp_path / "out") == contents(folder)
    assert sorted(os.listdir(tmp_path)) == ["lake", "out", "source"]


def test_a_folder_may_fill_a_branch(lake: GitLake, folder: Path, got, tmp_path: Path) -> None:
    put_tree(lake, folder, MAIN)
    got(lake, MAIN, tmp_path / "deep" / "out")
    assert contents(tmp_path / "deep" / "out") == contents(folder)


@pytest.mark.parametrize(("path", "expected"), [("", "a.csv"), ("to/", "to/a.csv"), ("to/b", "to/b")])
def test_where_a_file_goes(lake: GitLake, folder: Path, path: str, expected: str) -> None:
    assert put_tree(lake, folder / "a.csv", at(path)) == Moved(1, 3)
    assert [found.path for found in lake.list("weather", "main")] == [expected]


def test_links_within_the_folder_are_followed(lake: GitLake, folder: Path) -> None:
    (folder / "file-link").symlink_to("a.csv")
    (folder / "folder-link").symlink_to(folder / "sub", target_is_directory=True)
    assert put_tree(lake, folder, MAIN).objects == 8
    assert lake.open("weather", "main", "file-link").read() == b"1\r\n"
    assert lake.open("weather", "main", "folder-link/.hidden").read() == b"h"


def test_a_folder_that_is_a_link_itself(lake: GitLake, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert put_tree(lake, tmp_path / "link", MAIN).objects == 5


def test_all_that_cannot_be_put_is_named_at_once(lake: GitLake, folder: Path, tmp_path: Path) -> None:
    write(tmp_path, {"source-of-others/secret": b"s"})
    (folder / "out").symlink_to(tmp_path / "source-of-others" / "secret")
    (folder / "nowhere").symlink_to("missing")
    (folder / "sub" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "x").mkdir()
    (folder / "y").mkdir()
    (folder / "x" / "to-y").symlink_to("../y")
    (folder / "y" / "to-x").symlink_to("../x")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(folder)  # a socket's path has little room
        listening.bind("socket")
        os.chdir(here)
    write(folder, {"back\\slash": b"", "sub/.reprolock/stack/keys.json": b"{}"})
    (Path(os.fsdecode(os.fsencode(folder) + b"/latin-\xe9"))).write_bytes(b"")
    message, hint, problems = refused(UsageError, put_tree, lake, folder, at("train"))
    assert message == f"{folder} holds what a lake cannot: {len(problems)} things"
    assert hint == "rename or remove them, then put the folder again; or name a folder that holds data alone"
    assert sorted(problems) == sorted(
        [
            f"{folder}/out is a symbolic link that leaves the folder",
            f"{folder}/nowhere is a symbolic link that leads nowhere",
            f"{folder}/sub/up is a symbolic link that leads to a folder that contains it",
            f"{folder}/x/to-y/to-x is a symbolic link that leads to a folder that contains it",
            f"{folder}/y/to-x/to-y is a symbolic link that leads to a folder that contains it",
            f"{folder}/pipe is a pipe, not a file",
            f"{folder}/socket is a socket, not a file",
            f"{folder}/sub/.reprolock is reprolock's own, and may hold credentials",
            '"back\\slash" contains a backslash, which Windows takes for a separator of folders',
            "'latin-\\udce9' is not UTF-8",
        ]
    )
    assert not lake.uncommitted("weather", "main")


def test_what_is_not_there_or_empty(lake: GitLake, tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    (empty / "sub").mkdir(parents=True)
    assert refused(UsageError, put_tree, lake, missing, MAIN)[:2] == (
        f"{missing} does not exist",
        "name a file or folder that exists",
    )
    assert refused(UsageError, put_tree, lake, empty, MAIN)[:2] == (
        f"{empty} has no files in it",
        "a lake holds files, not folders; name one that has some",
    )


def test_nothing_is_staged_when_a_name_fails_in_the_lake(lake: GitLake, folder: Path) -> None:
    write(folder, {"sub/.git/config": b""})
    message = refused(ReprolockError, put_tree, lake, folder, at("train"))[0]
    assert message == 'lakefs://weather/main/train/sub/.git cannot be stored: Git keeps the name ".git" for itself'
    assert not lake.uncommitted("weather", "main")


# out
def put(lake: GitLake, *paths: str) -> None:
    for path in paths:
        lake.put("weather", "main", path, io.BytesIO(path.encode()))


def test_where_an_object_goes(lake: GitLake, got, tmp_path: Path) -> None:
    put(lake, "train/a.csv")
    (tmp_path / "folder").mkdir()
    assert got(lake, at("train/a.csv"), tmp_path / "new.csv") == Got(tmp_path / "new.csv", "main", 1, 11, 1, 11, 0)
    lake.commit("weather", "main", "one")
    assert got(lake, at("train/a.csv"), tmp_path / "folder").dest == tmp_path / "folder" / "a.csv"
    assert got(lake, at("train/a.csv"), tmp_path / "again").ref == lake.resolve("weather", "main").id
    got(lake, at("train/a.csv"), tmp_path / "made" / "here.csv")
    for file in ("new.csv", "folder/a.csv", "again", "made/here.csv"):
        assert (tmp_path / file).read_bytes() == b"train/a.csv"


def test_nothing_is_overwritten(lake: GitLake, got, tmp_path: Path) -> None:
    put(lake, "train/a.csv")
    write(tmp_path, {"file": b"mine", "full/a.csv": b"mine"})
    (tmp_path / "dangling").symlink_to("missing")
    for uri, dest, named in (
        (at("train/a.csv"), "file", "file"),
        (at("train/a.csv"), "full", "full/a.csv"),
        (at("train/a.csv"), "dangling", "dangling"),
        (at("train"), "file", "file"),
        (at("train"), "full", "full"),
    ):
        assert refused(UsageError, got, lake, uri, tmp_path / dest)[:2] == (
            f"{tmp_path / named} is already there",
            "choose another DEST, or move it away",
        )
    assert contents(tmp_path / "full") == {"a.csv": b"mine"}
    assert (tmp_path / "file").read_bytes() == b"mine"
    (tmp_path / "empty").mkdir()
    got(lake, at("train"), tmp_path / "empty")
    assert contents(tmp_path / "empty") == {"a.csv": b"train/a.csv"}


def test_nothing_is_there(lake: GitLake, got, tmp_path: Path) -> None:
    assert refused(NotFound, got, lake, at("train"), tmp_path / "out")[0] == "nothing is at lakefs://weather/main/train"
    assert refused(NotFound, got, lake, MAIN, tmp_path / "out")[0] == "nothing is at lakefs://weather/main/"
    assert os.listdir(tmp_path) == ["lake"]


def test_a_commit_and_what_is_staged(lake: GitLake, got, tmp_path: Path) -> None:
    put(lake, "a")
    lake.commit("weather", "main", "one")
    put(lake, "b")
    got(lake, MAIN, tmp_path / "staged")
    got(lake, at("", "main~0"), tmp_path / "committed")
    assert sorted(contents(tmp_path / "staged")) == ["a", "b"]
    assert sorted(contents(tmp_path / "committed")) == ["a"]


def test_a_damaged_object_leaves_nothing_behind(lake: GitLake, got, tmp_path: Path) -> None:
    put(lake, *(f"train/{number:03d}" for number in range(50)))
    made = lake.put("weather", "main", "train/025", io.BytesIO(b"good!"))
    other = lake.put("weather", "main", "other", io.BytesIO(b"evil!"))
    head = lake.commit("weather", "main", "one").id
    objects = tmp_path / "lake" / "weather.git" / "objects"
    file = objects / made.checksum[:2] / made.checksum[2:]
    file.chmod(0o644)
    file.write_bytes((objects / other.checksum[:2] / other.checksum[2:]).read_bytes())
    message = refused(PinError, got, lake, at("train"), tmp_path / "out")[0]
    assert message == (
        f"lakefs://weather/{head}/train/025 is damaged: its bytes do not have the checksum that the commit names"
    )
    assert os.listdir(tmp_path) == ["lake"]


def test_names_too_long_for_a_folder(lake: GitLake, got, tmp_path: Path) -> None:
    put(lake, "train/" + "é" * 200, "train/good")
    message, hint, problems = refused(UsageError, got, lake, at("train"), tmp_path / "out")
    assert message == "lakefs://weather/main/train has names that a folder here cannot hold: 1"
    assert hint == "get the objects one by one under names of your own"
    assert problems == (f"{'é' * 200!r}: a part of it is longer than 255 bytes",)
    assert os.listdir(tmp_path) == ["lake"]
    got(lake, at("train/" + "é" * 200), tmp_path / "short")
    assert (tmp_path / "short").read_bytes() == ("train/" + "é" * 200).encode()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a", "it could leave the folder"),
        ("a/../../b", "it could leave the folder"),
        ("/etc/passwd", "it could leave the folder"),
        ("a//b", "it could leave the folder"),
        ("a\\..\\b", "it could leave the folder"),
        ("", "it is not a file's name"),
        ("a/", "it is not a file's name"),
        ("a" * 256, "a part of it is longer than 255 bytes"),
        ("...", None),
        ("a/..b", None),
        ("C:/x", None),
        ("con.txt", None),
    ],
)
def test_names_of_a_foreign_lake(name: str, reason: str | None) -> None:
    assert unsafe(name, windows=False) == reason


@pytest.mark.parametrize("name", ["C:/x", "con.txt", "a/NUL", "a/com1 .csv", "a./b", "a ", "a?", "a\nb"])
def test_names_of_windows(name: str) -> None:
    assert unsafe(name, windows=True) == "Windows does not allow such a name"


def test_names_that_are_one_where_case_is_ignored() -> None:
    names = ["A/x", "a/y", "b", "B", "caf\u00e9", "cafe\u0301", "d", "ss", "ß"]
    assert collisions(names, fold=False) == []
    assert collisions(names, fold=True) == [("A", "a"), ("b", "B"), ("caf\u00e9", "cafe\u0301"), ("ss", "ß")]


def test_a_file_and_a_folder_of_one_name() -> None:
    assert collisions(["a", "a/b", "a/c", "a-b", "b/c/d", "b/c"], fold=False) == [("a", "a/b"), ("b/c", "b/c/d")]


def test_the_file_system_is_asked_about_case(tmp_path: Path) -> None:
    (tmp_path / "Probe").touch()
    assert ignores_case(tmp_path) == (tmp_path / "pROBE").exists()
    assert os.listdir(tmp_path) == ["Probe"]


# what is there
def test_one_level_and_all_levels(lake: GitLake) -> None:
    put(lake, "a", "b/x", "b/y/z", "b-c", "b.c/d")
    assert list(ls(lake, MAIN)) == [
        Listed("a", 1, 1),
        Listed("b-c", 1, 3),
        Listed("b.c/", 1, 5),
        Listed("b/", 2, 8),
    ]
    assert [found.is_folder for found in ls(lake, MAIN)] == [False, False, True, True]
    for uri in (at("b"), at("b/")):
        assert list(ls(lake, uri)) == [Listed("b/x", 1, 3), Listed("b/y/", 1, 5)]
        assert list(ls(lake, uri, recursive=True)) == [Listed("b/x", 1, 3), Listed("b/y/z", 1, 5)]
    assert list(ls(lake, at("b/x"))) == list(ls(lake, at("b/x"), recursive=True)) == [Listed("b/x", 1, 3)]
    assert len(list(ls(lake, MAIN, recursive=True))) == 5
    with pytest.raises(NotFound):
        list(ls(lake, at("c")))
