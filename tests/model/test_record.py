"""A record that somebody rewrote and sealed anew is read only where each of its values is what its field says."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from reprolock.model.record import DatasetRecord

GIVEN = {
    "name": "train", "kind": "git", "uri": "lakefs://example-repo/main/train/", "resolved": "lakefs://example-repo/c0ffee/train/",
    "commit": "c0ffee", "commit_time": "2026-11-27T00:00:00Z", "objects": 1, "bytes": 2, "digest": "sha256:1", "format": "csv",
    "context": "training", "url": "file:///x", "columns": [{"name": "x", "type": "long"}],
}  # fmt: skip


def read(**other: object) -> DatasetRecord:
    return DatasetRecord.model_validate_json(json.dumps(GIVEN | other))


def test_a_dataset_is_read() -> None:
    assert read().model_dump(mode="json", exclude_defaults=True) == GIVEN
    assert read(columns=None).columns is None
    pair = {"type": "struct", "fields": [{"name": "a", "type": "string"}]}
    lists = {"type": "map", "keyType": "string", "valueType": {"type": "array", "elementType": pair}}
    columns = [{"name": "x", "type": lists}, {"name": "v", "type": {"type": "udt", "class": "VectorUDT"}}]
    assert read(columns=columns).columns == tuple(columns)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("uri", "9" * 30, "is not a lake address"),
        ("resolved", "lakefs://example-repo", "names no branch, tag or commit"),
        ("resolved", "lakefs://example-repo/main/../../etc", '"." or ".." as a segment'),
        ("columns", [{}], "a field of Spark's schema has a name and a type"),
        ("columns", [{"name": 1, "type": "long"}], "a field of Spark's schema has a name and a type"),
        ("columns", [{"name": "x", "type": None}], "a type of Spark's schema is a name, an array, a map or a struct"),
        ("columns", [{"name": "x", "type": {"type": "array"}}], "a type of Spark's schema is a name"),
        ("columns", [{"name": "x", "type": {"type": "map", "keyType": "string", "valueType": []}}], "a type of"),
        ("columns", [{"name": "x", "type": {"type": "struct", "fields": [{}]}}], "a field of Spark's schema"),
    ],
)
def test_what_no_run_writes_is_refused(field: str, value: object, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        read(**{field: value})
