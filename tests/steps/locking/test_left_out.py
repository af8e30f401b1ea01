"""A glob that leaves out whole folders `NAME=VALUE`: in the lake Spark would type columns by them, in a local tree nothing does."""

from __future__ import annotations

from pathlib import Path

import pytest
from lake_project import Repository

from reprolock.errors import UsageError
from reprolock.lake.git.lake import GitLake
from reprolock.model.spec import DatasetSpec
from reprolock.model.uri import LakeURI
from reprolock.steps.locking.datasets import pin_dataset

OUT = 'datasets.train.glob: "*.csv" leaves out all of '


class InPlace(GitLake):
    """A lake that Spark reads itself, as it does lakeFS."""

    def address(self, place: LakeURI) -> str:
        return f"s3a://{place.repository}/{place.ref}/{place.path}"


def pinned(tmp_path: Path, *paths: str, glob: str = "*.csv", **more: object) -> int:
    repository = Repository(InPlace(tmp_path / "lake", "file:lake"), "example-repo", tmp_path)
    repository.commit_files({f"train/{path}": b"x\n1\n" for path in paths})
    spec = DatasetSpec(uri="lakefs://example-repo/main/train/", **{"format": "csv", "glob": glob, **more})
    return pin_dataset(repository.lake, "train", spec, repository.lake.resolve("example-repo", "main")).objects


@pytest.mark.parametrize(
    ("paths", "error"),
    [
        (("p=1/a.csv", "p=x/b.tsv"), f"{OUT}p=x/, by which Spark, in the lake, types the column p otherwise"),
        (("p=1/a.csv", "p=3000000000/b.tsv"), f"{OUT}p=3000000000/, by which Spark, in the lake, types the column p otherwise"),
        (("p=1/q=2/a.csv", "p=1/q=1.5/b.tsv"), f"{OUT}p=1/q=1.5/, by which Spark, in the lake, types the column q otherwise"),
        (("p=1/a.csv", "q=2/b.tsv"), f"{OUT}q=2/, whose columns are not p"),
        (("a.csv", "p=1/b.tsv"), f"{OUT}p=1/, for which Spark, in the lake, reads no file beside them"),
    ],
)  # fmt: skip
def test_what_would_be_read_in_two_ways_is_refused(tmp_path: Path, paths: tuple[str, ...], error: str) -> None:
    with pytest.raises(UsageError) as refused:
        pinned(tmp_path, *paths)
    assert refused.value.message == error
    assert refused.value.hint == (
        "move that folder out of the dataset, or write options = { recursiveFileLookup = true } to read no columns from folders"
    )


@pytest.mark.parametrize(
    "paths",
    [
        ("p=1/a.csv", "p=2/b.tsv"),
        ("p=x/a.csv", "p=1/b.tsv"),
        ("p=1/a.csv", "p=1/b.tsv", "p=x/_b.tsv", "_p/p=x/b.tsv"),
        ("p=1/a.csv", "README.md"),
        ("a.csv", "b.tsv"),
    ],
)
def test_what_is_read_in_one_way_is_pinned(tmp_path: Path, paths: tuple[str, ...]) -> None:
    assert pinned(tmp_path, *paths) == 1


def test_folders_that_are_no_columns_decide_nothing(tmp_path: Path) -> None:
    assert pinned(tmp_path, "p=1/a.csv", "p=x/b.tsv", options={"recursiveFileLookup": True}) == 1
