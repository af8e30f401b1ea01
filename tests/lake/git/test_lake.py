"""The embedded lake keeps the contract, and what is its own: Git underneath, large objects, damage, other writers."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import ObjectType

pytest.register_assert_rewrite("lake_suite")

from lake_suite import LakeContract, commit, paths, problem, put, read

import reprolock.errors
from reprolock.errors import Damaged, LakeRefused, MachineError, NotFound, PinError, UsageError
from reprolock.lake.git import repository as git_store
from reprolock.lake.git.blobs import LARGE
from reprolock.lake.git.lake import GitLake

ROOT = Path(reprolock.errors.__file__).parents[1]
RESTORE = "restore the lake from a backup; `reprolock lock --upgrade` pins a commit that is whole"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[GitLake]:
    lake = GitLake(tmp_path / "lake", "file:lake")
    yield lake
    lake.close()


class TestGitLake(LakeContract):
    object_beside_folder = False
    any_segment = False
    commit_id = r"[0-9a-f]{40}"


@pytest.fixture
def weather(lake: GitLake) -> str:
    lake.create_repository("weather")
    return "weather"


@pytest.fixture
def git(tmp_path: Path, weather: str) -> pygit2.Repository:
    """The repository as any Git client sees it."""
    return pygit2.Repository(str(tmp_path / "lake" / "weather.git"))


def test_a_new_lake_hides_itself_from_the_git_of_its_project(tmp_path: Path) -> None:
    pygit2.init_repository(str(tmp_path))
    GitLake(tmp_path / "lake", "file:lake").create_repository("weather")
    assert pygit2.Repository(str(tmp_path)).status() == {}
    (tmp_path / "lake" / ".gitignore").unlink()  # an owner who wants it otherwise
    GitLake(tmp_path / "lake", "file:lake").create_repository("climate")
    assert not (tmp_path / "lake" / ".gitignore").exists()


def again(tmp_path: Path) -> GitLake:
    """The lake as the next process opens it."""
    return GitLake(tmp_path / "lake", "file:lake")


def loose(git: pygit2.Repository, oid: object) -> Path:
    return Path(git.path) / "objects" / str(oid)[:2] / str(oid)[2:]


# the folder
def test_a_lake_that_is_not_there_yet(lake: GitLake) -> None:
    assert problem(NotFound, lake.resolve, "weather", "main") == (
        "the lake file:lake is not there yet",
        "make it with its first repository: `reprolock data create lakefs://weather`",
    )


def test_storage_is_for_servers(lake: GitLake) -> None:
    assert problem(UsageError, lake.create_repository, "weather", storage="s3://bucket/") == (
        "the lake file:lake keeps its objects in its own folder, not in s3://bucket/",
        "leave `--storage` out, or name a lakeFS server as the endpoint",
    )


def test_a_name_never_leaves_the_folder(lake: GitLake, tmp_path: Path) -> None:
    lake.create_repository("weather")
    shutil.copytree(tmp_path / "lake" / "weather.git", tmp_path / "outside.git")
    for name in ("../outside", str(tmp_path / "outside"), "..", ""):
        assert problem(NotFound, lake.resolve, name, "main")[0] == f'no repository "{name}" in the lake file:lake'


def test_a_folder_that_is_no_repository(lake: GitLake, tmp_path: Path) -> None:
    (tmp_path / "lake" / "weather.git").mkdir(parents=True)
    message, hint = problem(MachineError, lake.resolve, "weather", "main")
    folder = tmp_path / "lake" / "weather.git"
    assert message.startswith(f"{folder} cannot be opened as a Git repository: ")
    assert hint == f"if it is another user's, allow it with `git config --global --add safe.directory {folder}`"


def test_nothing_is_left_of_a_repository_that_was_not_made(lake: GitLake, weather: str, tmp_path: Path) -> None:
    problem(LakeRefused, lake.create_repository, "weather")
    assert sorted(os.listdir(tmp_path / "lake")) == [".gitignore", "weather.git"]


def test_spark_has_no_address_here(lake: GitLake) -> None:
    assert lake.address(reprolock.model.uri.LakeURI("weather", "main", "train")) is None


# Git underneath
def test_commits_are_dated_by_the_clock_that_was_handed_in(tmp_path: Path) -> None:
    lake = GitLake(tmp_path / "lake", "file:lake", lambda: datetime(2026, 1, 2, 3, 4, 5, 999_999, UTC))
    lake.create_repository("weather")
    assert lake.resolve("weather", "main").time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_equal_histories_have_equal_commits(tmp_path: Path) -> None:
    heads = set()
    for name in ("one", "two"):
        lake = GitLake(tmp_path / name, "file:lake", lambda: datetime(2026, 1, 2, tzinfo=UTC))
        lake.create_repository("weather")
        put(lake, "weather", "a/b", b"1")
        heads.add(lake.commit("weather", "main", "text", {"b": "1", "a": "2"}).id)
    assert len(heads) == 1


def test_plain_git_reads_the_lake_and_may_collect_its_garbage(lake: GitLake, weather: str, tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("no git on PATH")
    deleted = None
    head = commit(lake, weather, {"a/b.csv": b"1,2\n", "c": b""}, message="first")
    lake.create_branch(weather, "dev", "main")
    deleted = commit(lake, weather, {"only-here": b"x"}, "dev")
    lake.delete_branch(weather, "dev")
    put(lake, weather, "staged", b"not committed")
    lake.close()
    repository = tmp_path / "lake" / "weather.git"

    def run(*arguments: str) -> str:
        command = ["git", "-c", f"safe.directory={repository}", "-C", str(repository), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert run("show", "main:a/b.csv") == "1,2\n"
    assert run("log", "--format=%an %s", "main").splitlines() == ["reprolock first", "reprolock Repository created"]
    run("gc", "--quiet", "--prune=now")
    run("fsck", "--strict")
    assert read(lake, weather, head, "a/b.csv") == b"1,2\n"
    assert read(lake, weather, deleted, "only-here") == b"x"
    assert read(lake, weather, "main", "staged") == b"not committed"
    assert lake.resolve(weather, head[:7]).id == head


def test_a_commit_that_plain_git_made_under_a_staged_change(
    lake: GitLake, weather: str, git: pygit2.Repository
) -> None:
    commit(lake, weather, {"a": b"1", "b": b"1", "c": b"1"})
    put(lake, weather, "a", b"staged")
    put(lake, weather, "b", b"staged")
    author = pygit2.Signature("somebody", "somebody@example.com")
    builder = git.TreeBuilder(git.head.peel(pygit2.Tree))
    for name in ("b", "c", "d"):
        builder.insert(name, git.create_blob(b"pushed"), pygit2.enums.FileMode.BLOB)
    pushed = git.create_commit("refs/heads/main", author, author, "pushed", builder.write(), [git.head.target])
    expected = {"a": b"staged", "b": b"staged", "c": b"pushed", "d": b"pushed"}
    assert {name: read(lake, weather, "main", name) for name in expected} == expected
    assert lake.uncommitted(weather, "main", "a")
    assert not lake.uncommitted(weather, "main", "c")
    made = lake.commit(weather, "main", "both")
    assert made.parents == (str(pushed),)
    assert {name: read(lake, weather, made.id, name) for name in expected} == expected


def test_plain_git_moves_the_head_while_a_commit_is_made(tmp_path: Path) -> None:
    """The clock is the last thing that is asked before the commit is written, so here the other writer comes in."""

    def clock() -> datetime:
        if moving:
            author = pygit2.Signature("somebody", "somebody@example.com")
            git.create_commit(
                "refs/heads/main", author, author, "pushed", git.head.peel(pygit2.Tree).id, [git.head.target]
            )
        return datetime(2026, 1, 2, tzinfo=UTC)

    moving = False
    lake = GitLake(tmp_path / "lake", "file:lake", clock)
    lake.create_repository("weather")
    git = pygit2.Repository(str(tmp_path / "lake" / "weather.git"))
    put(lake, "weather", "a", b"1")
    moving = True
    assert problem(LakeRefused, lake.commit, "weather", "main", "text") == (
        'the branch "main" of the repository "weather" was changed by another user at the same time',
        "try again",
    )
    moving = False
    assert [found.message for found in lake.ancestors("weather", "main")] == ["pushed", "Repository created"]
    lake.commit("weather", "main", "text")
    assert read(lake, "weather", "main~0", "a") == b"1"


def test_a_branch_of_plain_git_that_is_in_the_way(lake: GitLake, weather: str, git: pygit2.Repository) -> None:
    git.references.create("refs/heads/team/x", git.head.target)
    assert list(lake.branches(weather)) == ["main", "team/x"]
    assert problem(LakeRefused, lake.create_branch, weather, "team", "main") == (
        '"team" cannot be the name of a branch: Git cannot hold it beside "team/x", which another client made',
        "choose another name for the branch",
    )


def test_modes_and_modules_of_plain_git(lake: GitLake, weather: str, git: pygit2.Repository) -> None:
    builder = git.TreeBuilder()
    builder.insert("script.sh", git.create_blob(b"#!/bin/sh\n"), pygit2.enums.FileMode.BLOB_EXECUTABLE)
    builder.insert("module", git.head.target, pygit2.enums.FileMode.COMMIT)
    author = pygit2.Signature("somebody", "somebody@example.com")
    git.create_commit("refs/heads/main", author, author, "pushed", builder.write(), [git.head.target])
    assert [(found.path, found.size) for found in lake.list(weather, "main")] == [("script.sh", 10)]
    assert read(lake, weather, "main", "script.sh") == b"#!/bin/sh\n"


def test_an_object_that_meets_a_folder_in_a_merge_is_a_conflict(lake: GitLake, weather: str) -> None:
    lake.create_branch(weather, "dev", "main")
    commit(lake, weather, {"data": b"an object"})
    commit(lake, weather, {"data/part": b"in a folder"}, "dev")
    with pytest.raises(LakeRefused) as caught:
        lake.merge(weather, "dev", "main", "Merge dev")
    assert caught.value.problems == ("data",)


def test_a_short_id_that_two_commits_share(tmp_path: Path) -> None:
    """The ID of a commit follows from its text, so two texts can be searched whose IDs begin alike."""
    lake = GitLake(tmp_path / "lake", "file:lake", lambda: datetime(2026, 1, 2, tzinfo=UTC))
    lake.create_repository("weather")
    put(lake, "weather", "a", b"1")
    first = lake.commit("weather", "main", "0")
    raw = pygit2.Repository(str(tmp_path / "lake" / "weather.git"))[first.id].read_raw()
    header = raw.removesuffix(b"0")
    seen: dict[str, str] = {}
    for number in count():
        body = header + b"%d" % number
        short = hashlib.sha1(b"commit %d\0" % len(body) + body).hexdigest()[:7]
        if short in seen:
            break
        seen[short] = str(number)
    for branch, message in (("one", seen[short]), ("two", str(number))):
        lake.create_branch("weather", branch, "main~1")
        put(lake, "weather", "a", b"1", branch)
        assert lake.commit("weather", branch, message).id.startswith(short)
    assert problem(NotFound, lake.resolve, "weather", short) == (
        f'"{short}" is the beginning of more than one commit ID in the repository "weather"',
        "write more digits of the commit ID",
    )
    assert lake.resolve("weather", lake.resolve("weather", "two").id[:12]).message == str(number)


# large objects
@pytest.fixture
def large(tmp_path: Path) -> Path:
    """One byte more than Git gets, with something to read at both ends."""
    file = tmp_path / "large.bin"
    with open(file, "wb") as stream:
        stream.write(b"begins")
        stream.seek(LARGE - 3)
        stream.write(b"ends")
    assert file.stat().st_size == LARGE + 1
    return file


def sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def test_a_large_object_stands_beside_git(lake: GitLake, weather: str, large: Path, tmp_path: Path) -> None:
    stored = lake.put(weather, "main", "data/large.bin", large)
    assert stored == ("data/large.bin", LARGE + 1, sha256(large))
    head = lake.commit(weather, "main", "large").id
    copy = tmp_path / "lake" / "weather.git" / "large" / stored.checksum[:2] / stored.checksum
    assert copy.stat().st_size == LARGE + 1
    assert copy.stat().st_mode & 0o777 == 0o444
    for ref in ("main", head):
        assert list(lake.list(weather, ref)) == [stored]
        assert lake.stat(weather, ref, "data/large.bin") == stored
        with lake.open(weather, ref, "data/large.bin") as stream:
            assert stream.read(6) == b"begins"
            assert hashlib.sha256(b"begins" + stream.read()).hexdigest() == stored.checksum
    blobs = [
        oid for oid in pygit2.Repository(str(tmp_path / "lake" / "weather.git")) if loose_size(tmp_path, oid) > 1000
    ]
    assert blobs == []


def loose_size(tmp_path: Path, oid: object) -> int:
    return loose(pygit2.Repository(str(tmp_path / "lake" / "weather.git")), oid).stat().st_size


def test_a_large_stream_is_as_good_as_a_file(lake: GitLake, weather: str, large: Path) -> None:
    class Trickle(io.RawIOBase):
        """Answers with less than it is asked for, as sockets do."""

        def __init__(self) -> None:
            self.file = open(large, "rb")

        def read(self, size: int = -1) -> bytes:
            return self.file.read(min(size, 700_001))

    one = lake.put(weather, "main", "same", large)
    stream = Trickle()
    assert lake.put(weather, "main", "same", stream) == one  # type: ignore[arg-type]
    stream.file.close()


def test_the_largest_object_that_git_gets(lake: GitLake, weather: str, large: Path, tmp_path: Path) -> None:
    os.truncate(large, LARGE)
    stored = lake.put(weather, "main", "a", large)
    assert len(stored.checksum) == 40
    assert not (tmp_path / "lake" / "weather.git" / "large").exists()
    assert len(read(lake, weather, "main", "a")) == LARGE


def test_a_users_file_that_looks_like_a_pointer_is_data(
    lake: GitLake, weather: str, large: Path, tmp_path: Path
) -> None:
    stored = lake.put(weather, "main", "large", large)
    pointer = f"reprolock large object\nsha256 {stored.checksum}\nsize {stored.size}\n".encode()
    git = pygit2.Repository(str(tmp_path / "lake" / "weather.git"))
    assert git[pygit2.hash(pointer)].data == pointer  # this is indeed what stands for the large object
    put(lake, weather, "pointer", pointer)
    head = lake.commit(weather, "main", "both").id
    assert read(lake, weather, head, "pointer") == pointer
    assert lake.stat(weather, head, "pointer").size == len(pointer)
    assert lake.stat(weather, head, "large").size == LARGE + 1


def test_a_large_object_that_is_gone_or_damaged(lake: GitLake, weather: str, large: Path, tmp_path: Path) -> None:
    stored = lake.put(weather, "main", "a/large", large)
    head = lake.commit(weather, "main", "large").id
    copy = tmp_path / "lake" / "weather.git" / "large" / stored.checksum[:2] / stored.checksum
    copy.chmod(0o644)
    damaged = (
        f"lakefs://weather/{head}/a/large is damaged: its bytes do not have the checksum that the commit names",
        RESTORE,
    )
    with open(copy, "r+b") as stream:
        stream.seek(1000)
        stream.write(b"!")
    assert problem(Damaged, read, lake, weather, "main", "a/large") == damaged
    os.truncate(copy, 10)
    assert problem(Damaged, lake.stat, weather, head, "a/large") == damaged
    assert problem(Damaged, lake.open, weather, head, "a/large") == damaged
    copy.unlink()
    gone = (
        f"lakefs://weather/{head}/a/large is gone: the commit names it, but the lake no longer has its bytes",
        RESTORE,
    )
    for call in (lake.stat, lake.open, lake.list):
        assert problem(PinError, call, weather, head, "a/large") == gone
    # Putting the same bytes again heals the lake.
    lake.put(weather, "main", "elsewhere", large)
    assert lake.stat(weather, head, "a/large") == stored


# damage
def test_a_small_object_that_is_gone_or_damaged(
    lake: GitLake, weather: str, git: pygit2.Repository, tmp_path: Path
) -> None:
    stored = put(lake, weather, "train/a", b"the right bytes")
    other = put(lake, weather, "train/b", b"the wrong bytes")
    head = lake.commit(weather, "main", "one").id
    file = loose(git, stored.checksum)
    file.chmod(0o644)
    damaged = f"lakefs://weather/{head}/train/a is damaged: its bytes do not have the checksum that the commit names"
    shutil.copy(loose(git, other.checksum), file)
    for ref in ("main", head):
        assert problem(Damaged, again(tmp_path).open, weather, ref, "train/a") == (damaged, RESTORE)
    file.write_bytes(b"no Git object at all")
    assert problem(Damaged, again(tmp_path).open, weather, head, "train/a") == (damaged, RESTORE)
    assert problem(Damaged, again(tmp_path).list, weather, head) == (damaged, RESTORE)
    file.unlink()
    gone = f"lakefs://weather/{head}/train/a is gone: the commit names it, but the lake no longer has its bytes"
    for call in (again(tmp_path).stat, again(tmp_path).open, again(tmp_path).list):
        assert problem(PinError, call, weather, head, "train/a") == (gone, RESTORE)
    assert read(again(tmp_path), weather, head, "train/b") == b"the wrong bytes"


@pytest.mark.parametrize("what", ["object", "folder", "commit"])
def test_what_was_cut_short_is_damaged_and_nobody_waits_for_it(
    lake: GitLake, weather: str, git: pygit2.Repository, tmp_path: Path, what: str
) -> None:
    """libgit2 alone would read on for ever."""
    head = commit(lake, weather, {"train/a": b"1"})
    found = git[head]
    file = loose(git, {"object": found.tree["train/a"].id, "folder": found.tree["train"].id, "commit": head}[what])
    file.chmod(0o644)
    path = {"object": "train/a", "folder": "train", "commit": ""}[what]
    damaged = f"lakefs://weather/{head}/{path} is damaged: its bytes do not have the checksum that the commit names"
    for size in (file.stat().st_size - 4, file.stat().st_size // 2):
        os.truncate(file, size)
        assert problem(Damaged, again(tmp_path).open, weather, "main", "train/a") == (damaged, RESTORE)


def test_a_folder_that_is_gone(lake: GitLake, weather: str, git: pygit2.Repository, tmp_path: Path) -> None:
    head = commit(lake, weather, {"train/deep/a": b"1", "b": b"1"})
    loose(git, git[head].tree["train/deep"].id).unlink()
    gone = f"lakefs://weather/{head}/train/deep is gone: the commit names it, but the lake no longer has its bytes"
    for call in (again(tmp_path).stat, again(tmp_path).open):
        assert problem(PinError, call, weather, head, "train/deep/a") == (gone, RESTORE)
    assert problem(PinError, again(tmp_path).list, weather, head) == (gone, RESTORE)
    assert read(again(tmp_path), weather, head, "b") == b"1"


def test_a_commit_that_is_gone(lake: GitLake, weather: str, git: pygit2.Repository, tmp_path: Path) -> None:
    first, second = (commit(lake, weather, {"a": data}) for data in (b"1", b"2"))
    loose(git, first).unlink()
    gone = f"lakefs://weather/{first}/ is gone: the commit names it, but the lake no longer has its bytes"
    assert problem(PinError, again(tmp_path).resolve, weather, "main~1") == (gone, RESTORE)
    assert problem(PinError, again(tmp_path).ancestors, weather, "main") == (gone, RESTORE)
    assert problem(NotFound, again(tmp_path).resolve, weather, first)[0].startswith(
        f'no branch, tag or commit "{first}"'
    )
    assert again(tmp_path).resolve(weather, "main").id == second


@pytest.mark.parametrize("seconds", [99_999_999_999_999, -99_999_999_999_999])
def test_a_commit_of_a_time_that_no_calendar_has(
    lake: GitLake, weather: str, git: pygit2.Repository, seconds: int
) -> None:
    tree = git[git.head.target].peel(pygit2.Commit).tree_id
    by = f"ann <ann@localhost> {seconds} +0000"
    made = git.write(ObjectType.COMMIT, f"tree {tree}\nauthor {by}\ncommitter {by}\n\nodd\n".encode())
    git.references.create("refs/heads/odd", made)
    for call in (lambda: lake.resolve(weather, "odd"), lambda: list(lake.ancestors(weather, "odd"))):
        with pytest.raises(Damaged, match=f"lakefs://{weather}/{made}/ is damaged"):
            call()


def test_a_reference_whose_file_is_damaged(lake: GitLake, weather: str, git: pygit2.Repository) -> None:
    Path(git.path, "refs", "heads", "odd").write_text("no commit\n")
    with pytest.raises(MachineError) as caught:
        lake.resolve(weather, "odd")
    assert caught.value.message == (
        f"{git.path} cannot be read as a Git repository: refs/heads/odd: corrupted loose reference file: refs/heads/odd"
    )


def test_a_merge_over_a_gap_in_the_history(lake: GitLake, weather: str, git: pygit2.Repository, tmp_path: Path) -> None:
    middle = commit(lake, weather, {"a": b"1"})
    lake.create_branch(weather, "dev", "main~1")
    ours, theirs = commit(lake, weather, {"a": b"2"}), commit(lake, weather, {"b": b"1"}, "dev")
    loose(git, middle).unlink()
    assert problem(PinError, again(tmp_path).merge, weather, "dev", "main", "text") == (
        f'the history of {ours} and {theirs} in the repository "weather" has gaps: commits are gone or damaged',
        "restore the lake from a backup",
    )


@pytest.mark.parametrize("path", ["a//b", "a/../a", "./a", "/a", "a\0b", "a\udcffb", "a\\b", "x" * 5000])
def test_paths_that_cannot_be_there_are_not_there(lake: GitLake, weather: str, path: str) -> None:
    put(lake, weather, "a")
    for call in (lake.stat, lake.open, lake.list):
        assert problem(NotFound, call, weather, "main", path)[0] == f"nothing is at lakefs://weather/main/{path}"
    assert not lake.uncommitted(weather, "main", path)


@pytest.mark.parametrize("ref", ["main\0", "main\0x", "\udcff", "main$", "a b", "refs/heads/main", "HEAD", "..", ""])
def test_refs_that_cannot_be_there_are_not_there(lake: GitLake, weather: str, ref: str) -> None:
    missing = f'no branch, tag or commit "{ref}" in the repository "weather"'
    assert problem(NotFound, lake.resolve, weather, ref)[0] == missing
    assert problem(NotFound, put, lake, weather, "a", b"", ref)[0].startswith(f'no branch "{ref}"')


# faults of the machine, and other writers
def test_what_is_staged_outlives_the_process(lake: GitLake, weather: str, tmp_path: Path) -> None:
    put(lake, weather, "a", b"staged")
    lake.close()
    assert read(again(tmp_path), weather, "main", "a") == b"staged"
    assert again(tmp_path).commit(weather, "main", "later").message == "later"
    assert not again(tmp_path).uncommitted(weather, "main")


def test_a_failed_put_of_many_stages_nothing(lake: GitLake, weather: str, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_bytes(b"1")
    arriving = lake.put_many(weather, "main", [("a", good), ("b", tmp_path / "missing")])
    assert next(arriving).path == "a"
    assert problem(UsageError, next, arriving)[0] == f"{tmp_path / 'missing'} does not exist"
    assert not lake.uncommitted(weather, "main")


def test_pipes_are_refused_at_once(lake: GitLake, weather: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert problem(UsageError, lake.put, weather, "main", "a", tmp_path / "pipe") == (
        f"{tmp_path / 'pipe'} is not a regular file",
        "put a file or a folder of files",
    )


PUTTING = """
import io, sys
from pathlib import Path
from reprolock.lake.git.lake import GitLake
lake = GitLake(Path(sys.argv[1]), "file:lake")
for number in range(int(sys.argv[3])):
    lake.put("weather", "main", f"{sys.argv[2]}/{number}", io.BytesIO(b"%d" % number))
    print(number, flush=True)
"""


def putting(tmp_path: Path, name: str, times: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PUTTING, str(tmp_path / "lake"), name, str(times)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_two_processes_put_at_once_and_lose_nothing(lake: GitLake, weather: str, tmp_path: Path) -> None:
    processes = [putting(tmp_path, name, 60) for name in ("one", "two")]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert set(paths(lake.list(weather, "main"))) == {
        f"{name}/{number}" for name in ("one", "two") for number in range(60)
    }


def test_a_killed_writer_leaves_whole_objects_and_no_guard(lake: GitLake, weather: str, tmp_path: Path) -> None:
    for round_ in range(3):
        process = putting(tmp_path, f"round-{round_}", 100_000)
        assert process.stdout is not None
        while int(process.stdout.readline()) < 20 + 7 * round_:
            pass
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split()
        done = max([20 + 7 * round_, *(int(number) for number in rest if number.isdigit())])
        numbers = sorted(int(found.path.partition("/")[2]) for found in lake.list(weather, "main", f"round-{round_}"))
        # All that it said it had done, and at most the one that it was about to say.
        assert numbers in (list(range(done + 1)), list(range(done + 2)))
        for number in numbers:
            assert read(lake, weather, "main", f"round-{round_}/{number}") == b"%d" % number
    assert lake.commit(weather, "main", "what was there")


def test_a_writer_waits_for_the_guard_and_says_so(
    lake: GitLake, weather: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_store, "GUARD_SECONDS", 1.0)
    with git_store.Store(tmp_path / "lake" / "weather.git", weather).guard():
        started = time.monotonic()
        assert problem(LakeRefused, put, lake, weather, "a") == (
            'another process has been writing to the repository "weather" for 1 s',
            "end that process, or try again when it is done",
        )
        assert time.monotonic() - started >= 1
        assert list(lake.list(weather, "main")) == []


@pytest.mark.parametrize("most", [0, 40, 100])
def test_a_disk_that_does_not_take_the_commit(lake: GitLake, weather: str, tmp_path: Path, most: int) -> None:
    put(lake, weather, "a", b"small")
    before = lake.resolve(weather, "main").id
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        said = problem(MachineError, lake.commit, weather, "main", "Not taken")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    folder = tmp_path / "lake" / "weather.git"
    assert said == (
        f"the lake in {folder} cannot be written: file too large",
        f"check the disk that holds {folder} and try again",
    )
    assert lake.resolve(weather, "main").id == before
    lake.commit(weather, "main", "Taken")
    assert paths(lake.list(weather, "main")) == ["a"]


@pytest.mark.parametrize("size", [2**20, LARGE + 1])
def test_a_disk_that_takes_no_more(lake: GitLake, weather: str, tmp_path: Path, size: int) -> None:
    """A limit on the size of files stands for the full disk: both come as a failing write."""
    (tmp_path / "random").write_bytes(os.urandom(2**20))
    os.truncate(tmp_path / "random", size)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, hard))
    try:
        said = problem(MachineError, lake.put, weather, "main", "a", tmp_path / "random")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    folder = tmp_path / "lake" / "weather.git"
    assert said == (
        f"the lake in {folder} cannot be written: file too large",
        f"check the disk that holds {folder} and try again",
    )
    assert list(lake.list(weather, "main")) == []
    assert not [name for _, _, files in os.walk(folder) for name in files if name.startswith(".new-")]
    put(lake, weather, "a", b"small")
    assert paths(lake.list(weather, "main")) == ["a"]
