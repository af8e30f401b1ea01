"""From a model in MLflow's registry to the run and the lock: models that a command logs with MLflow's own call."""

from __future__ import annotations

import json

import pytest
from mlflow.tracking import MlflowClient
from project import Project, lines_of

TRAIN = """
    import mlflow
    import sklearn.linear_model
    model = sklearn.linear_model.LinearRegression().fit([[1.0], [2.0]], [2.0, 4.0])
    with mlflow.start_run():
        with mlflow.start_run(nested=True):
            mlflow.sklearn.log_model(model, name="model", registered_model_name="NAME", pip_requirements=["scikit-learn"])
"""


@pytest.mark.parametrize("where", ["sqlite", "server"])
def test_a_registered_model_leads_to_its_lock(
    project: Project, cli, where: str, request: pytest.FixtureRequest
) -> None:
    uri, name = project.database, f"delays-of-{where}"
    if where == "server":
        uri = request.getfixturevalue("mlflow_server").endpoint
        project.add(f'\n[mlflow]\ntracking_uri = "{uri}"\n')
    project.script(TRAIN.replace("NAME", name))
    assert cli("lock").code == 0
    said = cli("run")
    assert (said.code, lines_of(said.err, "warning")) == (0, []), said.err
    record = project.record
    client = MlflowClient(uri)
    version = client.get_model_version(name, "1")
    tags = client.get_logged_model(version.source.rpartition("/")[2]).tags
    assert version.run_id != record.run_id  # that of the nested run, which has no record of its own
    assert tags["reprolock.run_id"] == record.run_id
    assert tags["reprolock.pinned"] == record.pinned.total
    assert tags["reprolock.seal"] == project.stored_record(record.run_id, uri).seal.total

    tied = {"reprolock.run_id", "reprolock.pinned", "reprolock.seal"}
    assert version.tags == {name: value for name, value in tags.items() if name in tied}
    said = cli("impact", record.datasets[0].resolved, "--json")
    by_run = {run["run_id"]: run["models"] for run in json.loads(said.out)["runs"]}
    assert by_run[record.run_id] == [{"name": name, "version": "1"}]
