"""XGBoost's autologging, in a locked environment with packages from their registry."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from command_line import Cli
from project import Project, lines_of

pytestmark = pytest.mark.long

TRAIN = """
    import mlflow
    import numpy
    import xgboost

    mlflow.xgboost.autolog(log_models=False, log_datasets=False)
    rows, labels = numpy.array([[0.0, 1], [1, 0], [2, 1], [3, 0]]), [0, 0, 1, 1]
    data = xgboost.DMatrix(rows, label=labels)
    for depth in (2, 3):
        xgboost.train({"objective": "binary:logistic", "max_depth": depth, "nthread": 1}, data, 3, evals=[(data, "train")])
    mlflow.log_metric("after", 1)
"""


def test_what_xgboost_logs_by_itself_belongs_to_the_run(project: Project, cli: Cli) -> None:
    """Each `train` begins a run and ends it: the first is the run's own, the next its child; a replay compares both."""
    project.script(TRAIN)
    project.add(f"""
        [environment]
        python = "3.11"
        packages = ["xgboost-cpu>=3", "mlflow=={version("mlflow")}", "scikit-learn"]
        [metrics]
        train-logloss = "exact"
        after = "exact"
    """)
    said = cli("lock")
    assert said.code == 0, said.err
    said = cli("run")
    assert (said.code, lines_of(said.err, "warning", "error")) == (0, []), said.err
    record, stored = project.record, project.stored()
    assert (record.status, stored.info.status) == ("FINISHED", "FINISHED")
    assert (stored.data.params["max_depth"], stored.data.params["num_boost_round"]) == ("2", "3")
    assert 0 < record.metrics["train-logloss"] < 0.7 and record.metrics["after"] == 1.0
    [child] = [child for child in record.children if child.params.get("max_depth") == "3"]
    assert (child.status, child.metrics["train-logloss"] > 0) == ("FINISHED", True)
    said = cli("replay", record.run_id)
    assert said.code == 0, said.err
    assert "train-logloss" in said.out and "REPRODUCED" in said.out
