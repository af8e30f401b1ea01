"""`Store`: the few single calls of MLflow that a tracker is made of, and the plain values they answer with.

Two real implementations: `RestStore` (an MLflow server, over its documented REST API, without loading
MLflow) and `ClientStore` (MLflow's own client: SQLite files, Databricks, whatever else MLflow knows).
Times are milliseconds since 1970, as MLflow keeps them. Errors are those of `reprolock.errors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from reprolock.tracker.encoding.inputs import DatasetInput
from reprolock.tracker.protocol import ModelVersion

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Of an experiment that reprolock makes: by this tag MLflow 3's page shows it under model training and not under GenAI."""
BATCH = 100
"""How many params, tags or metrics are sent in one call; MLflow takes no more than 100 params or tags."""
PAGE = 1000
"""How many runs or experiments are asked for at once; MLflow takes up to 50,000."""


_MOST_PAGES = 5000
MOST_FOLDERS = 500
"""Of a run's artifacts below reprolock/, which has a few."""
_LATEST = 253_402_300_799_999
"""The last millisecond of the year 9999."""


class StoredRun(NamedTuple):
    """One run as MLflow holds it. `inputs` are pairs of a dataset's name and its source's JSON. A `deleted` one is kept, and
    takes nothing more, until `mlflow gc`."""

    run_id: str
    experiment_id: str
    name: str
    status: str
    start_time: int
    end_time: int | None
    artifact_uri: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    inputs: frozenset[tuple[str, str]]
    deleted: bool = False


class StoredExperiment(NamedTuple):
    """One experiment; `deleted` ones keep their name until they are purged."""

    experiment_id: str
    name: str
    deleted: bool


class LoggedModel(NamedTuple):
    """One model as a command has logged it: an entity of MLflow's own since version 3."""

    model_id: str
    tags: Mapping[str, str]


class Store(Protocol):
    """MLflow, call by call. Every call but `create_run` may be repeated without harm."""

    def experiment(self, name: str) -> StoredExperiment | None:
        """The experiment of that name, deleted or not; None where there is none."""
        ...

    def create_experiment(self, name: str) -> str:
        """The ID of a new experiment, or of the one that another process made of that name a moment ago."""
        ...

    def experiments(self) -> list[StoredExperiment]:
        """All that are not deleted."""
        ...

    def create_run(self, experiment_id: str, name: str | None, start_time: int, tags: Mapping[str, str]) -> StoredRun:
        """A new run with status RUNNING."""
        ...

    def run(self, run_id: str) -> StoredRun | None:
        """None where there is no such run."""
        ...

    def search(self, experiment_ids: Sequence[str], where: str, limit: int) -> list[StoredRun]:
        """Runs, newest first, that an MLflow filter string selects."""
        ...

    def curve(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """Every value of a metric with its step, as they were logged; [] where there is no such run or metric."""
        ...

    def models(self, run_ids: Sequence[str]) -> list[ModelVersion]:
        """Versions of registered models that these runs made; at most `BATCH` runs a call."""
        ...

    def logged_models(self, experiment_id: str, run_ids: Sequence[str]) -> list[LoggedModel]:
        """Models that these runs have logged; at most `BATCH` runs a call. None of an MLflow that knows none."""
        ...

    def tag_model(self, model_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a logged model, replacing earlier values."""
        ...

    def tag_version(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version of a registered model, replacing earlier values."""
        ...

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Params that the run does not have yet; MLflow refuses another value for one that it has."""
        ...

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], time: int) -> None:
        """One value of each at step 0 and `time`; MLflow takes the same value of the same time for one."""
        ...

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags, replacing earlier values."""
        ...

    def log_inputs(self, run_id: str, inputs: Sequence[DatasetInput]) -> None:
        """Add inputs, each with its `mlflow.data.context`."""
        ...

    def end_run(self, run_id: str, status: str, end_time: int) -> None:
        """Set the final status and time."""
        ...

    def artifacts(self, run: StoredRun, folder: str) -> dict[str, int]:
        """Every file under a folder of the run's artifacts: path from that folder → bytes. {} where it is not there."""
        ...

    def upload(self, run: StoredRun, file: Path, path: str) -> None:
        """Store a file at a path among the run's artifacts, replacing what is there."""
        ...

    def fetch(self, run: StoredRun, path: str, target: Path) -> None:
        """Copy an artifact into a local file whose folder exists."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


def checked_texts(found: Mapping[Any, Any]) -> dict[str, str]:
    """Tags or params by name. ValueError where one is no text."""
    if not all(isinstance(text, str) for pair in found.items() for text in pair):
        raise ValueError("a tag or a param is no text")
    return dict(found)


def checked_numbers(found: Mapping[Any, Any]) -> dict[str, float]:
    """Metrics by name. ValueError or TypeError where one is no number."""
    return {name: float(found[name]) for name in checked_texts(dict.fromkeys(found, ""))}


def checked_time(milliseconds: float | str | None) -> int:
    """Milliseconds since 1970; 0 where nothing is said. ValueError for what is no time that people have."""
    found = int(milliseconds or 0)
    if not 0 <= found <= _LATEST:
        raise ValueError("no time of MLflow's")
    return found


class Pages:
    """Counts the pages of a listing, or the folders of a run's artifacts: a hostile one never ends."""

    def __init__(self, most: int = _MOST_PAGES) -> None:
        self._left = most
        self._last: object = None

    def turn(self, token: object = None) -> None:
        """Another page, which `token` asks for. ValueError for one that was asked for just now, or too many."""
        self._left -= 1
        if self._left < 0 or (token is not None and token == self._last):
            raise ValueError("it never ends")
        self._last = token


def checked_id(run_id: str) -> str:
    """A run's ID, which names folders here. ValueError for what MLflow never gives: it could lead out of them."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run_id):
        raise ValueError("no run ID of MLflow's")
    return run_id


def made_by(run_ids: Sequence[str], attribute: str = "run_id") -> str:
    """MLflow's filter for what runs have made: model versions, or by `source_run_id` logged models."""
    return f"{attribute} IN ({', '.join(repr(run_id) for run_id in run_ids)})"
