"""What a run leaves in MLflow: the same on an SQLite file and on a server, read back through MLflow's own client."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from recorded import COMMIT, ENDED, STARTED

from reprolock.errors import NotReplayable, UsageError
from reprolock.model.record import DatasetRecord, EndingRecord, PublishedRecord, Record
from reprolock.tracker.encoding.note import note_of
from reprolock.tracker.mlflow_tracker import MlflowTracker

Files = dict[str, Path]


def create(tracker: MlflowTracker, record: Record) -> str:
    return tracker.create(record.experiment, record.run_name, record.started)


def own_client(tracker: MlflowTracker) -> MlflowClient:
    return MlflowClient(tracker.place.uri)


def in_mlflow(run_id: str, record: Record) -> Record:
    """The record under the ID that MLflow gave, as a run that was online from its start has it."""
    return record.model_copy(update={"run_id": run_id}).sealed()


def command(tracker: MlflowTracker, run_id: str, script: str, folder: Path) -> None:
    """A user's own script, in a process of its own and a folder of its own."""
    environ = (
        dict(os.environ) | tracker.command_environment(run_id, "flight-delays") | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    )
    folder.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-c", script], env=environ, cwd=folder, check=True, capture_output=True)


def test_a_run_from_its_start_to_its_end(tracker: MlflowTracker, record: Record, ended: Record, files: Files) -> None:
    run_id = create(tracker, record)
    client = own_client(tracker)
    created = client.get_run(run_id)
    assert (created.info.status, created.info.run_name) == ("RUNNING", "first try")
    assert created.info.start_time == int(STARTED.timestamp() * 1000)
    assert client.get_experiment(created.info.experiment_id).name == "flight-delays"

    assert tracker.log(run_id, in_mlflow(run_id, record), files) == ()
    running = client.get_run(run_id)
    assert (running.info.status, running.info.end_time, running.data.params) == ("RUNNING", None, {})
    names = sorted(entry.path for entry in client.list_artifacts(run_id, "reprolock"))
    assert names == [
        f"reprolock/{name}" for name in ("code.tar.gz", "record.json", "repro.lock", "repro.toml", "spark")
    ]
    assert tracker.read(run_id) == in_mlflow(run_id, record)

    assert tracker.log(run_id, in_mlflow(run_id, ended), files) == ()
    finished = client.get_run(run_id)
    assert (finished.info.status, finished.info.end_time) == ("FINISHED", int(ENDED.timestamp() * 1000))
    assert finished.data.params == {
        "max_iter": "20",
        "optimiser.name": "adam",
        "optimiser.lr": "0.1",
        "layers": "[8, 16]",
    }
    assert tracker.read(run_id) == in_mlflow(run_id, ended)
    tags = {name: value for name, value in finished.data.tags.items() if name != "mlflow.user"}
    assert tags == {
        "mlflow.runName": "first try",
        "mlflow.note.content": note_of(in_mlflow(run_id, ended)),
        "mlflow.source.name": "python train.py --max-iter 20 'a b'",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": "1f0c2aa" + "0" * 33,
        "mlflow.source.git.branch": "main",
        "mlflow.source.git.repoURL": "https://git.example.com/x.git",
        "lakefs_repo": "example-repo",
        "lakefs_branch": "main",
        "lakefs_head_commit_id": COMMIT,
        "reprolock.run_id": run_id,
        "reprolock.seal": in_mlflow(run_id, ended).seal.total,
        "reprolock.version": "0.1.0",
        "reprolock.mode": "isolated",
        "reprolock.pinned": "aa" * 32,
        "reprolock.observed": "bb" * 32,
        "reprolock.ending": "exit code 0",
        "reprolock.code.digest": "c0" * 32,
        "reprolock.code.dirty": "true",
        "reprolock.dataset.train.uri": "lakefs://example-repo/main/training_dataset/",
        "reprolock.dataset.train.resolved": f"lakefs://example-repo/{COMMIT}/training_dataset/",
        "reprolock.dataset.train.commit": COMMIT,
        "reprolock.dataset.train.digest": "lakefs-etag-v1:" + "ab" * 32,
    }


def test_logging_twice_leaves_what_logging_once_leaves(tracker: MlflowTracker, ended: Record, files: Files) -> None:
    run_id = create(tracker, ended)
    tracker.log(run_id, ended, files)
    once = own_client(tracker).get_run(run_id)
    tracker.log(run_id, ended, files)
    twice = own_client(tracker).get_run(run_id)
    assert twice.to_dictionary() == once.to_dictionary()


def test_the_commands_own_logging_lands_in_the_run(
    tracker: MlflowTracker, ended: Record, files: Files, tmp_path: Path
) -> None:
    run_id = create(tracker, ended)
    script = """
import mlflow
mlflow.log_metric("accuracy", 0.5, step=1)
mlflow.log_metric("accuracy", 0.9, step=2)
mlflow.log_metric("nan", float("nan"))
mlflow.log_params({"max_iter": 99, "own": 1})
mlflow.log_text("hello", "note.txt")
with mlflow.start_run(nested=True, run_name="inner"):
    mlflow.log_metric("inner", 1)
"""
    command(tracker, run_id, script, tmp_path / "work")
    client = own_client(tracker)
    assert client.get_run(run_id).info.status == "FINISHED"  # MLflow ends the run with the script
    metrics = tracker.metrics(run_id)
    assert metrics.pop("nan") != metrics.get("nan")
    assert metrics == {"accuracy": 0.9}

    failed = ended.model_copy(
        update={"status": "FAILED", "ending": EndingRecord(exit_code=3, reason="exit code 3", seconds=1.0)}
    )
    assert tracker.log(run_id, failed, files) == (
        "params.max_iter is '20' in repro.toml, and the command logged '99'; MLflow keeps the command's",
    )
    run = client.get_run(run_id)
    assert (run.info.status, run.info.end_time) == ("FAILED", int(ENDED.timestamp() * 1000))
    assert run.data.params == {
        "max_iter": "99",
        "own": "1",
        "optimiser.name": "adam",
        "optimiser.lr": "0.1",
        "layers": "[8, 16]",
    }
    inner = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
    assert [(found.info.run_name, found.info.status) for found in inner] == [("inner", "FINISHED")]
    assert [artifact.path for artifact in client.list_artifacts(run_id)] == ["note.txt", "reprolock"]


def test_start_run_and_autologging_of_the_command_land_in_the_run(
    tracker: MlflowTracker, ended: Record, files: Files, tmp_path: Path
) -> None:
    run_id = create(tracker, ended)
    script = """
import mlflow
from sklearn.linear_model import LogisticRegression
mlflow.sklearn.autolog(log_models=False, log_datasets=False)
with mlflow.start_run(run_name="their own name") as run:
    LogisticRegression().fit([[0.0], [1.0]], [0, 1])
"""
    command(tracker, run_id, script, tmp_path / "work")
    tracker.log(run_id, ended, files)
    run = own_client(tracker).get_run(run_id)
    assert run.info.run_name == "their own name"
    assert run.data.params["C"] == "1.0"
    assert run.data.params["max_iter"] == "100"
    assert run.data.params["optimiser.name"] == "adam"


def test_the_commands_own_set_experiment(tracker: MlflowTracker, ended: Record, tmp_path: Path) -> None:
    run_id = create(tracker, ended)
    script = "import mlflow; mlflow.set_experiment({!r}); mlflow.start_run(); mlflow.log_metric('m', 1)"
    command(tracker, run_id, script.format(ended.experiment), tmp_path / "work")
    assert tracker.metrics(run_id) == {"m": 1.0}
    with pytest.raises(subprocess.CalledProcessError) as other:
        command(tracker, run_id, script.format("another"), tmp_path / "work")
    assert b"active experiment ID does not match environment run ID" in other.value.stderr


def test_a_killed_commands_nested_run_is_closed_too(
    tracker: MlflowTracker, ended: Record, files: Files, tmp_path: Path
) -> None:
    run_id = create(tracker, ended)
    script = """
import mlflow, os
mlflow.start_run(); mlflow.start_run(nested=True, run_name="inner")
os._exit(0)
"""
    command(tracker, run_id, script, tmp_path / "work")
    tracker.log(run_id, ended.model_copy(update={"status": "KILLED"}), files)
    client = own_client(tracker)
    run = client.get_run(run_id)
    (inner,) = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
    assert (run.info.status, inner.info.status, inner.info.end_time) == ("KILLED", "KILLED", run.info.end_time)


def test_an_input_names_the_commit_and_loads_as_mlflows_source(
    tracker: MlflowTracker, record: Record, dataset: DatasetRecord, files: Files
) -> None:
    delta = dataset.model_copy(
        update={"name": "table", "format": "delta", "options": {}, "table_version": 3, "context": "testing"}
    )
    run_id = create(tracker, record)
    tracker.log(run_id, record.model_copy(update={"datasets": (dataset, delta)}), files)
    train, table = sorted(
        own_client(tracker).get_run(run_id).inputs.dataset_inputs,
        key=lambda entry: not entry.dataset.name.startswith("train "),
    )

    assert [(tag.key, tag.value) for tag in train.tags] == [("mlflow.data.context", "training")]
    assert [(tag.key, tag.value) for tag in table.tags] == [("mlflow.data.context", "testing")]
    assert train.dataset.digest.startswith("ab" * 8) and len(train.dataset.digest) == 35
    assert json.loads(train.dataset.schema) == {
        "mlflow_colspec": [
            {"type": "double", "name": "x", "required": True},
            {"type": "string", "name": "label", "required": True},
        ]
    }
    source = mlflow.data.get_source(table)
    assert (type(source).__name__, source.path, source.delta_table_version) == (
        "DeltaDatasetSource",
        f"s3://example-repo/{COMMIT}/training_dataset",
        3,
    )


def test_equal_data_at_another_commit_is_shown_at_its_own_commit(
    tracker: MlflowTracker, record: Record, dataset: DatasetRecord, files: Files
) -> None:
    later = dataset.model_copy(
        update={"commit": "f" * 64, "resolved": f"lakefs://example-repo/{'f' * 64}/training_dataset/"}
    )
    first, second = create(tracker, record), create(tracker, record)
    tracker.log(first, record, files)
    tracker.log(second, record.model_copy(update={"datasets": (later,)}), files)
    sources = [
        json.loads(own_client(tracker).get_run(run_id).inputs.dataset_inputs[0].dataset.source)["uri"]
        for run_id in (first, second)
    ]
    assert sources == [dataset.resolved, later.resolved]


def test_columns_that_come_with_the_closing_record_make_no_second_input(
    tracker: MlflowTracker, record: Record, ended: Record, dataset: DatasetRecord, files: Files
) -> None:
    run_id = create(tracker, record)
    tracker.log(run_id, record.model_copy(update={"datasets": (dataset.model_copy(update={"columns": None}),)}), files)
    tracker.log(run_id, ended, files)
    assert len(own_client(tracker).get_run(run_id).inputs.dataset_inputs) == 1


def test_find_by_id_beginning_and_offline_id(
    tracker: MlflowTracker, record: Record, ended: Record, files: Files
) -> None:
    local_id = uuid.uuid4().hex
    offline = ended.model_copy(update={"run_id": local_id})
    run_id = tracker.create(record.experiment, None, record.started, local_id)
    assert tracker.create(record.experiment, None, record.started, local_id) == run_id != local_id
    tracker.log(run_id, offline, files)
    assert [tracker.find(name) for name in (run_id, run_id[:9], local_id, local_id[:9])] == [run_id] * 4

    place = tracker.place
    for name in ("0" * 32, "fffffff0", "no such run", "x' OR 1"):
        with pytest.raises(UsageError) as unknown:
            tracker.find(name)
        assert str(unknown.value) == f'no run "{name}" in MLflow at {place.shown} (mlflow.tracking_uri in repro.toml)'
        assert unknown.value.hint is not None
        assert re.fullmatch(
            r"the newest are .+; see `reprolock runs`, or name another MLflow with --tracking-uri", unknown.value.hint
        )
        assert unknown.value.exit_code == 2
    with pytest.raises(UsageError, match=f'no run "{run_id[:3]}" in MLflow'):
        tracker.find(run_id[:3])


def test_find_by_name_and_tag(tracker: MlflowTracker, ended: Record, files: Files) -> None:
    experiment, name, tag = f"of {uuid.uuid4().hex}", f"it's #{uuid.uuid4().hex}", f"v-{uuid.uuid4().hex}"
    published = (PublishedRecord(name="model", uri="lakefs://r/main/m/", branch="run", commit="c" * 40, tag=tag),)
    tagged = ended.replaced({"experiment": experiment, "published": published})
    run_id = tracker.create(experiment, name, ended.started)
    tracker.log(run_id, tagged.replaced({"run_id": run_id}), files)
    assert [tracker.find(text, experiment) for text in (name, tag)] == [run_id, run_id]
    assert tracker.find(name) == run_id
    with pytest.raises(UsageError, match="no run"):
        tracker.find(name, f"{experiment}, another")
    twin = tracker.create(experiment, name, ended.started)
    tracker.log(twin, ended.replaced({"experiment": experiment, "run_id": twin}), files)
    with pytest.raises(UsageError) as several:
        tracker.find(name, experiment)
    assert several.value.message == f'"{name}" names more than one run in MLflow at {tracker.place}'
    first, second = sorted((run_id, twin))
    assert several.value.hint == f'write an ID: {first} ("{name}"), {second} ("{name}")'


def test_an_ambiguous_beginning(tracker: MlflowTracker, ended: Record, files: Files) -> None:
    beginning = uuid.uuid4().hex[:12]
    made = []
    for end in ("a", "b"):
        local_id = beginning + end * 20
        made.append(tracker.create(ended.experiment, None, ended.started, local_id))
    with pytest.raises(UsageError) as several:
        tracker.find(beginning)
    assert several.value.message == f'"{beginning}" names more than one run in MLflow at {tracker.place}'
    first, second = (f"{run_id} \\(.+\\)" for run_id in sorted(made))
    assert re.fullmatch(f"write an ID: {first}, {second}", several.value.hint or "")


def test_runs_lists_what_was_recorded_newest_first(tracker: MlflowTracker, ended: Record, files: Files) -> None:
    experiment = f"of {uuid.uuid4().hex}, with 'quotes'"
    assert tracker.runs(experiment) == []
    older, newer = (
        ended.model_copy(
            update={"experiment": experiment, "started": datetime(year, 1, 1, tzinfo=UTC), "project": f"of {year}"}
        )
        for year in (2024, 2025)
    )
    ids = [create(tracker, found) for found in (older, newer)]
    for run_id, found in zip(ids, (older, newer), strict=True):
        tracker.log(run_id, in_mlflow(run_id, found), files)
    own_client(tracker).create_run(own_client(tracker).get_experiment_by_name(experiment).experiment_id)  # a user's own

    rows = tracker.runs(experiment)
    assert [(row.run_id, row.experiment, row.started.year, row.ended, row.status) for row in rows] == [
        (ids[1], experiment, 2025, ENDED, "FINISHED"),
        (ids[0], experiment, 2024, ENDED, "FINISHED"),
    ]
    assert [row.run_id for row in tracker.runs(experiment, {"reprolock.run_id": ids[0]})] == [ids[0]]
    assert [row.run_id for row in tracker.runs(experiment, limit=1)] == [ids[1]]
    assert {ids[0], ids[1]} <= {row.run_id for row in tracker.runs(tags={"reprolock.mode": "isolated"})}


def test_download_gives_the_folder_that_was_logged(
    tracker: MlflowTracker, ended: Record, files: Files, tmp_path: Path
) -> None:
    run_id = create(tracker, ended)
    tracker.log(run_id, ended, files)
    folder = tracker.download(run_id, tmp_path / "copy")
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert Record.model_validate_json(found.pop("record.json")) == ended
    assert found == {name: file.read_bytes() for name, file in files.items()}


def test_an_artifact_that_would_leave_its_folder(
    sqlite_tracker: MlflowTracker, ended: Record, files: Files, tmp_path: Path
) -> None:
    run_id = create(sqlite_tracker, ended)
    sqlite_tracker.log(run_id, ended, files)
    assert sqlite_tracker.place.file is not None
    folder = sqlite_tracker.place.file.parent / "mlruns" / "flight-delays" / run_id / "artifacts" / "reprolock"
    (folder / "..\\evil").write_bytes(b"")
    with pytest.raises(NotReplayable) as unsafe:
        sqlite_tracker.download(run_id, tmp_path / "copy")
    assert (unsafe.value.message, unsafe.value.exit_code) == (
        f'the run {run_id} in MLflow at {sqlite_tracker.place} has an artifact named "..\\evil", which would be outside its folder',
        7,
    )


def test_a_run_without_a_record_and_records_that_cannot_be_read(
    tracker: MlflowTracker, ended: Record, files: Files, tmp_path: Path
) -> None:
    run_id = create(tracker, ended)
    with pytest.raises(NotReplayable) as none:
        tracker.read(run_id)
    assert none.value.message == (
        f"the run {run_id} in MLflow at {tracker.place} has no reprolock/record.json: reprolock did not record it"
    )
    tracker.log(run_id, ended, files)
    damaged = tmp_path / "record.json"
    for text, sentence in (
        ('{"version": 2}', f"the record of run {run_id} in MLflow at {tracker.place} was written by a newer reprolock"),
        ('{"version": 1', f"reprolock/record.json of run {run_id} in MLflow at {tracker.place} is damaged"),
    ):
        damaged.write_text(text)
        own_client(tracker).log_artifact(run_id, str(damaged), "reprolock")
        with pytest.raises(NotReplayable) as unreadable:
            tracker.read(run_id)
        assert (unreadable.value.message, unreadable.value.exit_code) == (sentence, 7)


def test_a_deleted_experiment_takes_no_run(tracker: MlflowTracker, record: Record) -> None:
    name = f"gone {uuid.uuid4().hex}"
    tracker.create(name, None, record.started)
    client = own_client(tracker)
    experiment_id = client.get_experiment_by_name(name).experiment_id
    client.delete_experiment(experiment_id)
    with pytest.raises(UsageError) as deleted:
        tracker.create(name, None, record.started)
    assert deleted.value.message == (
        f'the experiment "{name}" (mlflow.experiment in repro.toml) is deleted in MLflow at {tracker.place}'
    )
    assert deleted.value.hint == (
        f"restore it with `mlflow experiments restore --experiment-id {experiment_id}`, or name another one"
    )


def test_many_params_and_long_ones(tracker: MlflowTracker, ended: Record, files: Files) -> None:
    params = {f"p{index:03}": index for index in range(250)} | {"long": "x" * 6001, "none": ""}
    run_id = create(tracker, ended)
    remarks = tracker.log(run_id, ended.model_copy(update={"params": params, "command": ("python", "y" * 6000)}), files)
    assert remarks == ("params.long is cut to 6000 of its 6001 characters in MLflow; record.json has all",)
    data = own_client(tracker).get_run(run_id).data
    assert len(data.params) == 252
    assert (data.params["p249"], data.params["long"], data.params["none"]) == ("249", "x" * 6000, "")
    assert data.tags["mlflow.source.name"] == "python " + "y" * 4993


def test_metrics_of_a_command_that_logged_them_elsewhere(tracker: MlflowTracker, ended: Record, files: Files) -> None:
    metrics = {f"m{index:03}": float(index) for index in range(150)} | {
        "nan": math.nan,
        "inf": math.inf,
        "less": -math.inf,
    }
    run_id = create(tracker, ended)
    for _ in range(2):
        tracker.log(run_id, ended.model_copy(update={"metrics": metrics}), files)
    found = tracker.metrics(run_id)
    assert math.isnan(found.pop("nan"))
    assert found.pop("inf") > 1e308 and found.pop("less") < -1e308  # MLflow keeps infinities as the largest number
    assert found == {f"m{index:03}": float(index) for index in range(150)}
    (entry,) = own_client(tracker).get_metric_history(run_id, "m007")
    assert (entry.value, entry.timestamp) == (7.0, int(ENDED.timestamp() * 1000))


def test_a_run_whose_command_never_started(tracker: MlflowTracker, record: Record) -> None:
    run_id = create(tracker, record)
    tracker.end(run_id, "FAILED", "no Java is here", ENDED)
    run = own_client(tracker).get_run(run_id)
    assert (run.info.status, run.info.end_time) == ("FAILED", int(ENDED.timestamp() * 1000))
    assert run.data.tags["reprolock.reason"] == "no Java is here"
    assert tracker.find(run_id[:12]) == run_id
    tracker.tag(run_id, {"reprolock.replayed_by": "x"})
    assert own_client(tracker).get_run(run_id).data.tags["reprolock.replayed_by"] == "x"


def test_reading_makes_no_database(tmp_path: Path, sqlite_tracker: MlflowTracker) -> None:
    assert sqlite_tracker.runs() == []
    for call in (sqlite_tracker.find, sqlite_tracker.read, sqlite_tracker.metrics):
        with pytest.raises(UsageError, match='no run "abcdef" in MLflow'):
            call("abcdef")
    assert list(tmp_path.iterdir()) == []


def test_artifacts_of_an_sqlite_file_stand_beside_it(
    sqlite_tracker: MlflowTracker, ended: Record, files: Files
) -> None:
    run_id = create(sqlite_tracker, ended)
    sqlite_tracker.log(run_id, ended, files)
    assert sqlite_tracker.place.file is not None
    folder = sqlite_tracker.place.file.parent / "mlruns" / "flight-delays" / run_id / "artifacts" / "reprolock"
    assert sorted(path.name for path in folder.iterdir()) == [
        "code.tar.gz",
        "record.json",
        "repro.lock",
        "repro.toml",
        "spark",
    ]
