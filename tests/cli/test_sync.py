"""`sync`: what waits on the disk goes to MLflow once, and what cannot go says why."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import services
from project import Project


@pytest.fixture
def offline(project: Project, cli) -> Project:
    """A project with one run that MLflow does not know."""
    project.add("[params]\nrate = 0.5\n")
    assert cli("lock").code == 0
    assert cli("run", "-q", "--offline").code == 0
    return project


def test_nothing_waits(project: Project, cli) -> None:
    assert cli("sync") == (0, "Nothing to send\n", "")
    assert json.loads(cli("sync", "--json").out) == {"sent": []}


def test_looking_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert cli("sync") == (0, "Nothing to send\n", "")
    assert list(tmp_path.iterdir()) == []


def test_the_guard_stands_beside_the_outbox(offline: Project, cli) -> None:
    assert cli("sync").code == 0
    own = offline.root / ".reprolock"
    assert not (own / ".reprolock").exists()
    assert {".gitignore", "outbox", "outbox.guard"} <= {path.name for path in own.iterdir()}


def test_an_offline_run_is_sent_once(offline: Project, cli) -> None:
    record = offline.record
    found = cli("sync")
    [stored] = offline.all_stored()
    assert found == (0, f"Sent run {record.run_id[:8]} as {stored.info.run_id[:8]}\n", "")
    assert cli("sync").out == "Nothing to send\n"
    assert len(offline.all_stored()) == 1
    assert (stored.info.status, stored.data.params) == ("FINISHED", {"rate": "0.5"})
    assert stored.info.start_time == round(record.started.timestamp() * 1000)
    assert offline.stored_record(stored.info.run_id) == record
    assert offline.artifacts(stored.info.run_id) == [
        "reprolock/code.tar.gz", "reprolock/record.json", "reprolock/repro.lock", "reprolock/repro.toml",
    ]  # fmt: skip
    assert not (offline.root / ".reprolock/outbox" / record.run_id).exists()
    # It is still found by the ID that it had, from elsewhere too.
    assert (
        json.loads(cli("show", record.run_id, "--tracking-uri", offline.database, "--json").out)["run_id"]
        == record.run_id
    )


def test_what_waits_to_be_sent_is_replayed_from_here(project: Project, cli) -> None:
    """`runs` lists it and `show` shows it: MLflow has nothing to be asked for."""
    project.add('[metrics]\nloss = "exact"\n')
    project.script('import mlflow\nmlflow.log_metric("loss", 0.5)\n')
    cli("lock")
    assert cli("run", "-q", "--offline").code == 0
    said = cli("replay", "@latest")
    assert (said.code, "REPRODUCED   1 of 1 compared" in said.out) == (0, True)


def test_several_are_sent_oldest_first(offline: Project, cli) -> None:
    first = offline.record.run_id
    assert cli("run", "-q", "--offline", "--set", "rate=0.25").code == 0
    second = offline.record.run_id
    document = json.loads(cli("sync", "--json").out)
    assert [sent["run_id"] for sent in document["sent"]] == [first, second]
    assert {run.data.params["rate"] for run in offline.all_stored()} == {"0.5", "0.25"}


def test_mlflow_is_loaded_by_the_first_offline_run_alone(project: Project, cli) -> None:
    """A later run's rows are written by SQLite, and the command's own MLflow takes them for its own."""
    project.script("""
        import sys
        if "log" in sys.argv:
            import mlflow
            with mlflow.start_run() as run:
                mlflow.log_metric("loss", 0.25)
                mlflow.log_text("kept", "note.txt")
                print(run.info.run_name, run.info.run_id, run.info.artifact_uri.rpartition("/offline/")[2])
            with mlflow.start_run(run_name="second"):
                mlflow.log_metric("loss", 0.5)
    """)
    project.command("python", "train.py", "{params.what}")
    project.add('[params]\nwhat = "nothing"\n')
    assert cli("lock").code == 0
    assert cli("run", "-q", "--offline").code == 0
    python = [sys.executable, "-X", "importtime", "-m", "reprolock", "-C", str(project.root), "run", "--offline", "-q"]
    said = subprocess.run(python, capture_output=True, text=True)
    loaded = {line.rpartition("|")[2].strip() for line in said.stderr.splitlines() if line.startswith("import time:")}
    assert (said.returncode, loaded & {"mlflow", "sqlalchemy", "pandas", "requests"}) == (0, set())
    assert "reprolock.tracker.offline" in loaded
    assert (project.record.metrics, project.record.children) == ({}, ())

    said = cli("run", "--offline", "--name", "nightly", "--set", "what=log")
    run_id = project.record.run_id
    assert said.code == 0, said.err
    assert f"nightly {run_id} mlruns/flights/{run_id}/artifacts" in said.out
    assert (project.record.metrics, [child.name for child in project.record.children]) == ({"loss": 0.25}, ["second"])
    assert (project.root / ".reprolock/offline/mlruns/flights" / run_id / "artifacts/note.txt").read_text() == "kept"


def test_mlflow_is_still_down(offline: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://127.0.0.1:{services.free_port()}"
    away = f"no answer from MLflow at {address} (--tracking-uri) after 1 try"
    found = cli("sync", "--tracking-uri", address)
    assert found == (
        5,
        "",
        f"warning: run {offline.record.run_id[:8]} stays\nerror: {away}\nhint: see whether it is running\n",
    )
    assert cli("sync").code == 0


def test_a_run_that_another_mlflow_has(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was created there, so that is where its record belongs."""
    cli("lock")
    project.script(
        f"import os; os.rename('{project.root}/mlflow.db', '{project.root}/away.db'); open('{project.root}/mlflow.db', 'w').write('x' * 4096)"
    )
    found = cli("run")
    assert found.code == 0
    record = project.record
    (project.root / "mlflow.db").unlink()
    (project.root / "away.db").rename(project.root / "mlflow.db")
    other = f"sqlite:///{project.root}/other.db"
    found = cli("sync", "--tracking-uri", other)
    assert found.err == (
        f"warning: run {record.run_id[:8]} stays\n"
        f"error: the run {record.run_id} is in MLflow at {project.database}, not at {other} (--tracking-uri)\n"
        f"hint: send it with `reprolock sync --tracking-uri {project.database}`\n"
    )
    assert found.code == 2
    assert cli("sync") == (0, f"Sent run {record.run_id[:8]}\n", "")
    assert project.stored().info.status == "FINISHED"


def test_a_damaged_entry_is_named(offline: Project, cli) -> None:
    entry = offline.root / ".reprolock/outbox" / offline.record.run_id
    (entry / "record.json").write_text("{")
    assert cli("sync") == (
        8, "", f"error: {entry} is damaged\nhint: move it away, and run `reprolock sync` again\n"
    )  # fmt: skip
