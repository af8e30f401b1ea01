"""Which datasets the lakefs_* tags speak of, and what is a tag only sometimes."""

from __future__ import annotations

import pytest

from reprolock.model.record import DatasetRecord, PublishedRecord, Record
from reprolock.tracker.encoding.tags import tags_of


def lake_tags(record: Record) -> list[str | None]:
    tags = tags_of(record)
    return [tags.get(name) for name in ("lakefs_repo", "lakefs_branch", "lakefs_head_commit_id")]


@pytest.mark.parametrize(
    ("contexts", "chosen"),
    [(("training", "training"), "one"), (("testing", "training"), "two"), (("testing", "eval"), "one")],
)
def test_the_first_training_dataset_is_the_lakes(
    record: Record, dataset: DatasetRecord, contexts: tuple[str, str], chosen: str
) -> None:
    datasets = tuple(
        dataset.model_copy(
            update={"name": name, "uri": f"lakefs://repo-{name}/dev/x", "commit": f"{name}-commit", "context": context}
        )
        for name, context in zip(("one", "two"), contexts, strict=True)
    )
    assert lake_tags(record.model_copy(update={"datasets": datasets})) == [f"repo-{chosen}", "dev", f"{chosen}-commit"]


def test_no_datasets_no_lake(record: Record) -> None:
    assert lake_tags(record.model_copy(update={"datasets": ()})) == [None, None, None]


def test_a_what_if_is_tagged(record: Record, dataset: DatasetRecord) -> None:
    tags = tags_of(record.model_copy(update={"datasets": (dataset.model_copy(update={"what_if": True}),)}))
    assert tags["reprolock.dataset.train.what_if"] == "true"
    assert "reprolock.dataset.train.what_if" not in tags_of(record)


def test_code_without_git(record: Record) -> None:
    code = record.code.model_copy(update={"commit": None, "remote": None, "branch": None, "dirty": False})
    tags = tags_of(record.model_copy(update={"code": code}))
    assert not [name for name in tags if "git" in name]
    assert tags["reprolock.code.dirty"] == "false"


def test_a_replay_and_what_was_published(record: Record) -> None:
    way = {"uri": "lakefs://example-repo/main/x/", "branch": "run-1"}
    published = (
        PublishedRecord(name="merged", commit="c1", merged="m1", **way),
        PublishedRecord(name="committed", commit="c2", **way),
        PublishedRecord(name="refused", problem="the branch is protected", **way),
    )
    tags = tags_of(record.model_copy(update={"replay_of": "f" * 32, "published": published}))
    assert {
        name: value for name, value in tags.items() if name.startswith(("reprolock.published", "reprolock.replay"))
    } == {
        "reprolock.replay_of": "f" * 32,
        "reprolock.published.merged": "m1",
        "reprolock.published.committed": "c2",
    }
