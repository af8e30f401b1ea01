"""Registered models by the runs that made them, on SQLite and on a server."""

from __future__ import annotations

from datetime import UTC, datetime

from mlflow.tracking import MlflowClient

from reprolock.tracker.mlflow_tracker import MlflowTracker
from reprolock.tracker.protocol import ModelVersion


def test_versions_by_run(tracker: MlflowTracker) -> None:
    one, two, three = (tracker.create("models", None, datetime.now(UTC)) for _ in range(3))
    client = MlflowClient(tracker.place.uri)
    name = f"delays-{one[:6]}"
    client.create_registered_model(name)
    for run_id in (one, two, one):
        client.create_model_version(name, f"runs:/{run_id}/model", run_id)
    assert tracker.models([one]) == [ModelVersion(name, "1", one), ModelVersion(name, "3", one)]
    assert tracker.models([one, two]) == [
        ModelVersion(name, "1", one),
        ModelVersion(name, "2", two),
        ModelVersion(name, "3", one),
    ]
    assert tracker.models([three]) == []
    assert tracker.models([]) == []
    assert tracker.models(["no' run"]) == []
    many = [f"{index:032x}" for index in range(250)]
    assert [version.run_id for version in tracker.models([one, *many, two])] == [one, two, one]
