"""What a command logs to MLflow beside its own run belongs to it: in the record, in MLflow, for `impact` and for a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from project import Project

from reprolock.environment.code.snapshot import snapshot
from reprolock.steps.running.mlflow_compat import sets_other_address
from reprolock.tracker.tracking_uri import Place


def test_every_mlflow_run_of_the_command_is_kept(project: Project, cli) -> None:
    project.script("""
        import os, subprocess, sys
        import mlflow
        from mlflow import MlflowClient

        with mlflow.start_run(run_name="trial0"):
            mlflow.log_metric("loss", 0.5)
        with mlflow.start_run(run_name="trial1") as trial:
            mlflow.log_metric("loss", 0.25)
            with mlflow.start_run(run_name="fold", nested=True):
                mlflow.log_param("depth", 3)
        mlflow.end_run()
        mlflow.log_metric("after", 1)
        mlflow.end_run()
        client = MlflowClient()
        made = client.create_run(os.environ["MLFLOW_EXPERIMENT_ID"], run_name="by hand")
        client.log_metric(made.info.run_id, "rows", 2)
        second = "import mlflow; mlflow.start_run(run_name='second'); mlflow.log_metric('s', 3)"
        subprocess.run([sys.executable, "-c", second], check=True)
        client.create_registered_model("flight-model")
        client.create_model_version("flight-model", "file:///model", trial.info.run_id)
    """)
    project.add('\n[metrics]\nloss = "exact"\nafter = "exact"\n')
    assert cli("lock").code == 0
    said = cli("run")
    assert said.code == 0, said.err
    record = project.record
    assert record.metrics == {"loss": 0.5, "after": 1.0, "rows": 2.0, "s": 3.0}
    found = {child.name: child for child in record.children}
    assert found.keys() >= {"trial1", "fold", "by hand", "second"} and len(found) == 5
    assert (found["trial1"].metrics, found["trial1"].models) == ({"loss": 0.25}, ("flight-model/1",))
    assert (found["fold"].params, found["fold"].metrics) == ({"depth": "3"}, {})
    assert [line.split()[0] for line in said.err.splitlines() if "loss 0.25" in line] == ["Runs"]

    for child in record.children:
        tags = project.stored(child.run_id).data.tags
        parent = found["trial1"].run_id if child.name == "fold" else record.run_id
        assert (tags["mlflow.parentRunId"], tags["reprolock.started_by"]) == (parent, record.run_id)
        assert project.stored(child.run_id).info.status == "FINISHED" or child.name == "by hand"
    said = cli("impact", "lakefs://example-repo/main/train/")
    assert "flight-model" in said.out


def test_a_run_that_the_command_ends_as_failed_though_its_exit_code_is_0(project: Project, cli) -> None:
    """As scripts do that log what they catch; a trial that is pruned in `with mlflow.start_run()` ends so, too."""
    project.script("""
        import mlflow
        mlflow.start_run()
        try:
            1 / 0
        except ArithmeticError:
            mlflow.end_run("FAILED")
    """)
    assert cli("lock").code == 0
    sentence = (
        "the command ended its MLflow run as FAILED, and itself with exit code 0: the run is recorded as FINISHED"
    )
    assert cli("run", "-q") == (0, "", f"warning: {sentence}\n")
    assert (project.record.status, project.stored().info.status) == ("FINISHED", "FINISHED")
    project.script("import mlflow; mlflow.start_run(); mlflow.end_run()")
    assert cli("run", "-q") == (0, "", "")


def test_runs_in_an_experiment_that_the_script_sets_belong_to_the_run(project: Project, cli) -> None:
    project.script("""
        import mlflow, os
        mlflow.set_experiment("-".join(["else", "where"]).replace("-", ""))
        for number in range(2):
            with mlflow.start_run(run_name=f"try{number}"):
                mlflow.log_metric("loss", 0.5 - number * 0.25)
    """)
    project.add('\n[metrics]\nloss = "exact"\n')
    assert cli("lock").code == 0
    said = cli("run")
    assert said.code == 0, said.err
    record = project.record
    assert [(child.name, child.metrics) for child in record.children] == [
        ("try0", {"loss": 0.5}),
        ("try1", {"loss": 0.25}),
    ]
    assert record.metrics == {"loss": 0.25}  # of the one that started last
    for run in project.all_stored(experiment="elsewhere"):
        assert run.data.tags["mlflow.parentRunId"] == record.run_id
    said = cli("replay", record.run_id)
    assert said.code == 0, said.err
    assert "loss of try0" in said.out and "loss of try1" in said.out and "REPRODUCED   3 of 3 compared" in said.out


@pytest.mark.parametrize("offline", [(), ("--offline",)], ids=["", "offline"])
def test_what_a_client_logs_to_another_experiment_belongs_to_the_run(
    project: Project, cli, offline: tuple[str, ...]
) -> None:
    """`MlflowClient().create_run` tells MLflow nothing of where it was called; in the project's own database it is ours."""
    project.script("""
        import mlflow
        client = mlflow.MlflowClient()
        found = client.get_experiment_by_name("models")
        made = client.create_run(found.experiment_id if found else client.create_experiment("models"), run_name="by hand")
        client.log_metric(made.info.run_id, "rows", 2)
        mlflow.log_metric("loss", 1)
    """)
    project.add('\n[metrics]\nrows = "exact"\n')
    assert cli("lock").code == 0
    said = cli("run", *offline)
    assert said.code == 0, said.err
    [child] = project.record.children
    assert (child.name, child.metrics) == ("by hand", {"rows": 2.0})
    if not offline:
        assert project.stored(child.run_id).data.tags["mlflow.parentRunId"] == project.record.run_id
        assert cli("replay", project.record.run_id).out.startswith("rows  exact  2  2  identical\n")


def test_a_run_of_a_loop_that_differs_makes_a_replay_differ(project: Project, cli) -> None:
    project.script("""
        import random
        import mlflow
        for number in range(2):
            with mlflow.start_run(run_name=f"try{number}"):
                mlflow.log_metric("loss", 0.0 if number == 0 else random.SystemRandom().random())
    """)
    project.add('\n[metrics]\nloss = "exact"\n')
    assert cli("lock").code == 0
    assert cli("run").code == 0
    said = cli("replay", project.record.run_id)
    assert said.code == 6
    assert "DIVERGED   1 of 2 differ: loss of try1" in said.out


def test_what_autologging_begins_and_ends_belongs_to_the_run(project: Project, cli) -> None:
    """scikit-learn's begins a run for each `fit` and ends it: the first is the run's own, the next are its children."""
    project.script("""
        import mlflow
        from sklearn.linear_model import LogisticRegression
        from sklearn.tree import DecisionTreeClassifier

        mlflow.sklearn.autolog(log_models=False, log_datasets=False)
        rows, labels = [[0, 1], [1, 0], [2, 1], [3, 0]], [0, 0, 1, 1]
        tree = DecisionTreeClassifier(max_depth=2, random_state=0).fit(rows, labels)
        LogisticRegression(C=0.5).fit(rows, labels)
        mlflow.log_metric("after", 1)
    """)
    project.add('\n[metrics]\ntraining_accuracy_score = "exact"\nafter = "exact"\n')
    assert cli("lock").code == 0
    said = cli("run")
    assert said.code == 0, said.err
    record, stored = project.record, project.stored()
    assert (record.status, stored.info.status) == ("FINISHED", "FINISHED")
    assert record.metrics["training_accuracy_score"] == 1.0 and record.metrics["after"] == 1.0
    assert stored.data.params["max_depth"] == "2"
    children = {child.params.get("C"): child for child in record.children}
    assert children["0.5"].metrics["training_accuracy_score"] == 1.0
    assert {child.status for child in record.children} == {"FINISHED"}


@pytest.mark.long
def test_a_metric_that_went_to_another_mlflow_is_missed_by_name_of_the_call(project: Project, cli) -> None:
    project.script("""
        import mlflow
        # mlflow.set_tracking_uri("http://commented.example.com")
        mlflow.set_tracking_uri("sqlite:///own.db")
        mlflow.set_experiment("own")
        with mlflow.start_run():
            mlflow.log_metric("loss", 0.5)
    """)
    project.add('\n[metrics]\nloss = "exact"\n')
    assert cli("lock").code == 0
    said = cli("run")
    record = project.record
    assert (said.code, record.status, record.metrics) == (1, "FAILED", {})
    why = "train.py:4 calls mlflow.set_tracking_uri, and what is logged after that is no part of this run"
    assert record.ending.reason == (
        f"exit code 0, but it did not log the declared metric loss: MLflow's run {record.run_id[:8]} "
        f"in {project.database} has no metric; {why}"
    )
    project.edit('\n[metrics]\nloss = "exact"\n', "")
    said = cli("run")
    assert (said.code, said.err.count(f"warning: {why}\n")) == (0, 1)

    project.script("""
        import os, mlflow
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        mlflow.start_run()
    """)
    said = cli("run")
    assert (said.code, "set_tracking_uri" in said.err) == (0, False)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("mlflow.set_tracking_uri(uri=config.address)", "calls mlflow.set_tracking_uri, and what is logged after that"),
        ("client = MlflowClient('http://b')", "makes an MlflowClient of another address, and what is logged by it"),
        ("os.environ['MLFLOW_TRACKING_URI'] = 'http://b'", "sets MLFLOW_TRACKING_URI, and what is logged after that"),
        ("mlflow.set_tracking_uri('http://a')", None),
        ("mlflow.set_tracking_uri(os.getenv('MLFLOW_TRACKING_URI'))", None),
        ("client = MlflowClient()", None),
        ("if os.environ['MLFLOW_TRACKING_URI'] == 'http://b': pass", None),
        ("# mlflow.set_tracking_uri('http://b')", None),
    ],
)
def test_where_a_script_leaves_the_mlflow_that_it_is_given(tmp_path: Path, line: str, what: str | None) -> None:
    (tmp_path / "train.py").write_text(f"import os, mlflow\n{line}\n")
    code = snapshot(tmp_path, ("train.py",))
    told = what and f"train.py:2 {what} is no part of this run"
    assert sets_other_address(code, tmp_path, Place("http://a", "the test")) == told
