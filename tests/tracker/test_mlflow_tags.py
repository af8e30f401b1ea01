"""Which datasets the lakefs_* tags speak of, and what is a tag only sometimes."""

from __future__ import annotations

import pytest

from reprolock.model.record import DatasetRecord, Record
from reprolock.tracker.tags import tags_of


def lake_tags(record: Record) -> list[str | None]:
    tags = tags_of(record)
    return [tags.get(name) for name in ("lakefs_repo", "lakefs_branch", "lakefs_head_commit_id")]


@pytest.mark.parametrize(
    ("contexts", "chosen"), [(("training", "training"), "one"), (("testing", "training"), "two"), (("testing", "eval"), "one")]
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
    assert not [name for name in tags if "git" in name or name == "reprolock.code.commit"]
    assert tags["reprolock.code.dirty"] == "false"


def test_a_tag_of_the_users_never_replaces_one_of_ours(record: Record) -> None:
    tags = tags_of(record.model_copy(update={"tags": {"reprolock.pinned": "forged", "lakefs_repo": "forged", "a@b": "kept"}}))
    assert (tags["reprolock.pinned"], tags["lakefs_repo"], tags["a_b"]) == ("aa" * 32, "example-repo", "kept")
