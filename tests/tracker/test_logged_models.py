"""Models that a command logs are tied to the run and its lock, on SQLite and on a server."""

from __future__ import annotations

import time
from pathlib import Path

from mlflow.tracking import MlflowClient

from reprolock.model.record import Record
from reprolock.tracker.mlflow_tracker import MlflowTracker

Files = dict[str, Path]


def tags(client: MlflowClient, model_id: str) -> dict[str, str]:
    return {
        name: value for name, value in client.get_logged_model(model_id).tags.items() if name.startswith("reprolock.")
    }


def test_models_of_a_run_and_of_what_it_nests(
    tracker: MlflowTracker, record: Record, ended: Record, files: Files
) -> None:
    run_id = tracker.create(record.experiment, None, record.started)
    client = MlflowClient(tracker.place.uri)
    experiment = client.get_run(run_id).info.experiment_id
    now = int(time.time() * 1000)
    inner = client.create_run(experiment, start_time=now, tags={"mlflow.parentRunId": run_id}).info.run_id
    innermost = client.create_run(experiment, start_time=now, tags={"mlflow.parentRunId": inner}).info.run_id
    stranger = client.create_run(experiment, start_time=now, tags={"mlflow.parentRunId": "0" * 32}).info.run_id
    models = [
        client.create_logged_model(experiment, name="m", source_run_id=found).model_id
        for found in (run_id, inner, innermost, stranger)
    ]
    assert tracker.log(run_id, record, files) == ()
    assert tags(client, models[0]) == {}  # what a model belongs to is certain when the run has ended
    logged = ended.model_copy(update={"run_id": run_id})
    for _ in range(2):
        remarks = tracker.log(run_id, logged, files)
        assert not [remark for remark in remarks if "model" in remark]
    seal = logged.sealed().seal
    assert seal is not None
    tied = {"reprolock.run_id": run_id, "reprolock.pinned": logged.pinned.total, "reprolock.seal": seal.total}
    assert [tags(client, model) for model in models] == [tied, tied, tied, {}]
    assert tracker.tags(run_id).items() >= tied.items()
    assert [client.get_run(found).info.status for found in (inner, innermost, stranger)] == [
        "FINISHED",
        "FINISHED",
        "RUNNING",
    ]


def test_more_models_than_a_page(tracker: MlflowTracker, record: Record, ended: Record, files: Files) -> None:
    run_id = tracker.create(record.experiment, None, record.started)
    client = MlflowClient(tracker.place.uri)
    experiment = client.get_run(run_id).info.experiment_id
    models = [client.create_logged_model(experiment, name="m", source_run_id=run_id).model_id for _ in range(103)]
    tracker.log(run_id, ended.model_copy(update={"run_id": run_id}), files)
    assert {tags(client, model)["reprolock.run_id"] for model in models} == {run_id}
