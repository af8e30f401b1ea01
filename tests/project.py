"""A project whose runs are looked at afterwards: its script, its records, its runs in MLflow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from lake_project import LakeProject
from maven_folder import add_listener, listener

from reprolock.engine.process_tree import end_leftovers
from reprolock.model.record import Record
from reprolock.steps.project.run_folders import latest, runs_folder
from reprolock.tracker import open_tracker
from reprolock.tracker.tracking_uri import Place

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

NAMES = ("LAKECTL_", "MLFLOW_", "SPARK_", "AWS_", "OPENLINEAGE_")
"""What a developer may have set, and no test wants unasked."""


def _client(uri: str) -> MlflowClient:
    from mlflow.tracking import MlflowClient  # seconds, and only for tests that look into MLflow

    return MlflowClient(uri)


class Project(LakeProject):
    """A `LakeProject` with short words for what a run left. The lock is the test's to make."""

    @property
    def database(self) -> str:
        """MLflow's address, where repro.toml names no other."""
        return f"sqlite:///{self.root}/mlflow.db"

    def script(self, text: str, name: str = "train.py") -> None:
        (self.root / name).write_text(dedent(text))

    def add(self, text: str) -> None:
        """Add lines to repro.toml."""
        (self.root / "repro.toml").write_text((self.root / "repro.toml").read_text() + dedent(text))

    def command(self, *arguments: str) -> None:
        """Let repro.toml name another command."""
        self.edit('command = ["python", "train.py"]', f"command = {json.dumps(arguments)}")

    @property
    def record(self) -> Record:
        """The newest record on the disk."""
        found = latest(self.root)
        assert found is not None
        return found

    def run_folder(self, run_id: str) -> Path:
        return runs_folder(self.root) / run_id

    def stored(self, run_id: str | None = None, uri: str | None = None) -> Run:
        """The run in MLflow; the newest record's, where none is named."""
        return _client(uri or self.database).get_run(run_id or self.record.run_id)

    def all_stored(self, uri: str | None = None, experiment: str = "flights") -> list[Run]:
        """Every run of the project's experiment, newest first."""
        client = _client(uri or self.database)
        found = client.get_experiment_by_name(experiment)
        return list(client.search_runs([found.experiment_id], order_by=["start_time DESC"])) if found else []

    def stored_record(self, run_id: str, uri: str | None = None) -> Record:
        """record.json as MLflow has it."""
        tracker = open_tracker(Place(uri or self.database, "the test"), {}, Path("/nonexistent"))
        return tracker.read(run_id)

    def artifacts(self, run_id: str, uri: str | None = None) -> list[str]:
        return sorted(entry.path for entry in _client(uri or self.database).list_artifacts(run_id, "reprolock"))


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's SQLite file with nothing in it: making one takes seconds, a copy takes none."""
    file = tmp_path_factory.mktemp("empty") / "mlflow.db"
    open_tracker(Place(f"sqlite:///{file}", "the tests"), {}, file.parent).create("warm", None, datetime.now(UTC))
    return file


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that only the tests use, with the one large jar that every Spark run is given."""
    made = tmp_path_factory.mktemp("cache")
    *_, shelf, digest, name = listener().parts
    add_listener(made / "jars" / shelf / digest / name)
    return made


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """None of a developer's own services and keys."""
    for name in list(os.environ):
        if name.startswith(NAMES):
            monkeypatch.delenv(name)


@pytest.fixture
def project(tmp_path: Path, empty_mlflow: Path, cache: Path, bare: None, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project on an embedded lake, with an MLflow of its own."""
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(cache))
    found = Project(tmp_path)
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    found.script("print('hello')")
    return found


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is so; AssertionError when it never is."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


@contextmanager
def in_background(root: Path, *arguments: str, environ: Mapping[str, str] = {}) -> Iterator[subprocess.Popen[str]]:
    """A `reprolock` of its own, as a shell starts it; killed at the end if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "reprolock", "-C", str(root), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ) | dict(environ),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for run in (root / ".reprolock" / "runs").glob("*"):
            end_leftovers(run.name)  # its command is in a group of its own
        for stream in (process.stdout, process.stderr):
            stream.close()


def lines_of(text: str, *starts: str) -> list[str]:
    """The lines that begin so."""
    return [line for line in text.splitlines() if line.startswith(starts)]
