"""`Tracker`: what reprolock asks of MLflow, and the plain values it answers with.

The order of calls in a run: `create` before the command starts (the command needs the run's ID),
`log` with the RUNNING record as soon as that is known (it may run beside the command), `metrics` when the
command has ended, `log` with the final record. MLflow's own errors are translated at this edge
(`ServiceError`, `PinError` for a database of another MLflow, `MachineError`, `UsageError`) and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from reprolock.model.record import ChildRecord, Record
from reprolock.tracker.tracking_uri import Place

FOLDER = "reprolock"
"""The folder among a run's artifacts that is reprolock's."""

RECORD = "record.json"
"""The record's name in that folder."""

ATTESTATIONS = "attestations.jsonl"
"""The name of the signed statements in that folder, one a line. No record names them: they are about it, and go on growing."""

RUN_ID_TAG = "reprolock.run_id"
"""The tag that every recorded run has: `Record.run_id`. MLflow's own ID differs where the run was recorded offline."""

REPLAY_OF_TAG = "reprolock.replay_of"
"""The tag of a replay: the run that it replays."""

LAKE_TAG_TAG = "reprolock.tag"
"""The tag of a run that tagged what it published: the tag in the lake, by which `find` knows it."""

PARENT_TAG = "mlflow.parentRunId"
"""MLflow's own tag of a nested run: the run that it is nested in."""

SWEEP_TAG = "reprolock.sweep"
"""The tag of the run that a sweep's runs are nested in, which has no record of its own: a digest over what was asked for."""

STARTED_BY_TAG = "reprolock.started_by"
"""The tag of an MLflow run that a recorded run's command started beside it: the recorded run's MLflow ID."""

REASON_TAG = "reprolock.reason"
"""The tag of a run that was ended without a record: why."""


class Row(NamedTuple):
    """One run as a search finds it. Times are UTC; `metrics` holds last values; `inputs` are pairs of a
    dataset's name and the JSON of its source."""

    run_id: str
    experiment: str
    name: str
    status: str
    started: datetime
    ended: datetime | None
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    inputs: frozenset[tuple[str, str]] = frozenset()
    params: Mapping[str, str] = {}


class ModelVersion(NamedTuple):
    """One version of a registered model, and the run that made it."""

    name: str
    version: str
    run_id: str


class Children(NamedTuple):
    """MLflow runs that a command started beside its own; `loose` names those whose origin is not known."""

    runs: tuple[ChildRecord, ...] = ()
    loose: tuple[str, ...] = ()


class Tracker(Protocol):
    """MLflow at one address. `run_id` is MLflow's everywhere; errors name the address without credentials."""

    place: Place

    def create(
        self, experiment: str, name: str | None, started: datetime, local_id: str | None = None, *, again: bool = True
    ) -> str:
        """The ID of a new run with status RUNNING; makes the experiment where it is missing.

        `local_id` is a name of the run's that `find` knows it by from its first moment: where an earlier call has
        already created its MLflow run, that one's ID is the answer. `again=False`: there was no such call.
        ServiceError when the server does not answer or the credentials are rejected.
        """
        ...

    def command_environment(self, run_id: str, experiment: str) -> dict[str, str]:
        """The variables by which the command's own `mlflow.log_*` and `mlflow.start_run()` reach the run in its experiment.

        A command whose own `mlflow.set_experiment` names another experiment than the run's is refused by
        MLflow while MLFLOW_RUN_ID is set; see `steps.running.mlflow_compat`.
        """
        ...

    def log(self, run_id: str, record: Record, files: Mapping[str, Path]) -> tuple[str, ...]:
        """Bring the MLflow run up to what the record says: inputs, tags, artifacts, and once the record
        has ended also params, tags of the models that the command logged, and the final status and end time (the
        command's own MLflow may have set others). May be repeated, after a failure too; what is there already is left alone.

        `files` are artifacts under `reprolock/`, name → file; a file that is there already in its full
        size is not sent again. record.json is written from the record. Answers remarks for people: a
        param that was cut, or that the command had logged itself with another value. Where record.json is among
        `files`, that one is sent as it is: its bytes are signed.
        """
        ...

    def end(self, run_id: str, status: str, reason: str, ended: datetime) -> None:
        """End a run that has no record: its command never started. `status` is FAILED or KILLED."""
        ...

    def finish(self, run_id: str, status: str, ended: datetime) -> None:
        """End a run that has no record of its own, for others are nested in it."""
        ...

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run that has been recorded."""
        ...

    def tags(self, run_id: str) -> dict[str, str]:
        """All tags of a run. UsageError where there is no such run."""
        ...

    def metrics(self, run_id: str) -> dict[str, float]:
        """The last value of each metric that was logged to the run."""
        ...

    def children(self, run_id: str) -> Children:
        """The MLflow runs that the command started beside the run's own, oldest first, with what they logged.

        Found by a tag that MLflow itself gives each run of a process with the command's variables, by nesting, and, in
        a database that is the project's own, by experiment and time.
        """
        ...

    def find(self, run: str, experiment: str | None = None) -> str:
        """The MLflow ID of a run that people name by its ID, a beginning of it (four characters or more), the ID that it
        was recorded under offline, or, in the experiment (None: in all), its name or the tag that it put into the lake.
        UsageError where that is not a run, or several."""
        ...

    def read(self, run_id: str) -> Record:
        """The run's record.json. NotReplayable where the run has none."""
        ...

    def download(self, run_id: str, folder: Path) -> Path:
        """Copy the artifacts under `reprolock/` into a folder, which becomes what `replay FOLDER` takes."""
        ...

    def artifact(self, run_id: str, name: str) -> bytes | None:
        """One file under `reprolock/`; None where the run has none of that name."""
        ...

    def attach(self, run_id: str, name: str, data: bytes) -> None:
        """Put one file under `reprolock/`, instead of an earlier one of that name."""
        ...

    def runs(
        self,
        experiment: str | None = None,
        tags: Mapping[str, str] = {},
        limit: int = 100,
        *,
        recorded: bool = True,
        where: str = "",
        beginnings: Mapping[str, str] = {},
    ) -> list[Row]:
        """Recorded runs, newest first, that carry all of these tags; of every experiment where none is named. Tags of `beginnings`
        are to begin so.
        `recorded=False`: runs that reprolock knows nothing of, too. `where` is a further filter, in MLflow's own language;
        UsageError for one that MLflow rejects."""
        ...

    def curve(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """Every value of a metric with its step, in the order of steps; [] where there is no such run or metric."""
        ...

    def experiment_id(self, name: str) -> str | None:
        """MLflow's ID of an experiment; None where there is none of that name."""
        ...

    def models(self, run_ids: Sequence[str]) -> list[ModelVersion]:
        """Versions of registered models that these runs made, sorted by name and version."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
