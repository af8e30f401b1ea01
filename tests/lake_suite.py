"""What every lake must do, each behaviour written once. A lake's tests subclass `LakeContract`.

A subclass's module gives the fixture `lake`: an open lake that the test may fill. The class states what
only its own lake can. Everything goes through the protocol; messages are asserted whole, because both
lakes must say the same.
"""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from reprolock.errors import LakeRefused, NotFound, ReprolockError, UsageError
from reprolock.lake.protocol import Change, Lake, Object, Ref

NAMES = [
    "with space/a b.csv",
    "ünïcode/データ/é.csv",
    "brackets/[a]{b}*?.csv",
    "percent/100%25.csv",
    "plus/a+b.csv",
    ".hidden",
    "dots/.also.hidden",
    "quotes/'\"`.csv",
    "signs/#&=;:@!$,~^.csv",
    "no-extension/" + "x" * 200,
]
"""Paths that the grammar of addresses allows and that a careless client spoils."""


def put(lake: Lake, repository: str, path: str, data: bytes = b"data", branch: str = "main") -> Object:
    """Stage bytes."""
    return lake.put(repository, branch, path, io.BytesIO(data))


def commit(lake: Lake, repository: str, files: dict[str, bytes], branch: str = "main", message: str = "more") -> str:
    """Stage and commit; the commit's ID."""
    for path, data in files.items():
        put(lake, repository, path, data, branch)
    return lake.commit(repository, branch, message).id


def read(lake: Lake, repository: str, ref: str, path: str) -> bytes:
    """An object's bytes."""
    with lake.open(repository, ref, path) as stream:
        return stream.read()


def paths(listing: Iterable[Object]) -> list[str]:
    """The paths of a listing."""
    return [found.path for found in listing]


def problem(
    kind: type[ReprolockError], call: Callable[..., Any], *arguments: Any, **named: Any
) -> tuple[str, str | None]:
    """Message and hint of the error that a call must raise, consumed to its end where it answers an iterator."""
    with pytest.raises(kind) as caught:
        answer = call(*arguments, **named)
        if isinstance(answer, Iterator):
            list(answer)
    assert type(caught.value) is kind
    return caught.value.message, caught.value.hints


class LakeContract:
    """The contract. `repository` is a fresh one for each test, with the default branch main."""

    object_beside_folder: ClassVar[bool]
    """Whether `a` and `a/b` can stand side by side."""
    any_segment: ClassVar[bool]
    """Whether `.git` can be a segment of a path."""
    commit_id: ClassVar[str]
    """What a full commit ID looks like, as a regular expression."""

    def storage(self, repository: str) -> str | None:
        """Where a new repository's objects go, for a lake that has to be told."""
        return None

    @pytest.fixture
    def repository(self, lake: Lake) -> str:
        name = f"test-{secrets.token_hex(6)}"
        lake.create_repository(name, storage=self.storage(name))
        return name

    # repositories
    def test_a_new_repository_is_empty_and_has_one_commit(self, lake: Lake, repository: str) -> None:
        assert list(lake.list(repository, "main")) == []
        assert list(lake.branches(repository)) == ["main"]
        [first] = lake.ancestors(repository, "main")
        assert (first.message, first.parents) == ("Repository created", ())
        assert lake.resolve(repository, "main") == first

    def test_a_repository_may_have_another_default_branch(self, lake: Lake) -> None:
        name = f"test-{secrets.token_hex(6)}"
        lake.create_repository(name, storage=self.storage(name), default_branch="trunk")
        assert list(lake.branches(name)) == ["trunk"]

    def test_a_repository_name_is_taken_once(self, lake: Lake, repository: str) -> None:
        create = lake.create_repository
        assert problem(LakeRefused, create, repository, storage=self.storage(repository + "-2")) == (
            f'the repository "{repository}" is already in the lake {lake.endpoint}',
            "choose another name for the repository",
        )

    @pytest.mark.parametrize("name", ["ab", "Upper", "under_score", "-dash", "a/b", "..", ""])
    def test_a_repository_name_follows_one_rule(self, lake: Lake, name: str) -> None:
        assert problem(LakeRefused, lake.create_repository, name, storage=self.storage("never")) == (
            f'"{name}" cannot be the name of a repository: it must have 3 to 63 characters of a-z, 0-9 and "-", '
            "starting with a letter or digit",
            "choose another name for the repository",
        )

    # what is not there
    def test_no_such_repository(self, lake: Lake, repository: str) -> None:
        expected = (
            f'no repository "qqqqqqqqqq" in the lake {lake.endpoint}',
            "create it with `reprolock data create lakefs://qqqqqqqqqq`",
        )
        name = "qqqqqqqqqq"
        assert problem(NotFound, lake.resolve, name, "main") == expected
        assert problem(NotFound, lake.list, name, "main") == expected
        assert problem(NotFound, lake.list, name, "main", "a") == expected
        assert problem(NotFound, lake.stat, name, "main", "a") == expected
        assert problem(NotFound, lake.open, name, "main", "a") == expected
        assert problem(NotFound, lambda: list(lake.branches(name))) == expected
        assert problem(NotFound, lambda: list(lake.refs(name))) == expected
        assert problem(NotFound, lake.delete_tag, name, "v1") == expected
        assert problem(NotFound, lake.diff, name, "main", "dev") == expected
        assert problem(NotFound, put, lake, name, "a") == expected
        assert problem(NotFound, lake.commit, name, "main", "text") == expected
        assert problem(NotFound, lake.create_branch, name, "dev", "main") == expected
        assert problem(NotFound, lake.create_tag, name, "v1", "main") == expected

    def test_a_repository_that_is_nearly_there(self, lake: Lake, repository: str) -> None:
        name = repository + "x"
        assert problem(NotFound, lake.resolve, name, "main") == (
            f'no repository "{name}" in the lake {lake.endpoint}',
            f'did you mean "{repository}"?',
        )

    @pytest.mark.parametrize("ref", ["zzzzzz", "0123456789abcdef", "0" * 40, "0" * 64, "qqqq~1", "main~99", "main^2"])
    def test_no_such_ref(self, lake: Lake, repository: str, ref: str) -> None:
        expected = f'no branch, tag or commit "{ref}" in the repository "{repository}"'
        for call in (lake.resolve, lake.list, lake.ancestors, lake.uncommitted):
            assert problem(NotFound, call, repository, ref)[0] == expected
        for call in (lake.stat, lake.open):
            assert problem(NotFound, call, repository, ref, "a")[0] == expected
        assert problem(NotFound, lake.diff, repository, "main", ref)[0] == expected
        assert problem(NotFound, lake.diff, repository, ref, "main")[0] == expected
        assert problem(NotFound, lake.create_branch, repository, "dev", ref)[0] == expected
        assert problem(NotFound, lake.create_tag, repository, "v1", ref)[0] == expected
        assert problem(NotFound, lake.merge, repository, ref, "main", "text")[0] == expected
        assert problem(NotFound, lake.revert, repository, "main", ref)[0] == expected

    def test_a_ref_that_is_nearly_there(self, lake: Lake, repository: str) -> None:
        lake.create_tag(repository, "version-1", "main")
        assert problem(NotFound, lake.resolve, repository, "mian")[1] == 'did you mean "main"?'
        assert problem(NotFound, lake.resolve, repository, "version-2")[1] == 'did you mean "version-1"?'
        assert problem(NotFound, lake.resolve, repository, "zzzzzz")[1] == (
            f"see what is there with `reprolock data ls lakefs://{repository}`"
        )

    def test_only_branches_are_written_to(self, lake: Lake, repository: str, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"1")
        first = lake.resolve(repository, "main").id
        lake.create_tag(repository, "v1", "main")
        for ref in ("qqqq", "v1", first):
            expected = (
                f'no branch "{ref}" in the repository "{repository}"',
                f"create it with `reprolock data branch lakefs://{repository}/main {ref}`",
            )
            assert problem(NotFound, put, lake, repository, "a", b"", ref) == expected
            assert problem(NotFound, lake.put_many, repository, ref, [("a", file)]) == expected
            assert problem(NotFound, lake.remove, repository, ref, "a") == expected
            assert problem(NotFound, lake.commit, repository, ref, "text") == expected
            assert problem(NotFound, lake.delete_branch, repository, ref) == expected
            assert problem(NotFound, lake.merge, repository, "main", ref, "text") == expected
            assert problem(NotFound, lake.revert, repository, ref, "main") == expected

    def test_no_such_path(self, lake: Lake, repository: str) -> None:
        head = commit(lake, repository, {"train/a.csv": b"1"})
        for ref in ("main", head):
            for path in ("nowhere", "train/b.csv", "trai", "train/a.csv/b", "train/a"):
                expected = (
                    f"nothing is at lakefs://{repository}/{ref}/{path}",
                    f"see what is there with `reprolock data ls -r lakefs://{repository}/{ref}/`",
                )
                assert problem(NotFound, lake.list, repository, ref, path) == expected
                assert problem(NotFound, lake.stat, repository, ref, path) == expected
                assert problem(NotFound, lambda: lake.open(repository, ref, path).read()) == expected
        assert problem(NotFound, lake.stat, repository, "main", "train")[0].startswith("nothing is at")
        assert problem(NotFound, lake.remove, repository, "main", "nowhere") == (
            f"nothing is at lakefs://{repository}/main/nowhere",
            f"see what is there with `reprolock data ls -r lakefs://{repository}/main/`",
        )

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("", "lakefs://{}/main/ names a folder, not an object"),
            ("a/", "lakefs://{}/main/a/ names a folder, not an object"),
            ("/a", '"/a" starts with "/"; a path in a lake is relative to its repository'),
            ("a//b", '"a//b" contains an empty segment ("//")'),
            ("a/../b", '"a/../b" contains "." or ".." as a segment, which could lead out of its folder'),
            ("./a", '"./a" contains "." or ".." as a segment, which could lead out of its folder'),
            ("a\\b", '"a\\b" contains a backslash, which Windows takes for a separator of folders'),
            ("a\0b", '"a\0b" contains a NUL character, which no file system holds'),
            ("a\udcffb", "'a\\udcffb' is not UTF-8"),
            ("é" * 513, '"' + "é" * 513 + '" is longer than 1024 bytes'),
        ],
        ids=range(10),
    )
    def test_paths_that_no_lake_takes(self, lake: Lake, repository: str, path: str, message: str) -> None:
        assert problem(UsageError, put, lake, repository, path)[0] == message.format(repository)

    # objects
    @pytest.mark.parametrize("path", NAMES)
    def test_names_come_back_to_the_letter(self, lake: Lake, repository: str, path: str) -> None:
        stored = put(lake, repository, path, b"bytes")
        assert (stored.path, stored.size) == (path, 5)
        head = lake.commit(repository, "main", "names").id
        for ref in ("main", head):
            assert list(lake.list(repository, ref)) == [stored]
            assert list(lake.list(repository, ref, path)) == [stored]
            assert list(lake.list(repository, ref, path.partition("/")[0])) == [stored]
            assert lake.stat(repository, ref, path) == stored
            assert read(lake, repository, ref, path) == b"bytes"
        assert lake.remove(repository, "main", path) == 1
        assert list(lake.list(repository, "main")) == []

    @pytest.mark.parametrize("data", [b"", b"\0", b"line\r\nline\n", bytes(range(256)) * 4096], ids=len)
    def test_bytes_come_back_to_the_letter(self, lake: Lake, repository: str, data: bytes, tmp_path: Path) -> None:
        # A lake that honours attributes found in the data would change line ends here.
        put(lake, repository, ".gitattributes", b"* text eol=crlf\n")
        (tmp_path / "file").write_bytes(data)
        stored = put(lake, repository, "stream", data)
        other = lake.put(repository, "main", "file", tmp_path / "file")
        assert stored.size == other.size == len(data)
        assert stored.checksum == other.checksum
        head = lake.commit(repository, "main", "bytes").id
        assert read(lake, repository, head, "stream") == read(lake, repository, "main", "file") == data

    def test_a_checksum_tells_contents_apart(self, lake: Lake, repository: str) -> None:
        one, other = put(lake, repository, "a", b"one"), put(lake, repository, "b", b"two")
        assert one.checksum != other.checksum
        assert put(lake, repository, "c", b"one").checksum == one.checksum
        assert re.fullmatch(r"[a-z0-9-]+", lake.scheme)

    def test_a_stream_can_be_read_in_pieces(self, lake: Lake, repository: str) -> None:
        put(lake, repository, "a", bytes(range(256)) * 100)
        with lake.open(repository, "main", "a") as stream:
            assert stream.read(10) == bytes(range(10))
            assert stream.read(300) == (bytes(range(256)) * 2)[10:310]
            assert len(stream.read()) == 25600 - 310
            assert stream.read() == b""

    def test_what_is_no_file_is_refused(self, lake: Lake, repository: str, tmp_path: Path) -> None:
        missing = tmp_path / "missing"
        expected = (f"{missing} does not exist", "name a file or folder that exists")
        assert problem(UsageError, lake.put, repository, "main", "a", missing) == expected
        assert problem(UsageError, lake.put_many, repository, "main", [("a", missing)]) == expected
        assert problem(UsageError, lake.put, repository, "main", "a", tmp_path) == (
            f"{tmp_path} is not a regular file",
            "put a file or a folder of files",
        )
        assert not lake.uncommitted(repository, "main")

    def test_a_later_put_replaces_an_earlier_one(self, lake: Lake, repository: str) -> None:
        head = commit(lake, repository, {"a": b"old"})
        put(lake, repository, "a", b"new")
        put(lake, repository, "a", b"newer")
        assert read(lake, repository, "main", "a") == b"newer"
        assert read(lake, repository, head, "a") == b"old"

    def test_many_files_at_once(self, lake: Lake, repository: str, tmp_path: Path) -> None:
        items = []
        for number in range(1200):
            file = tmp_path / str(number)
            file.write_bytes(b"%d" % number)
            items.append((f"many/{number:04d}.csv", file))
        stored = list(lake.put_many(repository, "main", iter(items)))
        assert [(found.path, found.size) for found in stored] == [(path, len(file.name)) for path, file in items]
        assert list(lake.list(repository, "main", "many")) == stored
        head = lake.commit(repository, "main", "1,200 objects").id
        # More than one page of any lake's listing.
        assert list(lake.list(repository, head)) == stored
        assert read(lake, repository, head, "many/1199.csv") == b"1199"
        assert lake.remove(repository, "main", "many") == 1200
        assert list(lake.list(repository, "main")) == []
        assert len(list(lake.diff(repository, f"{head}~1", head))) == 1200

    def test_an_object_beside_a_folder_of_its_name(self, lake: Lake, repository: str) -> None:
        put(lake, repository, "a/b", b"below")
        put(lake, repository, "c", b"beside")
        if self.object_beside_folder:
            put(lake, repository, "a", b"beside")
            put(lake, repository, "c/d", b"below")
            assert paths(lake.list(repository, "main")) == ["a", "a/b", "c", "c/d"]
            return
        reason = "an embedded lake has no object beside a folder of the same name"
        for path, blocked in (("a", "a"), ("c/d", "c"), ("c/d/e", "c")):
            assert problem(LakeRefused, put, lake, repository, path) == (
                f"lakefs://{repository}/main/{blocked} cannot be stored: {reason}",
                "rename the object",
            )
        assert paths(lake.list(repository, "main")) == ["a/b", "c"]

    @pytest.mark.parametrize("path", [".git", "a/.git/config", ".GIT/x", "git~1"])
    def test_names_that_git_keeps_for_itself(self, lake: Lake, repository: str, path: str) -> None:
        if self.any_segment:
            stored = put(lake, repository, path)
            assert list(lake.list(repository, "main")) == [stored]
            return
        name = next(segment for segment in path.split("/") if "git" in segment.lower())
        place = path[: path.index(name) + len(name)]
        assert problem(LakeRefused, put, lake, repository, path) == (
            f'lakefs://{repository}/main/{place} cannot be stored: Git keeps the name "{name}" for itself',
            "rename the object",
        )
        assert not lake.uncommitted(repository, "main")

    # listing
    def test_a_path_matches_whole_segments(self, lake: Lake, repository: str) -> None:
        names = ["train.csv", "train/a", "train/b/c", "train_old/a", "training/a", "train-2"]
        head = commit(lake, repository, dict.fromkeys(names, b"x"))
        for ref in ("main", head):
            assert paths(lake.list(repository, ref, "train")) == ["train/a", "train/b/c"]
            assert paths(lake.list(repository, ref, "train/")) == ["train/a", "train/b/c"]
            assert paths(lake.list(repository, ref, "train/b")) == ["train/b/c"]
            assert paths(lake.list(repository, ref, "train/a")) == ["train/a"]
            assert paths(lake.list(repository, ref, "train.csv")) == ["train.csv"]

    def test_listings_are_sorted_by_bytes(self, lake: Lake, repository: str) -> None:
        names = ["a/x", "a-b", "a.b", "a0", "B", "b", "é", "z", "ｚ", "😀", "a/é", "a/z", "a!"]
        head = commit(lake, repository, dict.fromkeys(names, b"x"))
        expected = sorted(names, key=str.encode)
        assert expected != sorted(names, key=lambda name: name.encode("utf-16-be"))
        assert paths(lake.list(repository, head)) == paths(lake.list(repository, "main")) == expected

    # staging and commits
    def test_what_is_staged_is_seen_on_its_branch_only(self, lake: Lake, repository: str) -> None:
        head = commit(lake, repository, {"a": b"1", "b": b"1"})
        put(lake, repository, "c")
        put(lake, repository, "a", b"22")
        lake.remove(repository, "main", "b")
        lake.create_branch(repository, "dev", "main")
        lake.create_tag(repository, "v1", "main")
        assert [(found.path, found.size) for found in lake.list(repository, "main")] == [("a", 2), ("c", 4)]
        for ref in (head, "dev", "v1", "main@"):
            assert [(found.path, found.size) for found in lake.list(repository, ref)] == [("a", 1), ("b", 1)]
        assert lake.resolve(repository, "main").id == head
        made = lake.commit(repository, "main", "now")
        assert paths(lake.list(repository, made.id)) == ["a", "c"]
        assert made.parents == (head,)

    def test_uncommitted(self, lake: Lake, repository: str) -> None:
        head = commit(lake, repository, {"train/a": b"1", "training/a": b"1"})
        lake.create_tag(repository, "v1", "main")
        assert not lake.uncommitted(repository, "main")
        put(lake, repository, "train/a", b"2")
        assert lake.uncommitted(repository, "main")
        assert lake.uncommitted(repository, "main", "train")
        assert lake.uncommitted(repository, "main", "train/")
        assert lake.uncommitted(repository, "main", "train/a")
        assert not lake.uncommitted(repository, "main", "training")
        assert not lake.uncommitted(repository, "main", "trai")
        assert not lake.uncommitted(repository, "main", "elsewhere")
        assert not lake.uncommitted(repository, head)
        assert not lake.uncommitted(repository, "v1")
        put(lake, repository, "train/a", b"1")
        assert not lake.uncommitted(repository, "main")
        lake.remove(repository, "main", "training")
        assert lake.uncommitted(repository, "main", "training/a")
        lake.commit(repository, "main", "gone")
        assert not lake.uncommitted(repository, "main")

    def test_staged(self, lake: Lake, repository: str) -> None:
        head = commit(lake, repository, {"train/a": b"1", "train/b": b"1", "training/a": b"1"})
        assert list(lake.staged(repository, "main")) == []
        put(lake, repository, "train/a", b"2")
        put(lake, repository, "train/c", b"2")
        lake.remove(repository, "main", "train/b")
        lake.remove(repository, "main", "training")
        within = [("changed", "train/a"), ("removed", "train/b"), ("added", "train/c")]
        assert (
            list(lake.staged(repository, "main", "train")) == list(lake.staged(repository, "main", "train/")) == within
        )
        assert list(lake.staged(repository, "main")) == [*within, ("removed", "training/a")]
        assert list(lake.staged(repository, "main", "train/a")) == within[:1]
        assert list(lake.staged(repository, "main", "trai")) == list(lake.staged(repository, head)) == []
        with pytest.raises(NotFound):
            next(lake.staged(repository, "mian"))

    def test_the_first_of_a_listing(self, lake: Lake, repository: str) -> None:
        names = [f"data/{number:02d}" for number in range(30)]
        head = commit(lake, repository, dict.fromkeys(names, b"1"))
        for place in ("data", "data/", ""):
            assert next(lake.list(repository, head, place, few=True)).path == "data/00"
            assert paths(lake.list(repository, head, place, few=True)) == names
        assert paths(lake.list(repository, head, "data/07", few=True)) == ["data/07"]
        with pytest.raises(NotFound):
            next(lake.list(repository, head, "dat", few=True))

    def test_nothing_to_commit(self, lake: Lake, repository: str) -> None:
        expected = (
            f'nothing is staged on the branch "main" of the repository "{repository}"',
            f"stage something with `reprolock data put SRC lakefs://{repository}/main/PATH`",
        )
        assert problem(LakeRefused, lake.commit, repository, "main", "none") == expected
        commit(lake, repository, {"a": b"1"})
        put(lake, repository, "a", b"1")
        assert problem(LakeRefused, lake.commit, repository, "main", "the same again") == expected

    def test_a_commit_says_what_it_was_told(self, lake: Lake, repository: str) -> None:
        put(lake, repository, "a")
        metadata = {"run": "3f9c2d1e", "key with space": 'válue "quoted"\nsecond line', "empty": "", "a.b/c": "{}"}
        before = datetime.now(UTC) - timedelta(seconds=2)
        message = "Üpper line\n\nsecond paragraph: [x] {y}"
        made = lake.commit(repository, "main", message, metadata)
        assert re.fullmatch(self.commit_id, made.id)
        assert made.message == message
        assert made.metadata == metadata
        assert made.time.utcoffset() == timedelta(0)
        assert made.time.microsecond == 0
        assert before <= made.time <= datetime.now(UTC) + timedelta(seconds=2)
        assert lake.resolve(repository, "main") == lake.resolve(repository, made.id) == made

    def test_history_is_newest_first(self, lake: Lake, repository: str) -> None:
        ids = [commit(lake, repository, {"a": b"%d" % number}, message=f"commit {number}") for number in range(5)]
        history = list(lake.ancestors(repository, "main"))
        assert [found.id for found in history[:-1]] == ids[::-1]
        assert [found.message for found in history[:2]] == ["commit 4", "commit 3"]
        assert [found.id for found in lake.ancestors(repository, ids[1])] == [ids[1], ids[0], history[-1].id]

    def test_refs_may_be_shortened_and_walked(self, lake: Lake, repository: str) -> None:
        first, second = (commit(lake, repository, {"a": data}) for data in (b"1", b"2"))
        lake.create_tag(repository, "v1", first)
        for ref, expected in {
            second[:12]: second,
            second: second,
            "main@": second,
            "main~1": first,
            "main^": first,
            "main~0": second,
            f"{second[:12]}~1": first,
            "v1": first,
            "v1^1": lake.resolve(repository, "main~2").id,
        }.items():
            assert lake.resolve(repository, ref).id == expected, ref
        assert read(lake, repository, "main~1", "a") == b"1"
        put(lake, repository, "a", b"staged")
        assert read(lake, repository, "main", "a") == b"staged"
        assert read(lake, repository, "main~0", "a") == b"2"

    def test_removing_a_folder(self, lake: Lake, repository: str) -> None:
        commit(lake, repository, dict.fromkeys(["train/a", "train/b/c", "training/a", "x"], b"1"))
        assert lake.remove(repository, "main", "train/") == 2
        assert paths(lake.list(repository, "main")) == ["training/a", "x"]
        assert paths(lake.list(repository, "main~0")) == ["train/a", "train/b/c", "training/a", "x"]
        put(lake, repository, "train/a", b"back")
        assert paths(lake.list(repository, "main")) == ["train/a", "training/a", "x"]

    def test_concurrent_puts_lose_nothing(self, lake: Lake, repository: str) -> None:
        names = [f"{thread}/{number}" for number in range(10) for thread in range(4)]
        with ThreadPoolExecutor(4) as pool:
            stored = list(pool.map(lambda name: put(lake, repository, name, name.encode()), names))
        assert list(lake.list(repository, "main")) == sorted(stored)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda name: read(lake, repository, "main", name), names)) == [
                n.encode() for n in names
            ]

    # branches and tags
    def test_branches(self, lake: Lake, repository: str) -> None:
        head = commit(lake, repository, {"a": b"1"})
        for name in ("dev", "_x", "Zeta", "with-dash_1", "1"):
            lake.create_branch(repository, name, "main")
        assert list(lake.branches(repository)) == ["1", "Zeta", "_x", "dev", "main", "with-dash_1"]
        made = commit(lake, repository, {"b": b"1"}, branch="dev")
        assert lake.resolve(repository, "main").id == head
        assert problem(LakeRefused, lake.create_branch, repository, "dev", "main") == (
            f'the branch "dev" is already in the repository "{repository}"',
            "choose another name for the branch",
        )
        lake.delete_branch(repository, "dev")
        assert "dev" not in list(lake.branches(repository))
        assert read(lake, repository, made, "b") == b"1"
        lake.create_branch(repository, "dev", f"{made}~1")
        assert paths(lake.list(repository, "dev")) == ["a"]

    def test_a_deleted_branch_takes_what_was_staged_with_it(self, lake: Lake, repository: str) -> None:
        lake.create_branch(repository, "dev", "main")
        put(lake, repository, "a", b"staged", "dev")
        lake.delete_branch(repository, "dev")
        lake.create_branch(repository, "dev", "main")
        assert list(lake.list(repository, "dev")) == []

    def test_the_default_branch_stays(self, lake: Lake, repository: str) -> None:
        assert problem(LakeRefused, lake.delete_branch, repository, "main") == (
            f'the branch "main" is the default branch of the repository "{repository}" and cannot be deleted',
            "delete another branch",
        )

    @pytest.mark.parametrize("name", ["main/x", "-x", "a b", "a.b", "x~1", "x@", "é", ""])
    def test_a_branch_name_follows_one_rule(self, lake: Lake, repository: str, name: str) -> None:
        assert problem(LakeRefused, lake.create_branch, repository, name, "main") == (
            f'"{name}" cannot be the name of a branch: it must have letters, digits, "_" and "-" only, '
            'and not start with "-"',
            "choose another name for the branch",
        )

    @pytest.mark.parametrize("name", ["a/b", "-x", "a b", "a..b", ".a", "v1.lock", "x~1", "é", ""])
    def test_a_tag_name_follows_one_rule(self, lake: Lake, repository: str, name: str) -> None:
        assert problem(LakeRefused, lake.create_tag, repository, name, "main") == (
            f'"{name}" cannot be the name of a tag: it must have letters, digits, "_", "-" and single "." '
            'between them only, and not end with ".lock"',
            "choose another name for the tag",
        )

    def test_tags_never_move(self, lake: Lake, repository: str) -> None:
        head = commit(lake, repository, {"a": b"1"})
        for name in ("my-ml-experiment1", "v1.0", "2026_11"):
            lake.create_tag(repository, name, "main")
        commit(lake, repository, {"a": b"2"})
        assert lake.resolve(repository, "v1.0").id == head
        assert read(lake, repository, "my-ml-experiment1", "a") == b"1"
        assert problem(LakeRefused, lake.create_tag, repository, "v1.0", "main") == (
            f'the tag "v1.0" is already in the repository "{repository}"',
            "choose another name for the tag",
        )
        lake.create_tag(repository, "v2", "main")
        assert problem(LakeRefused, lake.create_branch, repository, "v2", "main") == (
            f'the tag "v2" is already in the repository "{repository}"',
            "choose another name for the tag",
        )
        assert problem(LakeRefused, lake.create_tag, repository, "main", "main") == (
            f'the branch "main" is already in the repository "{repository}"',
            "choose another name for the branch",
        )

    def test_repositories_are_listed(self, lake: Lake, repository: str) -> None:
        lake.create_repository(repository + "x", storage=self.storage(repository + "x"))
        found = list(lake.repositories())
        assert found == sorted(found)
        assert [name for name in found if name.startswith(repository)] == [repository, repository + "x"]

    def test_branches_and_tags_are_listed_with_their_commits(self, lake: Lake, repository: str) -> None:
        first = commit(lake, repository, {"a": b"1"})
        lake.create_tag(repository, "v1.0", "main")
        lake.create_branch(repository, "dev", "main")
        lake.create_tag(repository, "_old", "main~1")
        head = commit(lake, repository, {"b": b"1"})
        put(lake, repository, "staged")
        assert list(lake.refs(repository)) == [
            Ref("branch", "dev", first),
            Ref("branch", "main", head),
            Ref("tag", "_old", lake.resolve(repository, "main~2").id),
            Ref("tag", "v1.0", first),
        ]

    def test_a_deleted_tag_leaves_its_commit(self, lake: Lake, repository: str) -> None:
        lake.create_branch(repository, "dev", "main")
        head = commit(lake, repository, {"a": b"1"}, branch="dev")
        lake.create_tag(repository, "v1", "dev")
        lake.delete_branch(repository, "dev")
        lake.delete_tag(repository, "v1")
        assert [found.name for found in lake.refs(repository)] == ["main"]
        assert read(lake, repository, head, "a") == b"1"
        lake.create_tag(repository, "v1", "main")  # the name is free again

    def test_no_such_tag(self, lake: Lake, repository: str) -> None:
        lake.create_tag(repository, "version-1", "main")
        assert problem(NotFound, lake.delete_tag, repository, "version-2") == (
            f'no tag "version-2" in the repository "{repository}"',
            'did you mean "version-1"?',
        )
        assert problem(NotFound, lake.delete_tag, repository, "main") == (
            f'no tag "main" in the repository "{repository}"',
            f"see what is there with `reprolock data ls lakefs://{repository}`",
        )

    # merging
    def test_a_merge_takes_both_sides(self, lake: Lake, repository: str) -> None:
        commit(lake, repository, {"both": b"1", "theirs": b"1", "ours": b"1", "gone/a": b"1", "gone/b": b"1"})
        lake.create_branch(repository, "dev", "main")
        lake.remove(repository, "dev", "gone")
        theirs = commit(lake, repository, {"theirs": b"2", "new": b"2", "same": b"s"}, branch="dev")
        ours = commit(lake, repository, {"ours": b"2", "own": b"2", "same": b"s"})
        merged = lake.merge(repository, "dev", "main", "Merge dev", {"run": "1"})
        assert merged.parents == (ours, theirs)
        assert merged.message == "Merge dev"
        assert merged.metadata["run"] == "1"
        assert lake.resolve(repository, "main") == merged
        contents = {found.path: read(lake, repository, "main", found.path) for found in lake.list(repository, "main")}
        assert contents == {"both": b"1", "theirs": b"2", "ours": b"2", "own": b"2", "new": b"2", "same": b"s"}
        assert lake.resolve(repository, "main^2").id == theirs
        history = [found.id for found in lake.ancestors(repository, "main")]
        assert history[:2] == [merged.id, ours]
        assert theirs not in history
        assert lake.resolve(repository, "dev").id == theirs

    def test_a_merge_is_a_commit_even_where_git_would_move_on(self, lake: Lake, repository: str) -> None:
        before = commit(lake, repository, {"a": b"1"})
        lake.create_branch(repository, "dev", "main")
        theirs = commit(lake, repository, {"b": b"1"}, branch="dev")
        assert lake.merge(repository, "dev", "main", "Merge dev").parents == (before, theirs)

    def test_what_is_staged_on_the_source_is_not_merged(self, lake: Lake, repository: str) -> None:
        lake.create_branch(repository, "dev", "main")
        commit(lake, repository, {"a": b"1"}, branch="dev")
        put(lake, repository, "b", branch="dev")
        lake.merge(repository, "dev", "main", "Merge dev")
        assert paths(lake.list(repository, "main")) == ["a"]
        assert lake.uncommitted(repository, "dev", "b")

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [(b"line 1\nline 2\nours\n", b"theirs\nline 2\nline 3\n"), (None, b"changed\n"), (b"changed\n", None)],
        ids=["both changed, on other lines", "removed and changed", "changed and removed"],
    )
    def test_a_path_changed_on_both_sides_is_a_conflict(
        self, lake: Lake, repository: str, ours: bytes | None, theirs: bytes | None
    ) -> None:
        commit(lake, repository, {"data/a.csv": b"line 1\nline 2\nline 3\n", "b": b"1"})
        lake.create_branch(repository, "dev", "main")
        for branch, data in (("main", ours), ("dev", theirs)):
            if data is None:
                lake.remove(repository, branch, "data/a.csv")
                lake.commit(repository, branch, "removed")
            else:
                commit(lake, repository, {"data/a.csv": data, f"only-{branch}": b"1"}, branch)
        before = lake.resolve(repository, "main")
        with pytest.raises(LakeRefused) as caught:
            lake.merge(repository, "dev", "main", "Merge dev")
        assert (
            caught.value.message == f'"dev" and the branch "main" of the repository "{repository}" both changed 1 path'
        )
        assert caught.value.hint == 'make the two agree on a branch, then merge again; "main" is as it was'
        assert caught.value.problems == ("data/a.csv",)
        assert lake.resolve(repository, "main") == before
        assert not lake.uncommitted(repository, "main")

    def test_conflicts_are_listed_and_counted(self, lake: Lake, repository: str) -> None:
        lake.create_branch(repository, "dev", "main")
        for branch in ("main", "dev"):
            commit(lake, repository, {f"new/{number:02d}": branch.encode() for number in range(22)}, branch)
        with pytest.raises(LakeRefused) as caught:
            lake.merge(repository, "dev", "main", "Merge dev")
        assert caught.value.message.endswith("both changed 22 paths")
        assert caught.value.problems == (*(f"new/{number:02d}" for number in range(20)), "and 2 more")

    def test_a_moved_object_is_not_followed(self, lake: Lake, repository: str) -> None:
        data = b"row,of,data\n" * 100
        commit(lake, repository, {"old": data})
        lake.create_branch(repository, "dev", "main")
        lake.remove(repository, "dev", "old")
        commit(lake, repository, {"new": data}, branch="dev")
        commit(lake, repository, {"old": data + b"one,more,row\n"})
        with pytest.raises(LakeRefused) as caught:
            lake.merge(repository, "dev", "main", "Merge dev")
        assert caught.value.problems == ("old",)

    def test_nothing_to_merge(self, lake: Lake, repository: str) -> None:
        head = commit(lake, repository, {"a": b"1"})
        lake.create_branch(repository, "dev", "main")
        commit(lake, repository, {"b": b"1"})
        for source in ("dev", head, "main"):
            assert problem(LakeRefused, lake.merge, repository, source, "main", "none") == (
                f'"{source}" has nothing to merge into the branch "main" of the repository "{repository}"',
                f"compare them with `reprolock data diff lakefs://{repository}/main lakefs://{repository}/{source}`",
            )

    def test_a_branch_with_staged_changes_takes_no_merge_and_no_revert(self, lake: Lake, repository: str) -> None:
        lake.create_branch(repository, "dev", "main")
        commit(lake, repository, {"b": b"1"}, branch="dev")
        commit(lake, repository, {"a": b"1"})
        put(lake, repository, "c")
        expected = (
            f'the branch "main" of the repository "{repository}" has staged changes',
            f"commit them first with `reprolock data commit lakefs://{repository}/main -m TEXT`",
        )
        assert problem(LakeRefused, lake.merge, repository, "dev", "main", "text") == expected
        assert problem(LakeRefused, lake.revert, repository, "main", "main") == expected
        assert paths(lake.list(repository, "main")) == ["a", "c"]

    # undoing and comparing
    def test_a_revert_undoes_one_commit(self, lake: Lake, repository: str) -> None:
        commit(lake, repository, {"a": b"1", "gone": b"1"})
        lake.remove(repository, "main", "gone")
        undone = commit(lake, repository, {"a": b"2", "new": b"2"})
        later = commit(lake, repository, {"later": b"3"})
        made = lake.revert(repository, "main", undone)
        assert made.parents == (later,)
        assert made.message.startswith("Revert ")
        contents = {found.path: read(lake, repository, "main", found.path) for found in lake.list(repository, "main")}
        assert contents == {"a": b"1", "gone": b"1", "later": b"3"}
        assert lake.resolve(repository, "main") == made

    def test_a_revert_that_later_commits_forbid(self, lake: Lake, repository: str) -> None:
        undone = commit(lake, repository, {"a": b"1", "b": b"1"})
        commit(lake, repository, {"a": b"2"})
        before = lake.resolve(repository, "main")
        with pytest.raises(LakeRefused) as caught:
            lake.revert(repository, "main", undone)
        assert caught.value.message == (
            f'{undone} cannot be undone on the branch "main" of the repository "{repository}": 1 path changed again since'
        )
        assert caught.value.hint == 'undo the later commits first; "main" is as it was'
        assert caught.value.problems == ("a",)
        assert lake.resolve(repository, "main") == before

    def test_what_cannot_be_reverted(self, lake: Lake, repository: str) -> None:
        first = lake.resolve(repository, "main").id
        nothing = f'undoing {first} changes nothing on the branch "main" of the repository "{repository}"'
        assert problem(LakeRefused, lake.revert, repository, "main", first) == (
            nothing,
            f"see what is there with `reprolock data log lakefs://{repository}/main`",
        )
        lake.create_branch(repository, "dev", "main")
        commit(lake, repository, {"b": b"1"}, branch="dev")
        merged = lake.merge(repository, "dev", "main", "Merge dev").id
        assert problem(LakeRefused, lake.revert, repository, "main", "main") == (
            f'{merged} of the repository "{repository}" is a merge and cannot be undone',
            "put the objects as they should be and commit them",
        )

    def test_differences(self, lake: Lake, repository: str) -> None:
        left = commit(lake, repository, dict.fromkeys(["a/gone", "a/kept", "ab", "b", "a-c"], b"1"))
        lake.remove(repository, "main", "a/gone")
        right = commit(lake, repository, {"a/new": b"2", "ab": b"2", "z": b"2", "a-c": b"2"})
        put(lake, repository, "staged")
        expected = [
            Change("changed", "a-c"),
            Change("removed", "a/gone"),
            Change("added", "a/new"),
            Change("changed", "ab"),
            Change("added", "z"),
        ]
        assert list(lake.diff(repository, left, right)) == list(lake.diff(repository, left, "main")) == expected
        assert list(lake.diff(repository, left, right, "a")) == expected[1:3]
        assert list(lake.diff(repository, left, right, "a/")) == expected[1:3]
        assert list(lake.diff(repository, left, right, "ab")) == [expected[3]]
        assert list(lake.diff(repository, left, right, "nowhere")) == []
        assert list(lake.diff(repository, left, left)) == []
        assert list(lake.diff(repository, right, left))[1:3] == [Change("added", "a/gone"), Change("removed", "a/new")]
