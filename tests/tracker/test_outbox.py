"""Nothing is lost when MLflow is away: a real server that is ended before, during and after, and a sync that is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import services
from mlflow import MlflowClient
from recorded import tracker_at

from reprolock.errors import MachineError
from reprolock.model.record import Record
from reprolock.tracker.errors import Unreachable
from reprolock.tracker.mlflow_tracker import MlflowTracker
from reprolock.tracker.outbox import Outbox, Sent, log_or_keep, sync

ROOT = Path(__file__).parents[2]
Files = dict[str, Path]


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "project" / ".reprolock" / "outbox")


def offline(ended: Record, minute: int = 0) -> Record:
    """A run that no MLflow saw."""
    return ended.model_copy(
        update={"run_id": uuid.uuid4().hex, "started": ended.started.replace(minute=minute)}
    ).sealed()


def test_an_offline_run_is_sent_once(tracker: MlflowTracker, outbox: Outbox, ended: Record, files: Files) -> None:
    record = offline(ended)
    folder = outbox.keep(record, files)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "code.tar.gz", "outbox.json", "record.json", "repro.lock", "repro.toml", "spark/events.ndjson",
    ]  # fmt: skip
    (sent,) = sync(outbox, tracker)
    assert sent.mlflow_run is not None
    assert (sent.run_id, sent.error, sent.remarks) == (record.run_id, None, ())
    assert not folder.exists()
    assert sync(outbox, tracker) == []
    assert tracker.find(record.run_id) == sent.mlflow_run
    assert tracker.read(sent.mlflow_run) == record
    (row,) = tracker.runs(tags={"reprolock.run_id": record.run_id})
    assert (row.run_id, row.status, row.started, row.ended) == (
        sent.mlflow_run,
        "FINISHED",
        record.started,
        record.ended,
    )


def test_a_server_that_is_away_at_the_end(
    own_server: services.Server, outbox: Outbox, record: Record, ended: Record, files: Files, tmp_path: Path
) -> None:
    tracker = tracker_at(own_server.endpoint, tmp_path)
    run_id = tracker.create(record.experiment, None, record.started)
    start, end = (found.model_copy(update={"run_id": run_id}).sealed() for found in (record, ended))
    assert log_or_keep(tracker, outbox, run_id, start, files) == Sent(run_id, run_id)

    own_server.stop()
    kept = log_or_keep(tracker, outbox, run_id, end, files)
    assert (kept.mlflow_run, str(kept.error)) == (
        None,
        f"no answer from MLflow at {own_server.endpoint} (mlflow.tracking_uri in repro.toml) after 3 tries",
    )
    (waiting,) = outbox.pending()
    assert (waiting.record, waiting.mlflow_run, waiting.tracking_uri) == (end, run_id, own_server.endpoint)
    (still,) = sync(outbox, tracker)
    assert isinstance(still.error, Unreachable)

    own_server.start()
    assert sync(outbox, tracker_at(own_server.endpoint, tmp_path)) == [Sent(run_id, run_id, record=end)]
    assert list(outbox.pending()) == []
    assert tracker.read(run_id) == end
    run = MlflowClient(own_server.endpoint).get_run(run_id)
    assert (run.info.status, run.data.params["max_iter"]) == ("FINISHED", "20")
    assert len(run.inputs.dataset_inputs) == 1


def test_a_server_that_is_away_beside_the_command_and_back_at_the_end(
    own_server: services.Server, outbox: Outbox, record: Record, ended: Record, files: Files, tmp_path: Path
) -> None:
    tracker = tracker_at(own_server.endpoint, tmp_path)
    run_id = tracker.create(record.experiment, None, record.started)
    own_server.stop()
    assert log_or_keep(tracker, outbox, run_id, record, files).error is not None
    own_server.start()
    later = ended.model_copy(update={"run_id": record.run_id}).sealed()
    assert log_or_keep(tracker, outbox, run_id, later, files).error is None
    assert list(outbox.pending()) == []
    assert sorted(path.name for path in tracker.download(run_id, tmp_path / "copy").iterdir()) == [
        "code.tar.gz", "record.json", "repro.lock", "repro.toml", "spark",
    ]  # fmt: skip


SYNC = """
import sys
from pathlib import Path
from reprolock.tracker import open_tracker
from reprolock.tracker.outbox import Outbox, sync
from reprolock.tracker.tracking_uri import Place
tracker = open_tracker(Place(sys.argv[1], "test"), {}, Path("/nowhere"))
print([str(sent.error) for sent in sync(Outbox(Path(sys.argv[2])), tracker)])
"""


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_sync_that_is_killed_can_be_repeated(
    mlflow_server: services.Server, outbox: Outbox, ended: Record, files: Files, tmp_path: Path, after: int
) -> None:
    records = [offline(ended, minute) for minute in range(6)]
    for record in records:
        outbox.keep(record, files)
    process = subprocess.Popen([sys.executable, "-c", SYNC, mlflow_server.endpoint, str(outbox.folder)], cwd=ROOT)
    tracker = tracker_at(mlflow_server.endpoint, tmp_path)
    while process.poll() is None:
        # Killed while a later one is under way: it has a run in MLflow already and is still in the outbox.
        if len([1 for record in records if tracker.runs(tags={"reprolock.run_id": record.run_id})]) > after:
            process.kill()
        time.sleep(0.005)
    process.wait()
    answers = sync(outbox, tracker)
    assert [sent.error for sent in answers] == [None] * len(answers)
    assert list(outbox.pending()) == []
    for record in records:
        (row,) = tracker.runs(tags={"reprolock.run_id": record.run_id})
        assert (row.status, tracker.read(row.run_id)) == ("FINISHED", record)


def test_two_syncs_at_once_send_nothing_twice(
    mlflow_server: services.Server, outbox: Outbox, ended: Record, files: Files, tmp_path: Path
) -> None:
    records = [offline(ended, minute) for minute in range(4)]
    for record in records:
        outbox.keep(record, files)
    argv = [sys.executable, "-c", SYNC, mlflow_server.endpoint, str(outbox.folder)]
    both = [subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate()[0] for process in both)
    assert said == ["['None', 'None', 'None', 'None']\n", "[]\n"]
    tracker = tracker_at(mlflow_server.endpoint, tmp_path)
    assert [len(tracker.runs(tags={"reprolock.run_id": record.run_id})) for record in records] == [1] * 4


def test_oldest_first_and_nobody_there_ends_it(outbox: Outbox, ended: Record, files: Files, tmp_path: Path) -> None:
    newer, older = offline(ended, 30), offline(ended, 10)
    for record in (newer, older):
        outbox.keep(record, files)
    assert [entry.record.run_id for entry in outbox.pending()] == [older.run_id, newer.run_id]
    answers = sync(outbox, tracker_at(f"http://127.0.0.1:{services.free_port()}", tmp_path))
    assert [(sent.run_id, type(sent.error)) for sent in answers] == [(older.run_id, Unreachable)]
    assert len(list(outbox.pending())) == 2


def test_a_run_of_another_mlflow_stays(
    sqlite_tracker: MlflowTracker, outbox: Outbox, ended: Record, files: Files
) -> None:
    other = offline(ended, 1)
    outbox.keep(other, files, mlflow_run="0" * 32, tracking_uri="http://mlflow.example.com")
    mine = offline(ended, 2)
    outbox.keep(mine, files)
    stays, sent = sync(outbox, sqlite_tracker)
    assert stays.error is not None
    assert (stays.error.message, stays.error.hint) == (
        f"the run {other.run_id} is in MLflow at http://mlflow.example.com, not at {sqlite_tracker.place}",
        "send it with `reprolock sync --tracking-uri http://mlflow.example.com`",
    )
    assert (sent.run_id, sent.error) == (mine.run_id, None)


def test_a_later_state_replaces_an_earlier_one(outbox: Outbox, record: Record, ended: Record, files: Files) -> None:
    outbox.keep(record, {name: files[name] for name in ("repro.toml",)})
    files["repro.lock"].write_bytes(b"changed")
    outbox.keep(ended, files)
    (entry,) = outbox.pending()
    assert (entry.record, sorted(entry.files)) == (ended, sorted(files))
    assert entry.files["repro.lock"].read_bytes() == b"changed"


def test_a_half_written_entry_is_none(outbox: Outbox, ended: Record, files: Files) -> None:
    folder = outbox.keep(ended, files)
    (folder / "outbox.json").unlink()
    assert list(outbox.pending()) == []
    outbox.keep(ended, files)
    assert len(list(outbox.pending())) == 1


@pytest.mark.parametrize(
    ("name", "content"), [("outbox.json", b"{"), ("record.json", b"{}"), ("outbox.json", json.dumps([]).encode())]
)
def test_a_damaged_entry_is_named(outbox: Outbox, ended: Record, files: Files, name: str, content: bytes) -> None:
    folder = outbox.keep(ended, files)
    (folder / name).write_bytes(content)
    with pytest.raises(MachineError) as damaged:
        list(outbox.pending())
    assert (damaged.value.message, damaged.value.exit_code) == (f"{folder} is damaged", 8)
    assert damaged.value.hint == "move it away, and run `reprolock sync` again"


def test_a_folder_in_the_way(outbox: Outbox, ended: Record, files: Files) -> None:
    outbox.folder.parent.mkdir(parents=True)
    outbox.folder.write_text("")
    with pytest.raises(MachineError) as raised:
        outbox.keep(ended, files)
    assert (
        raised.value.message == f"{outbox.folder / ended.run_id} cannot be written: another file or folder has its name"
    )


def test_kept_files_outlast_their_originals(outbox: Outbox, ended: Record, files: Files) -> None:
    folder = outbox.keep(ended, files)
    before = files["repro.toml"].read_bytes()
    for file in files.values():
        os.unlink(file)
    assert (folder / "repro.toml").read_bytes() == before
