"""MLflow servers that people have, each a process from an environment of its own: MLflow 2.22 and the newest 3."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import services
from other_versions import environment, version
from path_proxy import under_a_path
from project import Project, lines_of

pytestmark = [pytest.mark.live, pytest.mark.long]

VERSIONS = {"2.22": ("mlflow==2.22.*", "sqlalchemy<2.1"), "newest": ("mlflow>=3.1,<4",)}
"""MLflow 2 asks for any SQLAlchemy 2 and does not load with 2.1."""
TRAIN = """
    import mlflow
    import reprolock
    with mlflow.start_run():
        mlflow.log_metric("loss", 0.5)
        mlflow.log_param("depth", 3)
        mlflow.log_text("kept", "note.txt")
    with mlflow.start_run(run_name="again"):
        mlflow.log_metric("loss", 0.25)
    reprolock.current().output("o").path.write_text("1")
"""


class Installed(NamedTuple):
    """An MLflow of its own, and its server."""

    programs: Path
    server: services.Server
    uri: str

    @property
    def database(self) -> str:
        return f"sqlite:///{self.server.folder}/mlflow.db"

    def mlflow(self, *arguments: str) -> None:
        """Its command line, asking the server."""
        argv = [self.programs / "mlflow", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, env={"MLFLOW_TRACKING_URI": self.uri})
        assert done.returncode == 0, done.stderr

    def collect_garbage(self) -> None:
        """Remove what is deleted, for good."""
        artifacts = ("--artifacts-destination", str(self.server.folder / "artifacts"))
        self.mlflow("gc", "--backend-store-uri", self.database, *artifacts)


@pytest.fixture(scope="module", params=VERSIONS)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """One server for all tests of a version, behind a proxy that serves it under a path."""
    programs = environment(*VERSIONS[request.param])
    server = services.start_mlflow(tmp_path_factory.mktemp("mlflow"), programs / "python")
    services.used[f"MLflow server {request.param}"] = version(programs, "mlflow")
    with under_a_path(server.port, "/ml/flow") as uri:
        yield Installed(programs, server, uri)
    server.stop()


def test_runs_and_what_becomes_of_a_deleted_one(
    installed: Installed, project: Project, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = installed.uri
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    project.script(TRAIN)
    project.add('[outputs.o]\npath = "o"\n[metrics]\nloss = "exact"\n')
    assert cli("lock").code == 0
    said = cli("run", "--name", "first")
    assert (said.code, lines_of(said.err, "warning", "error")) == (0, []), said.err
    record = project.record
    short = record.run_id[:8]
    assert (record.metrics, [child.metrics for child in record.children]) == ({"loss": 0.5}, [{"loss": 0.25}])
    assert project.stored_record(record.run_id, uri) == record
    stored = project.stored(record.run_id, uri)
    assert stored.data.params == {"depth": "3"}
    assert [given.dataset.name.partition(" ")[0] for given in stored.inputs.dataset_inputs] == ["train"]

    assert cli("run", "-q", "--offline", "--name", "second").code == 0
    offline = project.record.run_id
    [sent] = json.loads(cli("sync", "--json").out)["sent"]
    assert (sent["run_id"], sent["error"]) == (offline, None)
    assert {row["name"]: row["status"] for row in json.loads(cli("runs", "--json").out)["runs"]} == {
        "first": "FINISHED",
        "second": "FINISHED",
    }
    said = cli("show", record.run_id)
    assert (said.code, said.out.splitlines()[0]) == (0, f"Run       {record.run_id}  first")
    said = cli("replay", record.run_id)
    assert (said.code, lines_of(said.err, "warning")) == (0, []), said.err
    assert "REPRODUCED   3 of 3 compared" in said.out

    # A deleted run is given out and takes nothing more; `mlflow gc` removes it.
    installed.mlflow("runs", "delete", "--run-id", record.run_id)
    place = f"{uri} (MLFLOW_TRACKING_URI)"
    said = cli("replay", record.run_id)
    assert said.code == 0, said.err
    assert lines_of(said.err, "warning") == [
        f"warning: MLflow will not show this replay on the page of the recorded run: run {short} is deleted in MLflow at {place}"
    ]
    assert "first" not in {
        row["name"] for row in json.loads(cli("impact", "lakefs://example-repo/main/train/", "--json").out)["runs"]
    }
    (project.root / ".reprolock/runs").rename(project.root / ".reprolock/elsewhere")
    assert cli("show", record.run_id).code == 0
    installed.collect_garbage()
    gone = (2, f'error: no run "{record.run_id}" in MLflow at {place}')
    for command in ("show", "replay", "export", "bundle", "hold add", "evidence"):
        more = {"export": ["--format", "prov"], "bundle": ["-o", "b.zip"], "evidence": ["--for", "part11"]}.get(
            command, []
        )
        said = cli(*command.split(), record.run_id, *more)
        assert (said.code, said.err.splitlines()[0]) == gone, command
    assert cli("runs").code == 0


FORGET = """
    import os
    import mlflow
    import reprolock
    client = mlflow.MlflowClient()
    client.log_metric(os.environ["MLFLOW_RUN_ID"], "loss", 0.5)
    reprolock.current().output("o").path.write_text("1")
    client.delete_run(os.environ["MLFLOW_RUN_ID"])
"""


def test_a_run_that_is_deleted_while_it_is_recorded(
    installed: Installed,
    project: Project,
    cli,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Nothing of it is lost: the record waits on the disk, says why, and what is signed of it stays beside it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", installed.uri)
    monkeypatch.setenv("REPROLOCK_SIGNING_KEY", str(tmp_path_factory.mktemp("keys") / "key.pem"))
    assert cli("key", "new", os.environ["REPROLOCK_SIGNING_KEY"]).code == 0
    project.script(FORGET)
    project.add('[outputs.o]\npath = "o"\n')
    assert cli("lock").code == 0
    said = cli("run")
    record = project.record
    short, place = record.run_id[:8], f"{installed.uri} (MLFLOW_TRACKING_URI)"
    deleted = f"run {short} is deleted in MLflow at {place}"
    assert said.code == 0, said.err
    assert lines_of(said.err, "warning") == [
        f"warning: the record is kept in .reprolock/outbox until `reprolock sync`: {deleted}"
    ]
    hint = f"hint: restore it with `mlflow runs restore --run-id {record.run_id}`"
    said = cli("sync")
    assert (said.code, said.err.splitlines()) == (
        2,
        [f"warning: run {short} stays", f"error: {deleted}", hint],
    )
    said = cli("sign", record.run_id, "--name", "Ann", "--meaning", "approved")
    assert (said.code, said.err) == (0, f"warning: the statement is not in MLflow: {deleted}\n")

    installed.collect_garbage()
    said = cli("sign", record.run_id, "--name", "Bob", "--meaning", "approved")
    assert (said.code, said.err) == (0, "")
    outbox = project.root / ".reprolock/outbox" / record.run_id
    removed = f"run {short} was removed from MLflow at {place} before all of its record was sent"
    said = cli("sync")
    assert (said.code, said.err.splitlines()) == (
        2,
        [
            f"warning: run {short} stays",
            f"error: {removed}",
            f"hint: its record is in {outbox}; remove that folder to forget it",
        ],
    )
    assert (outbox / "record.json").is_file()
    signed = (project.run_folder(record.run_id) / "attestations.jsonl").read_bytes().splitlines()
    assert len(signed) == 4  # the rules, the record, and two reviews
    assert cli("show", record.run_id).code == 0
