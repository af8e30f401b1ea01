"""A record to send, and MLflow in both of its forms: an SQLite file, and a server process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import services
from recorded import COMMIT, ENDED, STARTED, tracker_at

from reprolock.model.record import (
    CodeRecord,
    DatasetRecord,
    Digests,
    EndingRecord,
    EnvironmentRecord,
    Record,
)
from reprolock.tracker.mlflow_tracker import MlflowTracker


@pytest.fixture
def dataset() -> DatasetRecord:
    """A CSV dataset on lakeFS with two columns."""
    return DatasetRecord(
        name="train",
        kind="lakefs",
        uri="lakefs://example-repo/main/training_dataset/",
        resolved=f"lakefs://example-repo/{COMMIT}/training_dataset/",
        commit=COMMIT,
        commit_time=STARTED,
        objects=3,
        bytes=7_900_000,
        digest="lakefs-etag-v1:" + "ab" * 32,
        format="csv",
        options={"header": "true"},
        context="training",
        url=f"s3a://example-repo/{COMMIT}/training_dataset/",
        columns=(
            {"name": "x", "type": "double", "nullable": True, "metadata": {}},
            {"name": "label", "type": "string", "nullable": False, "metadata": {}},
        ),
    )


@pytest.fixture
def record(dataset: DatasetRecord) -> Record:
    """A run that has just started, under an ID that no MLflow gave."""
    return Record(
        run_id="00000000000040008000000000000001",
        project="flight-delays",
        experiment="flight-delays",
        run_name="first try",
        status="RUNNING",
        started=STARTED,
        reprolock="0.1.0",
        mode="isolated",
        command=("python", "train.py", "--max-iter", "20", "a b"),
        params={"max_iter": 20, "optimiser": {"name": "adam", "lr": 0.1}, "layers": [8, 16]},
        seed=7,
        datasets=(dataset,),
        code=CodeRecord(
            digest="c0" * 32, files=1, bytes=10, commit="1f0c2aa" + "0" * 33, remote="https://git.example.com/x.git",
            branch="main", dirty=True,
        ),
        environment=EnvironmentRecord(
            python="3.11.9", implementation="CPython", platform="Linux x86_64", isolated=True, packages={"pandas": "2.3.0"}
        ),
        pinned=Digests(sections={"data": "d1"}, total="aa" * 32),
        observed=Digests(sections={"data": "d1"}, total="bb" * 32),
    ).sealed()  # fmt: skip


@pytest.fixture
def ended(record: Record) -> Record:
    """The same run, finished."""
    ending = EndingRecord(exit_code=0, reason="exit code 0", seconds=31.333)
    return record.model_copy(
        update={"status": "FINISHED", "ended": ENDED, "ending": ending, "metrics": {"accuracy": 0.9473}}
    ).sealed()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """What a run leaves beside its record; the artifact's name is not always the file's."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name, content in (
        ("repro.toml", b"[project]\n"),
        ("repro.lock", b"version = 1\n"),
        ("tree", b"\x1f\x8b code"),
        ("none", b""),
    ):
        (folder / name).write_bytes(content)
    return {
        "repro.toml": folder / "repro.toml",
        "repro.lock": folder / "repro.lock",
        "code.tar.gz": folder / "tree",
        "spark/events.ndjson": folder / "none",
    }


@pytest.fixture
def sqlite_tracker(tmp_path: Path) -> MlflowTracker:
    """MLflow on an SQLite file in a folder that an address has to quote."""
    return tracker_at(f"sqlite:///{tmp_path}/a b#%é/mlflow.db", tmp_path)


@pytest.fixture
def server_tracker(mlflow_server: services.Server, tmp_path: Path) -> MlflowTracker:
    """MLflow as a server process."""
    return tracker_at(mlflow_server.endpoint, tmp_path)


@pytest.fixture(params=["sqlite", "server"])
def tracker(request: pytest.FixtureRequest) -> MlflowTracker:
    """Both, one after the other: what a test says holds for each."""
    found: MlflowTracker = request.getfixturevalue(f"{request.param}_tracker")
    return found


@pytest.fixture
def own_server(mlflow_server: services.Server) -> Iterator[services.Server]:
    """The same server for a test that ends it and may start it again; it runs afterwards."""
    yield mlflow_server
    if mlflow_server.process is None:
        mlflow_server.start()
