"""The description of a run on MLflow's page."""

from __future__ import annotations

from reprolock.model.record import DatasetRecord, Record
from reprolock.tracker.encoding.inputs import label_of, name_in
from reprolock.tracker.encoding.note import note_of


def test_three_lines_say_data_result_and_how_to_replay(record: Record, dataset: DatasetRecord) -> None:
    lines = note_of(record).split("  \n")
    assert len(lines) == 3
    assert lines[0] == (f"**Data** train from `example-repo/main` at `{dataset.commit[:12]}` (3 objects, 7.9 MB)")
    assert lines[1] == "**Result** the command is running"
    assert lines[2] == f"**Replay** `reprolock replay {record.run_id[:12]}`"


def test_declared_metrics_are_the_result(ended: Record) -> None:
    rules = {"metrics.accuracy": {"rel": 0.0, "abs": 0.0}}
    told = ended.model_copy(update={"metrics": {"accuracy": 0.94731234, "other": 1.0}, "rules": rules, "outputs": ()})
    assert note_of(told).split("  \n")[1] == "**Result** `accuracy` 0.947312"


def test_foreign_text_is_shown_and_never_obeyed(ended: Record) -> None:
    told = ended.model_copy(update={"metrics": {"a`<img src=x>\n": 1.0}, "rules": {}, "outputs": ()})
    assert note_of(told).split("  \n")[1] == "**Result** `a'<img src=x>\\n` 1"


def test_an_input_is_shown_with_branch_and_short_commit(dataset: DatasetRecord) -> None:
    label = label_of(dataset)
    assert label == f"train main@{dataset.commit[:7]}"
    assert name_in(label) == "train"
    pinned = dataset.model_copy(update={"uri": f"lakefs://example-repo/{dataset.commit}/training_dataset/"})
    assert label_of(pinned) == f"train @{dataset.commit[:7]}"
