"""`show`: a record or the lock, as a person sees them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from project import Project

from reprolock.files.lock_file import read_lock
from reprolock.model.record import Record
from reprolock.tracker.mlflow_tracker import record_bytes


@pytest.fixture
def ran(project: Project, cli) -> Project:
    """A project with one run behind it."""
    project.edit("[run]", "[run]\nseed = 7")
    project.add('[params]\nmax_iter = 20\nname = "a b"\n\n[outputs.scores]\npath = "scores.csv"\n')
    project.script("import pathlib; pathlib.Path('scores.csv').write_text('1')")
    assert cli("lock").code == 0
    assert cli("run", "-q", "--name", "first try").code == 0
    return project


def test_a_record(ran: Project, cli) -> None:
    record = ran.record
    [given] = record.datasets
    [output] = record.outputs
    found = cli("show")
    lines = found.out.splitlines()
    assert (found.code, found.err) == (0, "")
    assert lines[0] == f"Run       {record.run_id}  first try"
    assert lines[1] == "Project   flights (experiment flights)"
    assert lines[2] == f"Started   {record.started:%Y-%m-%d %H:%M:%S}Z"
    assert lines[3].startswith("Status    FINISHED in ")
    assert lines[3].endswith(" s, exit code 0")
    assert lines[4] == "Command   python train.py"
    assert lines[5].split() == [
        "Inputs", "train", f"file://{ran.root}/.reprolock/data/example-repo/{given.commit[:12]}…/train", "1", "object,", "8", "B",
    ]  # fmt: skip
    assert lines[6] == f"Code      1 file, digest {record.code.digest[:8]}"
    assert lines[7].startswith(f"Env       {record.observed.sections['packages'][:8]} (")
    assert lines[8] == "Why       first run of this project"
    assert lines[9].split() == ["Commits", "train", given.resolved, given.digest[:20]]
    assert lines[10:13] == ["Params    max_iter = 20", "          name = a b", "Seed      7"]
    assert lines[13].split() == [
        "Outputs",
        "scores",
        "scores.csv",
        "1",
        "file,",
        "1",
        "B",
        "bytes",
        output.digest[5:13],
    ]
    assert lines[14:] == [
        "Lineage   plain file access was not observed",
        f"Pinned    {record.pinned.total}",
        f"Observed  {record.observed.total}",
    ]


def test_json_is_the_record_itself(ran: Project, cli) -> None:
    found = cli("show", "--json")
    assert Record.model_validate_json(found.out) == ran.record
    assert json.loads(found.out) == json.loads(record_bytes(ran.record))


def test_the_newest_run_and_one_by_its_beginning(ran: Project, cli) -> None:
    first = ran.record.run_id
    assert cli("run", "-q", "--set", "max_iter=50").code == 0
    assert "max_iter = 50" in cli("show").out
    assert "max_iter = 20" in cli("show", first[:8]).out
    assert "max_iter = 20" in cli("show", first).out


def test_a_run_of_another_folder_comes_from_mlflow(ran: Project, cli, tmp_path_factory: pytest.TempPathFactory) -> None:
    record = ran.record
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    found = cli("show", record.run_id[:8], "--tracking-uri", ran.database, "--json", root=elsewhere)
    assert Record.model_validate_json(found.out) == record
    shutil.rmtree(ran.root / ".reprolock")
    assert Record.model_validate_json(cli("show", record.run_id[:8], "--json").out) == record


def test_a_damaged_record_here_is_read_from_mlflow(ran: Project, cli) -> None:
    record = ran.record
    (ran.run_folder(record.run_id) / "record.json").write_text("{")
    assert Record.model_validate_json(cli("show", record.run_id[:8], "--json").out) == record


def test_the_record_of_another_run_under_the_id_that_is_asked_for(ran: Project, cli) -> None:
    """Who may write MLflow puts a good run in the place of another; a copy of a run, which its tag names, is shown."""
    good = ran.record
    assert cli("run", "-q", "--set", "max_iter=50").code == 0
    other = ran.record.run_id
    assert cli("show", other[:8], "--tracking-uri", ran.database, "--json").code == 0
    client = MlflowClient(ran.database)
    client.log_artifact(other, str(ran.run_folder(good.run_id) / "record.json"), "reprolock")
    for command in (
        ["show", other],
        ["diff", other, good.run_id],
        ["same-data", other, good.run_id],
        ["replay", other],
    ):
        said = cli(*command, "--tracking-uri", ran.database)
        assert (said.code, said.err) == (
            7,
            f"error: MLflow has the record of another run under {other[:8]}: that of {good.run_id[:8]}\n"
            "hint: get the run's artifacts from where they were first recorded\n",
        ), command
    client.set_tag(other, "reprolock.run_id", good.run_id)
    assert Record.model_validate_json(cli("show", other, "--tracking-uri", ran.database, "--json").out) == good


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("0123456789", 'no run "0123456789" in MLflow at {uri} (the default of mlflow.tracking_uri)'),
        ("abc", 'no run "abc" in MLflow at {uri} (the default of mlflow.tracking_uri)'),
        ("@latest~1", "@latest~1 is not there: this folder has only 1 run"),
        ("../../etc", "there is no file or folder ../../etc"),
    ],
)
def test_no_such_run(ran: Project, cli, run: str, message: str) -> None:
    found = cli("show", run)
    assert found.err.splitlines()[0] == f"error: {message.format(uri=ran.database)}"
    assert (found.code, found.out) == (2, "")


def test_the_folder_of_a_runs_artifacts(ran: Project, cli, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An auditor may have no more than this, and no MLflow."""
    elsewhere, shown = tmp_path_factory.mktemp("elsewhere"), cli("show").out
    shutil.copytree(ran.run_folder(ran.record.run_id), elsewhere / "artifacts" / "reprolock")
    for name in ("artifacts", "artifacts/reprolock"):
        said = cli("show", str(elsewhere / name), "--html", str(elsewhere / "page.html"), root=elsewhere)
        assert (said.code, said.out) == (0, shown)
        assert ran.record.run_id in (elsewhere / "page.html").read_text()
    record = elsewhere / "artifacts" / "reprolock" / "record.json"
    record.write_text(
        record.read_text()
        .replace('"project":"flights"', '"project":"fraud"')
        .replace('"project": "flights"', '"project": "fraud"')
    )
    said = cli("show", str(elsewhere / "artifacts"), root=elsewhere)
    assert (said.code, said.out) == (7, "")
    assert "not as it was when record.json was written" in said.err


def test_the_lock(project: Project, cli) -> None:
    cli("lock")
    pin = read_lock(project.root).dataset_pin("train")
    line = f"dataset train  lakefs://example-repo/main/train/  → {pin.commit[:12]}  {pin.time:%Y-%m-%d %H:%M}Z  1 object, 8 B\n"
    assert cli("show") == (0, line, "")
    assert cli("run", "-q").code == 0
    assert cli("show", "--lock") == (0, line, "")
    assert json.loads(cli("show", "--lock", "--json").out)["dataset"][0]["commit"] == pin.commit


def test_a_run_and_the_lock(ran: Project, cli) -> None:
    assert cli("show", ran.record.run_id, "--lock") == (
        2, "", "error: RUN and --lock cannot be used together\nhint: use one of them\n"
    )  # fmt: skip


def test_nothing_to_show(project: Project, cli) -> None:
    assert cli("show") == (
        2, "", "error: nothing has run here yet, and there is no repro.lock\nhint: run `reprolock lock`\n"
    )  # fmt: skip


def test_a_failed_run(project: Project, cli) -> None:
    project.script("raise SystemExit(3)")
    cli("lock")
    cli("run")
    status = next(line for line in cli("show").out.splitlines() if line.startswith("Status"))
    assert status.startswith("Status    FAILED in ")
    assert status.endswith(", exit code 3")


def test_a_diverged_loss_is_shown(project: Project, cli) -> None:
    """JSON has no NaN; the record writes it by its name."""
    cli("lock")
    cli("run", "-q")
    record = project.record.model_copy(update={"metrics": {"loss": float("nan"), "rows": 3.0, "far": float("inf")}})
    (project.run_folder(record.run_id) / "record.json").write_bytes(record_bytes(record))
    assert "Metrics   far inf   loss nan   rows 3\n" in cli("show").out
    found = cli("show", "--json")
    assert json.loads(found.out, parse_constant=pytest.fail)["metrics"] == {
        "loss": "NaN",
        "rows": 3.0,
        "far": "Infinity",
    }


def test_no_lake_and_no_mlflow_are_needed_for_what_is_here(ran: Project, cli) -> None:
    shutil.rmtree(ran.root / "lake")
    (ran.root / "mlflow.db").unlink()
    assert cli("show").code == 0
    assert not Path(ran.root / "mlflow.db").exists()
