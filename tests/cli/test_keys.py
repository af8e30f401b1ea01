"""A key that is in use here never reaches a record, an artifact or MLflow, wherever it comes from; and no run is lost for it."""

from __future__ import annotations

import gzip
import subprocess

import pytest
from project import Project, lines_of

from reprolock.files.secrets import Scanner
from reprolock.model.record import OutputRecord
from reprolock.steps.recording.redact import redact_record

KEY = "k3y-that-is-long"
HINT = "hint: remove it, and read it from a variable (run.pass_env passes one to the command)\n"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", KEY)


def nowhere(project: Project, key: str = KEY) -> None:
    """Nothing that the run has left holds the key, but the files in which the test put it, and the command's own output."""
    for folder in (".reprolock/runs", ".reprolock/outbox", "mlruns", "mlartifacts"):
        for path in (project.root / folder).rglob("*"):
            if path.is_file() and "work" not in path.relative_to(project.root).parts:
                data = path.read_bytes()
                assert key.encode() not in (gzip.decompress(data) if path.suffix == ".gz" else data), path
    assert key.encode() not in (project.root / "mlflow.db").read_bytes()


@pytest.mark.parametrize("arguments", [["run"], ["run", "--dry-run"]], ids=["run", "dry run"])
def test_in_the_spec(project: Project, cli, arguments: list[str]) -> None:
    project.add(f'[params]\nmodel = "{KEY}"\n')
    cli("lock")
    assert cli(*arguments) == (2, "", f"error: repro.toml:15 carries the value of SOME_TOKEN\n{HINT}")
    assert project.all_stored() == []
    nowhere(project)


@pytest.mark.parametrize("arguments", [["run"], ["run", "--dry-run"]], ids=["run", "dry run"])
def test_in_the_spec_in_a_form_that_is_not_the_keys_own(project: Project, cli, arguments: list[str]) -> None:
    project.add('[params.model]\nnames = ["small", "\\u006b3y-that-is-long"]\n')
    cli("lock")
    assert cli(*arguments) == (
        2,
        "",
        f"error: params.model.names.1 in repro.toml carries the value of SOME_TOKEN\n{HINT}",
    )
    assert project.all_stored() == []
    nowhere(project)


def test_in_the_name_of_a_metric(project: Project, cli) -> None:
    project.edit("[run]", "[run]\nseed = 1")
    project.script("""
        import json, os, pathlib
        import mlflow
        mlflow.log_metric("loss", 0.5)
        mlflow.log_metric("".join(["k3y", "-that-is-long"]), 1.0)
    """)
    cli("lock")
    said = cli("run")
    assert lines_of(said.err, "warning") == [
        "warning: the name of a metric carries the value of SOME_TOKEN; it is not recorded"
    ]
    assert said.code == 0
    assert project.record.metrics == {"loss": 0.5}
    assert project.stored_record(project.record.run_id) == project.record
    assert project.record.broken == ()


@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
def test_in_an_output_that_would_be_kept(project: Project, cli, offline: bool) -> None:
    project.add(
        '[outputs.good]\npath = "good.json"\ncompare = "json"\n\n[outputs.leaky]\npath = "leaky.json"\ncompare = "json"\n'
    )
    project.script("""
        import json, pathlib
        pathlib.Path("good.json").write_text("{}")
        pathlib.Path("leaky.json").write_text(json.dumps({"a": 1, "b": "-".join(["k3y", "that-is-long"])}, indent=1))
    """)
    cli("lock")
    said = cli("run", *(["--offline"] if offline else []))
    assert lines_of(said.err, "warning") == [
        "warning: outputs.leaky is not kept beside the record: leaky.json:3 carries the value of SOME_TOKEN"
    ]
    record = project.record
    assert (said.code, record.status) == (0, "FINISHED")
    assert [output.kept for output in record.outputs] == ["output-good.tar.gz", None]
    assert (project.root / "leaky.json").exists()
    nowhere(project)
    if offline:
        assert cli("sync").code == 0
    else:
        assert "reprolock/output-good.tar.gz" in project.artifacts(record.run_id)
        assert "reprolock/output-leaky.tar.gz" not in project.artifacts(record.run_id)
        assert cli("replay", record.run_id).code == 0
    nowhere(project)


def test_in_the_users_own_spark_settings(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the caller's SPARK_CONF_DIR is part of the project, its keys would be logged with the code."""
    pytest.importorskip("pyspark")
    conf = project.root / "conf"
    conf.mkdir()
    (conf / "spark-defaults.conf").write_text("spark.ui.enabled false\nspark.ssl.keyPassword open-sesame-2026\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(conf))
    project.add('[spark]\nmaster = "local[1]"\n')
    assert cli("lock").code == 0
    said = cli("run")
    assert said.err.endswith(
        "error: conf/spark-defaults.conf:2 carries the value of spark.ssl.keyPassword\n"
        "hint: remove it, and read it from a variable; or name what the command needs in run.code, without this file\n"
    )
    assert said.code == 2
    nowhere(project, "open-sesame-2026")
    project.edit("[run]", '[run]\ncode = ["train.py"]')
    said = cli("run", "-q")
    assert (said.code, said.out, said.err) == (0, "hello\n", "")
    assert project.record.spark.conf["spark.ssl.keyPassword"] == "${env:REPROLOCK_SPARK_SECRET_0}"
    nowhere(project, "open-sesame-2026")
    project.add('[params]\npassword = "open-\\u0073esame-2026"\n')
    said = cli("run")
    assert said.err.endswith(
        f"error: params.password, which would be recorded, carries the value of spark.ssl.keyPassword\n{HINT}"
    )
    assert said.code == 2
    nowhere(project, "open-sesame-2026")


def test_in_what_is_said_of_an_ending(project: Project, cli) -> None:
    """What a foreign program answers may hold anything: asterisks stand in the record, and its seal is over these."""
    cli("lock")
    assert cli("run", "-q").code == 0
    record = project.record
    scanner = Scanner({"SOME_TOKEN": KEY})
    assert redact_record(record, record, scanner) == (record, ())
    said = record.ending.model_copy(update={"reason": f"no answer to {KEY}"})
    leaky = OutputRecord(
        name="table", path="table", compare="table", files=1, bytes=1, problem=f"Spark: {KEY}: not found"
    )
    written, remarks = redact_record(record.model_copy(update={"ending": said, "outputs": (leaky,)}), record, scanner)
    assert remarks == (
        "ending.reason carries the value of SOME_TOKEN; asterisks are recorded",
        "outputs.0.problem carries the value of SOME_TOKEN; asterisks are recorded",
    )
    assert (written.ending.reason, written.outputs[0].problem) == ("no answer to ***", "Spark: ***: not found")
    assert written == record.model_copy(update={"ending": written.ending, "outputs": written.outputs})


def test_what_passes_may_be_the_projects_own_folder(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pass_env names is looked for where people write, and a place that reprolock records is no such thing."""
    monkeypatch.setenv("HERE", str(project.root))
    project.edit("[run]", '[run]\npass_env = ["HERE"]')
    cli("lock")
    assert cli("run", "-q") == (0, "hello\n", "")
    assert project.record.datasets[0].url.startswith(f"file://{project.root}/")
    assert cli("replay", project.record.run_id[:8], "--dry-run").code == 0


def test_in_what_git_says(project: Project, cli) -> None:
    """The branch's name is recorded, and so is nothing of a run that is refused for it."""
    for arguments in (["init", "-q", "-b", KEY], ["add", "repro.toml", "train.py"], ["commit", "-q", "-m", "Start"]):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments], cwd=project.root, check=True
        )
    cli("lock")
    said = cli("run")
    assert said == (2, "", f"error: code.branch, which would be recorded, carries the value of SOME_TOKEN\n{HINT}")
    [run] = project.all_stored()
    assert (run.info.status, run.data.tags["reprolock.reason"]) == (
        "FAILED", "code.branch, which would be recorded, carries the value of SOME_TOKEN",
    )  # fmt: skip
    nowhere(project)
