"""`ClientStore`: MLflow through its own client. The only module of reprolock's own process that imports mlflow.

Loading MLflow takes some three seconds, so this module is imported when a store is opened and not
before; `reprolock.tracker.warm` does it beside other work. MLflow's log lines and its telemetry are
off in this process; the command's own MLflow is not touched by that.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from reprolock.errors import ReprolockError, ServiceError
from reprolock.files.atomic_write import TEMPORARY, guard
from reprolock.files.os_errors import cannot_write
from reprolock.tracker import errors
from reprolock.tracker.encoding.inputs import DatasetInput
from reprolock.tracker.permission import check_artifacts
from reprolock.tracker.protocol import ModelVersion
from reprolock.tracker.quiet import quiet_import
from reprolock.tracker.stores import sqlite_check
from reprolock.tracker.stores.protocol import (
    BATCH,
    EXPERIMENT_TAGS,
    MOST_FOLDERS,
    PAGE,
    LoggedModel,
    Pages,
    StoredExperiment,
    StoredRun,
    checked_id,
    checked_numbers,
    checked_texts,
    checked_time,
    made_by,
)
from reprolock.tracker.tracking_uri import Place, for_sqlalchemy, sqlite_uri

with quiet_import():
    import mlflow
    import sqlalchemy
    from mlflow.entities import Dataset, Experiment, InputTag, Metric, Param, Run, RunTag, ViewType
    from mlflow.entities import DatasetInput as MlflowInput
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking.client import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

for _chatty in ("mlflow", "alembic"):
    # What they would say on stderr is said by our own errors; set after the import, which sets its own.
    logging.getLogger(_chatty).setLevel(logging.CRITICAL + 1)

_MAKING_SECONDS = 60.0
"""How long to wait for another reprolock that makes the database; it takes three seconds on an idle machine."""
_OTHER_SCHEMA = re.compile(r"out-of-date database schema \(found version (\w+), but expected (\w+)\)")


class ClientStore:
    """A `Store` over `MlflowClient`. An SQLite file gets its artifacts in `mlruns/` beside it."""

    def __init__(self, place: Place, tries: int, *, confirmed: bool) -> None:
        """Open MLflow; `tries` is how often MLflow's client asks a server, for the message when it does not answer; `confirmed` as of `check_artifacts`."""
        self._place = place
        self._tries = tries
        self._confirmed = confirmed
        with self._calls("open its database"):
            if place.file is not None and not sqlite_check.is_made(place.file):
                _make_database(place.file)
            elif place.file is not None and not sqlite_check.is_mlflows(place.file):
                raise errors.another_programs(place, place.file)
            self._client = MlflowClient(tracking_uri=for_sqlalchemy(place.uri, sqlalchemy.__version__))

    def experiment(self, name: str) -> StoredExperiment | None:
        with self._calls("look up the experiment"):
            found = self._client.get_experiment_by_name(name)
        return None if found is None else _experiment(found)

    def create_experiment(self, name: str) -> str:
        try:
            with self._calls("create the experiment"):
                return self._client.create_experiment(
                    name, artifact_location=self._artifact_location(name), tags=dict(EXPERIMENT_TAGS)
                )
        except _Exists:
            found = self.experiment(name)
            assert found is not None
            return found.experiment_id

    def experiments(self) -> list[StoredExperiment]:
        found: list[StoredExperiment] = []
        token = None
        while True:
            with self._calls("list its experiments"):
                page = self._client.search_experiments(ViewType.ACTIVE_ONLY, max_results=PAGE, page_token=token)
            found += map(_experiment, page)
            token = page.token
            if not token:
                return found

    def create_run(self, experiment_id: str, name: str | None, start_time: int, tags: Mapping[str, str]) -> StoredRun:
        with self._calls("create a run"):
            return _run(self._client.create_run(experiment_id, start_time=start_time, tags=dict(tags), run_name=name))

    def run(self, run_id: str) -> StoredRun | None:
        try:
            with self._calls("look up the run"):
                return _run(self._client.get_run(run_id))
        except _Missing:
            return None

    def search(self, experiment_ids: Sequence[str], where: str, limit: int) -> list[StoredRun]:
        found: list[StoredRun] = []
        token = None
        while len(found) < limit and experiment_ids:
            wanted = min(PAGE, limit - len(found))
            with self._calls("search its runs"):
                page = self._client.search_runs(
                    list(experiment_ids), where, max_results=wanted, order_by=["start_time DESC"], page_token=token
                )
                found += map(_run, page)
            token = page.token
            if not token:
                break
        return found

    def curve(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        try:
            with self._calls("read the values of a metric"):
                return [(entry.step, entry.value) for entry in self._client.get_metric_history(run_id, metric)]
        except _Missing:
            return []

    def models(self, run_ids: Sequence[str]) -> list[ModelVersion]:
        found: list[ModelVersion] = []
        token = None
        while True:
            with self._calls("search its registered models"):
                page = self._client.search_model_versions(made_by(run_ids), max_results=PAGE, page_token=token)
            found += (ModelVersion(entry.name, str(entry.version), entry.run_id) for entry in page if entry.run_id)
            token = page.token
            if not token:
                return found

    def logged_models(self, experiment_id: str, run_ids: Sequence[str]) -> list[LoggedModel]:
        found: list[LoggedModel] = []
        token = None
        where = made_by(run_ids, "source_run_id")
        while True:
            with self._calls("search its logged models"):
                page = self._client.search_logged_models([experiment_id], where, page_token=token)
            found += (LoggedModel(entry.model_id, entry.tags or {}) for entry in page)
            token = page.token
            if not token:
                return found

    def tag_model(self, model_id: str, tags: Mapping[str, str]) -> None:
        with self._calls("tag the logged model"):
            self._client.set_logged_model_tags(model_id, dict(tags))

    def tag_version(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            with self._calls("tag the registered model"):
                self._client.set_model_version_tag(version.name, version.version, name, value)

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        entries = [Param(name, value) for name, value in params.items()]
        for start in range(0, len(entries), BATCH):
            with self._calls("log the params"):
                self._client.log_batch(run_id, params=entries[start : start + BATCH])

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], time: int) -> None:
        entries = [Metric(name, value, time, 0) for name, value in metrics.items()]
        for start in range(0, len(entries), BATCH):
            with self._calls("log the metrics"):
                self._client.log_batch(run_id, metrics=entries[start : start + BATCH])

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        entries = [RunTag(name, value) for name, value in tags.items()]
        for start in range(0, len(entries), BATCH):
            with self._calls("set the tags"):
                self._client.log_batch(run_id, tags=entries[start : start + BATCH])

    def log_inputs(self, run_id: str, inputs: Sequence[DatasetInput]) -> None:
        entries = [
            MlflowInput(
                Dataset(entry.name, entry.digest, entry.source_type, entry.source, entry.schema, entry.profile),
                [InputTag("mlflow.data.context", entry.context)],
            )
            for entry in inputs
        ]
        if entries:
            with self._calls("log the inputs"):
                self._client.log_inputs(run_id, entries)

    def end_run(self, run_id: str, status: str, end_time: int) -> None:
        with self._calls("end the run"):
            self._client.set_terminated(run_id, status, end_time)

    def artifacts(self, run: StoredRun, folder: str) -> dict[str, int]:
        self._check_artifacts(run)
        found: dict[str, int] = {}
        waiting, folders = [folder], Pages(MOST_FOLDERS)
        while waiting:
            with self._calls("list the run's artifacts"):
                folders.turn()
                entries = self._client.list_artifacts(run.run_id, waiting.pop())
            waiting += [entry.path for entry in entries if entry.is_dir]
            found |= {entry.path[len(folder) + 1 :]: int(entry.file_size or 0) for entry in entries if not entry.is_dir}
        return found

    def upload(self, run: StoredRun, file: Path, path: str) -> None:
        self._check_artifacts(run)
        check_artifacts(self._place, f"{run.artifact_uri}/{quote(path)}", confirmed=self._confirmed)  # a link below it
        target = PurePosixPath(path)
        with tempfile.TemporaryDirectory(prefix="reprolock-") as folder, self._calls("store the artifact", run):
            if file.name != target.name:  # MLflow names an artifact after its file
                file = Path(shutil.copyfile(file, Path(folder) / target.name))
            self._client.log_artifact(run.run_id, str(file), str(target.parent))

    def fetch(self, run: StoredRun, path: str, target: Path) -> None:
        self._check_artifacts(run)
        with tempfile.TemporaryDirectory(prefix="reprolock-") as folder, self._calls("hand out the artifact"):
            copy = self._client.download_artifacts(run.run_id, path, folder)
            shutil.copyfile(copy, target)

    def _check_artifacts(self, run: StoredRun) -> None:
        check_artifacts(self._place, run.artifact_uri, confirmed=self._confirmed)

    def close(self) -> None:
        """Nothing is held that ends before the process does: MLflow keeps its engines for the next client."""

    def _artifact_location(self, name: str) -> str | None:
        """MLflow's own default is relative to wherever the process happens to run."""
        if self._place.file is None:
            return None
        plain = re.sub(r"[^\w.-]+", "-", name).strip(".-")
        if plain != name:
            plain = f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        return f"{_artifact_root(self._place.file)}/{quote(plain)}"

    @contextmanager
    def _calls(self, what: str, run: StoredRun | None = None) -> Iterator[None]:
        """Translate what MLflow raises; `what` completes "MLflow could not …", `run` is one that is written to."""
        try:
            yield
        except MlflowException as error:
            # Without its cause: MLflow's own messages repeat the tracking address, password and all.
            raise self._problem(error, what) from None
        except OSError as error:
            folder = local_folder(run.artifact_uri) if run else None
            if folder is None:
                raise errors.failed(self._place, what, error.strerror or type(error).__name__) from None
            raise cannot_write(folder, error) from error
        except SQLAlchemyError as error:
            raise self._database_problem(str(error)) or errors.failed(self._place, what, type(error).__name__) from None
        except ImportError as error:
            name = "psycopg" if "no pq wrapper" in str(error) else error.name  # it is there, and its library is not
            raise (
                errors.driver_missing(self._place, name) if name else errors.failed(self._place, what, str(error))
            ) from None
        except ReprolockError:
            raise
        except Exception as error:  # each store of artifacts, and each database, has errors of its own
            raise errors.failed(self._place, what, f"{type(error).__name__}: {error}") from None

    def _problem(self, error: MlflowException, what: str) -> ReprolockError:
        text, file = str(error), self._place.file
        if file is not None and (match := _OTHER_SCHEMA.search(text)):
            known = Path(mlflow.__file__).parent.glob(f"store/db_migrations/versions/{match[1]}_*.py")
            return errors.other_schema(self._place, file, match[1], match[2], mlflow.__version__, older=any(known))
        known_kind = _KINDS.get(error.error_code)  # first, for MLflow quotes SQLite when a name is taken
        if known_kind is None and (problem := self._database_problem(text)):
            return problem
        status = error.get_http_status_code()  # type: ignore[no-untyped-call]  # MLflow gives it no types
        if status in (401, 403):
            return errors.refused(self._place, status)
        if "unsupported URI" in text:
            return errors.unknown_address(self._place)
        if "Databricks credential configuration failed" in text:
            there = find_spec("databricks") is not None
            return errors.no_databricks(self._place) if there else errors.driver_missing(self._place, "databricks")
        if text.startswith("API request to") and "exception" in text:
            return errors.no_answer(self._place, self._tries)
        problem = errors.failed(self._place, what, text)
        return (known_kind or ServiceError)(problem.message, hint=problem.hint)

    def _database_problem(self, text: str) -> ReprolockError | None:
        """What SQLite said, where it was SQLite that said it."""
        file = self._place.file
        return sqlite_check.problem_of(self._place, file, text) if file is not None and "(sqlite3." in text else None


class _Missing(ServiceError):
    """What was named is not there."""


class _Exists(ServiceError):
    """What was to be made is there already."""


_KINDS = {"RESOURCE_DOES_NOT_EXIST": _Missing, "RESOURCE_ALREADY_EXISTS": _Exists}
"""MLflow's codes for them."""


def _make_database(file: Path) -> None:
    """MLflow's SQLite file, whole or not at all. MLflow alone makes it in some fifty steps, and cannot go on with
    a file that a kill, a full disk or a second process left between two of them."""
    with guard(file, f"making {file}", seconds=_MAKING_SECONDS):
        if sqlite_check.is_made(file):
            return
        temporary = file.with_name(f".{file.name}{TEMPORARY}")
        temporary.unlink(missing_ok=True)
        try:
            address = for_sqlalchemy(sqlite_uri(temporary), sqlalchemy.__version__)
            store = SqlAlchemyStore(address, _artifact_root(file))  # type: ignore[no-untyped-call]  # MLflow gives it no types
            store.engine.dispose()
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)


def _artifact_root(file: Path) -> str:
    return (file.absolute().parent / "mlruns").as_uri()


def local_folder(uri: str) -> Path | None:
    """The folder that an artifact address stands for; None where artifacts are kept elsewhere."""
    parts = urlsplit(uri)
    return Path(url2pathname(parts.path)) if parts.scheme in ("", "file") else None


def _experiment(found: Experiment) -> StoredExperiment:
    return StoredExperiment(found.experiment_id, found.name, found.lifecycle_stage == "deleted")


def _run(found: Run) -> StoredRun:
    info, data = found.info, found.data
    inputs = found.inputs.dataset_inputs if found.inputs else ()
    return StoredRun(
        run_id=checked_id(info.run_id),
        experiment_id=info.experiment_id,
        name=info.run_name or "",
        status=info.status,
        start_time=checked_time(info.start_time),
        end_time=checked_time(info.end_time) if info.end_time else None,
        artifact_uri=info.artifact_uri,
        tags=checked_texts(data.tags),
        params=checked_texts(data.params),
        metrics=checked_numbers(data.metrics),
        inputs=frozenset((entry.dataset.name, entry.dataset.source) for entry in inputs),
        deleted=info.lifecycle_stage == "deleted",
    )
