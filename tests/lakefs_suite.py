"""What `LakeFSLake` must do: the contract of every lake, and what only lakeFS can answer.

One text, run against a running lakeFS (tests/live/test_lakefs_contract.py) and against its recorded
answers (tests/lake/lakefs/test_lake.py). A module that subclasses gives three fixtures: `lake`,
`stranger` (the same server, spoken to with wrong keys) and `outside`, for what happens to a lakeFS
behind a user's back; on recorded answers nothing needs to happen, the recording shows it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pytest
from lake_suite import LakeContract, commit, paths, problem, put

from reprolock.errors import LakeRefused, PinError, ServiceError, UsageError
from reprolock.lake.lakefs import error_mapping
from reprolock.lake.lakefs.lake import LakeFSLake
from reprolock.lake.lakefs.transport import Refused
from reprolock.lake.upload_sources import Guarded
from reprolock.model.uri import LakeURI

CHECK = """\
name: Check
on:
  pre-commit:
  pre-merge:
hooks:
  - id: rows
    type: lua
    properties:
      script: |
        error("the row count must not fall")
"""


class Outside(Protocol):
    """An administrator, a garbage collection: what changes a lakeFS without reprolock."""

    def protect(self, repository: str, pattern: str) -> None:
        """Protect the branches whose names match."""

    def lose(self, repository: str, ref: str, path: str) -> None:
        """Remove an object's bytes from the storage, as lakeFS's garbage collection does."""


class LakeFSContract(LakeContract):
    """The contract, and lakeFS's own part."""

    object_beside_folder = True
    any_segment = True
    commit_id = "[0-9a-f]{64}"

    def storage(self, repository: str) -> str | None:
        return f"s3://lake/{repository}"

    def test_a_listing_of_several_pages(self, lake: LakeFSLake, repository: str) -> None:
        names = [f"data/{number:02d}" for number in range(10)]
        head = commit(lake, repository, dict.fromkeys(names, b"1"))
        for size in (1, 3, 10, 11):
            lake._page = size
            assert paths(lake.list(repository, head, "data")) == names
            assert [change.path for change in lake.diff(repository, f"{head}~1", head)] == names

    def test_the_first_of_many_costs_one_entry(
        self, lake: LakeFSLake, repository: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        head = commit(lake, repository, {f"data/{number:02d}": b"1" for number in range(30)})
        asked: list[int] = []
        ask = lake._transport.ask

        def noted(method: str, place: Sequence[str], query: Mapping[str, Any] | None = None, *more: Any) -> Any:
            asked.append((query or {}).get("amount", 0))
            return ask(method, place, query, *more)

        monkeypatch.setattr(lake._transport, "ask", noted)
        assert next(lake.list(repository, head, "data/", few=True)).path == "data/00"
        assert asked == [1, 1]  # is `data` an object itself, and what is the first one below it
        assert any(found.path == "data/15" for found in lake.list(repository, head, "data/", few=True))
        assert asked[2:] == [1, 1, 10, 100]

    def test_an_abandoned_listing(self, lake: LakeFSLake, repository: str) -> None:
        head = commit(lake, repository, dict.fromkeys("abcdef", b"1"))
        lake._page = 2
        listing = lake.list(repository, head)
        assert next(listing).path == "a"
        listing.close()  # type: ignore[attr-defined]
        assert paths(lake.list(repository, head)) == list("abcdef")

    def test_marks_of_folders_are_no_data(self, lake: LakeFSLake, repository: str) -> None:
        head = commit(lake, repository, {"train/a": b"1"})
        # S3 clients such as Spark leave them; they are put here as those do, past the rule on names.
        lake._upload(LakeURI(repository, "main", "train/"), Guarded(io.BytesIO(), "mark"), None)
        assert paths(lake.list(repository, "main", "train")) == ["train/a"]
        assert not lake.uncommitted(repository, "main")
        marked = lake.commit(repository, "main", "a mark").id
        assert list(lake.diff(repository, head, marked)) == []

    def test_wrong_keys(self, stranger: LakeFSLake) -> None:
        expected = (
            f"lakeFS at {stranger.endpoint} rejects the credentials of LAKECTL_CREDENTIALS_ACCESS_KEY_ID: "
            "error authenticating request",
            f"check the credentials in LAKECTL_CREDENTIALS_ACCESS_KEY_ID, and that they are for {stranger.endpoint}",
        )
        assert problem(ServiceError, stranger.resolve, "any-repository", "main") == expected
        assert problem(ServiceError, stranger.open, "any-repository", "main", "a") == expected
        assert problem(ServiceError, put, stranger, "any-repository", "a") == expected
        assert problem(ServiceError, stranger.commit, "any-repository", "main", "text") == expected

    def test_bytes_that_are_gone(self, lake: LakeFSLake, repository: str, outside: Outside) -> None:
        head = commit(lake, repository, {"a": b"gone", "empty": b""})
        outside.lose(repository, head, "a")
        assert paths(lake.list(repository, head)) == ["a", "empty"]
        for ref in ("main", head):
            expected = (
                f"lakefs://{repository}/{head}/a is gone: the commit names it, but the lake no longer has its bytes",
                "restore the lake from a backup; `reprolock lock --upgrade` pins a commit that is whole",
            )
            assert problem(PinError, lake.stat, repository, ref, "a") == expected
            assert problem(PinError, lake.open, repository, ref, "a") == expected
        assert lake.stat(repository, head, "empty").size == 0

    def test_a_protected_branch(self, lake: LakeFSLake, repository: str, outside: Outside) -> None:
        outside.protect(repository, "release-*")  # first of all: lakeFS keeps rules in memory for some seconds
        commit(lake, repository, {"a": b"1"})
        lake.create_branch(repository, "release-1", "main")
        expected = (
            f'the branch "release-1" of the repository "{repository}" is protected',
            f"work on a branch of your own: `reprolock data branch lakefs://{repository}/release-1 NAME`",
        )
        assert problem(LakeRefused, put, lake, repository, "b", b"1", "release-1") == expected
        assert problem(LakeRefused, lake.remove, repository, "release-1", "a") == expected
        assert problem(LakeRefused, lake.commit, repository, "release-1", "text") == expected

    def test_a_read_only_repository(self, lake: LakeFSLake, repository: str) -> None:
        name = f"{repository}-ro"
        body = {"name": name, "storage_namespace": f"s3://lake/{name}", "read_only": True}
        lake._transport.ask("POST", ("repositories",), body=body)
        expected = (f'the repository "{name}" is read-only', "work in another repository, or have it made writable")
        assert problem(LakeRefused, put, lake, name, "b") == expected
        assert problem(LakeRefused, lake.create_branch, name, "dev", "main") == expected
        assert problem(LakeRefused, lake.commit, name, "main", "text") == expected

    def test_keys_without_the_right(self, lake: LakeFSLake, repository: str) -> None:
        """A lakeFS without users' rights never answers so; what is made of the answer is the same on every one."""
        said = Refused(403, "insufficient permissions")
        where = f"lakeFS at {lake.endpoint} does not let the credentials of LAKECTL_CREDENTIALS_ACCESS_KEY_ID"
        hint = "ask an administrator of lakeFS to allow it for the user of these credentials, or use other credentials"
        for explained, doing in (
            (
                error_mapping.reading(lake._transport, said, repository, ["main"], "a"),
                f"read lakefs://{repository}/main/a",
            ),
            (error_mapping.writing(lake._transport, said, repository, "main", "write it"), "write it"),
            (
                error_mapping.merging(lake._transport, said, repository, "dev", "main"),
                f'merge "dev" into the branch "main" of the repository "{repository}"',
            ),
            (
                error_mapping.naming(lake._transport, said, repository, "tag", "v1", "main"),
                f'make the tag "v1" in the repository "{repository}"',
            ),
            (
                error_mapping.creating(lake._transport, said, f"{repository}-new"),
                f'create the repository "{repository}-new"',
            ),
        ):
            assert isinstance(explained, ServiceError)
            assert (explained.message, explained.hint, explained.exit_code) == (
                f"{where} {doing}: insufficient permissions",
                hint,
                5,
            )

    def test_a_hook_that_says_no(self, lake: LakeFSLake, repository: str) -> None:
        put(lake, repository, "_lakefs_actions/check.yaml", CHECK.encode())
        message, hint = problem(LakeRefused, lake.commit, repository, "main", "text")
        assert message.startswith(
            f'lakeFS at {lake.endpoint} does not commit on the branch "main" of the repository "{repository}": '
        )
        assert "the row count must not fall" in message
        assert "\n" not in message
        assert hint == "correct what it says and try again"
        assert lake.uncommitted(repository, "main")

    def test_a_repository_needs_a_place(self, lake: LakeFSLake) -> None:
        assert problem(UsageError, lake.create_repository, "example-repo") == (
            f'the repository "example-repo" needs a storage for its objects: lakeFS at {lake.endpoint} has no default',
            "name a bucket: `reprolock data create lakefs://example-repo --storage s3://BUCKET/`",
        )

    def test_a_place_for_many_repositories(self, lake: LakeFSLake, repository: str) -> None:
        for name in (f"{repository}-a", f"{repository}-b"):
            lake.create_repository(name, storage="s3://lake/")
            put(lake, name, "a")

    @pytest.mark.parametrize(
        ("storage", "said"),
        [
            ("gs://lake/x", "failed to match required regex ^s3://: invalid namespace"),
            ("s3://no-such-bucket/x", "failed to create repository: failed to access storage"),
        ],
    )
    def test_a_place_that_lakefs_does_not_take(self, lake: LakeFSLake, storage: str, said: str) -> None:
        assert problem(LakeRefused, lake.create_repository, "example-repo", storage=storage) == (
            f'lakeFS at {lake.endpoint} does not create the repository "example-repo": {said}',
            "correct what it says and try again",
        )

    def test_the_address_for_spark_is_to_the_letter(self, lake: LakeFSLake) -> None:
        place = LakeURI("example-repo", "main", "with space/100%/[a].csv")
        assert lake.address(place) == "s3a://example-repo/main/with space/100%/[a].csv"

    def test_the_server_says_its_version(self, lake: LakeFSLake) -> None:
        assert lake.version()
