"""Encode a record as MLflow tags, for search. MLflow is not loaded here.

`lakefs_*` are the names that lakeFS's own MLflow guide uses, `mlflow.source.*` are MLflow's. record.json
stays the one truth: a tag is only read back to see whether the record is still the one that was logged.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from reprolock.model.record import CodeRecord, DatasetRecord, Record
from reprolock.model.uri import LakeURI
from reprolock.tracker.encoding.name import name_of
from reprolock.tracker.protocol import LAKE_TAG_TAG, PARENT_TAG, REPLAY_OF_TAG, RUN_ID_TAG

VALUE_LENGTH = 5000
"""The length of a tag's value that every MLflow server takes; longer ones are cut."""


def tags_of(record: Record) -> dict[str, str]:
    """Every tag of a run."""
    seal = record.sealed().seal
    assert seal is not None
    tags = {
        RUN_ID_TAG: record.run_id,
        "reprolock.seal": seal.total,
        "reprolock.version": record.reprolock,
        "reprolock.mode": record.mode,
        "reprolock.pinned": record.pinned.total,
        "reprolock.observed": record.observed.total,
        "mlflow.source.name": shlex.join(record.command),
        "mlflow.source.type": "LOCAL",
        **dict(_code(record.code)),
        **dict(_lake(record)),
    }
    for dataset in record.datasets:
        tags |= {f"reprolock.dataset.{dataset.name}.{name}": value for name, value in _dataset(dataset)}
    for item in record.published:
        if where := item.merged or item.commit:
            tags[f"reprolock.published.{item.name}"] = where
        if item.tag is not None:
            tags[LAKE_TAG_TAG] = item.tag
    if record.replay_of is not None:
        tags[REPLAY_OF_TAG] = record.replay_of
    if record.parent is not None:
        tags[PARENT_TAG] = record.parent
    if record.status == "RUNNING" and record.run_name is None and (name := name_of(record)) is not None:
        tags["mlflow.runName"] = name  # not when the run is made: only an opening record was searched for secrets
    if record.ending is not None:
        tags["reprolock.ending"] = record.ending.reason
    return {name: value[:VALUE_LENGTH] for name, value in tags.items()}


def model_tags_of(record: Record) -> dict[str, str]:
    """Tags of a model that the run has logged or registered: by these one comes from a model to the run, its record and its lock."""
    tags = tags_of(record)
    return {name: tags[name] for name in (RUN_ID_TAG, "reprolock.pinned", "reprolock.seal")}


def _code(code: CodeRecord) -> Iterator[tuple[str, str]]:
    yield "reprolock.code.digest", code.digest
    yield "reprolock.code.dirty", _truth(code.dirty)
    if code.commit is not None:
        yield "mlflow.source.git.commit", code.commit
    if code.branch is not None:
        yield "mlflow.source.git.branch", code.branch
    if code.remote is not None:
        yield "mlflow.source.git.repoURL", code.remote


def _lake(record: Record) -> Iterator[tuple[str, str]]:
    """Of the first dataset for training, in the order of repro.toml; without one, of the first dataset."""
    training = [dataset for dataset in record.datasets if dataset.context == "training"]
    for dataset in (training or list(record.datasets))[:1]:
        place = LakeURI.parse(dataset.uri)
        yield "lakefs_repo", place.repository
        yield "lakefs_branch", place.ref
        yield "lakefs_head_commit_id", dataset.commit


def _dataset(dataset: DatasetRecord) -> Iterator[tuple[str, str]]:
    yield "uri", dataset.uri
    yield "resolved", dataset.resolved
    yield "commit", dataset.commit
    yield "digest", dataset.digest
    if dataset.what_if:
        yield "what_if", _truth(True)


def _truth(value: bool) -> str:
    return "true" if value else "false"
