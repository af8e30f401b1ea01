"""`RestStore`: an MLflow tracking server over its documented REST API (mlflow.org, "REST API", version 2.0).

It starts in a tenth of the time that loading MLflow takes. Artifacts go through the server where it
serves them (`mlflow-artifacts:`); where runs keep theirs elsewhere, such as s3://, MLflow's own client moves
them and is loaded at that moment. User name, password, token and certificates are found where MLflow finds them.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from reprolock.errors import ServiceError
from reprolock.tracker import errors
from reprolock.tracker.encoding.inputs import DatasetInput
from reprolock.tracker.permission import check_artifacts
from reprolock.tracker.protocol import ModelVersion
from reprolock.tracker.stores.protocol import (
    BATCH,
    EXPERIMENT_TAGS,
    MOST_FOLDERS,
    PAGE,
    LoggedModel,
    Pages,
    Store,
    StoredExperiment,
    StoredRun,
    checked_id,
    checked_numbers,
    checked_texts,
    checked_time,
    made_by,
)
from reprolock.tracker.stores.rest_auth import ServerAccess
from reprolock.tracker.tracking_uri import Place, without_userinfo

# Each second try would be a warning on stderr; when the last one fails, our own error says so.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

P = ParamSpec("P")
T = TypeVar("T")
_API = "/api/2.0/mlflow/"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_CHUNK = 1 << 20
_MAY_PASS = (429, 502, 503, 504)
"""Answers of a server, or of a proxy before it, that a second try may mend."""


def _understood(method: Callable[Concatenate[RestStore, P], T]) -> Callable[Concatenate[RestStore, P], T]:
    """A method whose answer lacks a field, or has something else in it, was not answered by MLflow."""

    @functools.wraps(method)
    def asked(self: RestStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError):
            raise errors.not_mlflow(self._place) from None

    return asked


class RestStore:
    """A `Store` over HTTP."""

    def __init__(self, place: Place, access: ServerAccess, *, confirmed: bool) -> None:
        """Open nothing yet: the first call connects."""
        self._place = place
        self._access = access
        self._confirmed = confirmed
        self._base = without_userinfo(place.uri).rstrip("/")
        self._session = requests.Session()
        self._session.auth = access.auth
        self._session.verify = access.verify
        self._session.cert = access.certificate
        again = Retry(
            access.tries - 1, backoff_factor=1, status_forcelist=_MAY_PASS, allowed_methods=None, raise_on_status=False
        )
        # A lost answer to "create" may mean that the run is there: only what never left is sent again.
        once = Retry(access.tries - 1, backoff_factor=1, read=False, other=0, status=0, raise_on_status=False)
        self._session.mount(self._base, HTTPAdapter(max_retries=again))
        self._session.mount(f"{self._base}{_API}runs/create", HTTPAdapter(max_retries=once))
        self._client: Store | None = None

    @_understood
    def experiment(self, name: str) -> StoredExperiment | None:
        answer = self._get("experiments/get-by-name", {"experiment_name": name}, "look up the experiment")
        return None if answer is None else _experiment(answer["experiment"])

    @_understood
    def create_experiment(self, name: str) -> str:
        body = {"name": name, "tags": _pairs(EXPERIMENT_TAGS)}
        try:
            return str(self._post("experiments/create", body, "create the experiment")["experiment_id"])
        except _Exists:
            found = self.experiment(name)
            assert found is not None
            return found.experiment_id

    @_understood
    def experiments(self) -> list[StoredExperiment]:
        query: dict[str, Any] = {"max_results": PAGE, "view_type": "ACTIVE_ONLY"}
        found: list[StoredExperiment] = []
        pages = Pages()
        while True:
            answer = self._post("experiments/search", query, "list its experiments")
            found += map(_experiment, answer.get("experiments", ()))
            if not answer.get("next_page_token"):
                return found
            pages.turn(answer["next_page_token"])
            query["page_token"] = answer["next_page_token"]

    @_understood
    def create_run(self, experiment_id: str, name: str | None, start_time: int, tags: Mapping[str, str]) -> StoredRun:
        body = {"experiment_id": experiment_id, "start_time": start_time, "tags": _pairs(tags)}
        return _run(self._post("runs/create", body | ({"run_name": name} if name else {}), "create a run")["run"])

    @_understood
    def run(self, run_id: str) -> StoredRun | None:
        answer = self._get("runs/get", {"run_id": run_id}, "look up the run")
        return None if answer is None else _run(answer["run"])

    @_understood
    def search(self, experiment_ids: Sequence[str], where: str, limit: int) -> list[StoredRun]:
        query: dict[str, Any] = {
            "experiment_ids": list(experiment_ids),
            "filter": where,
            "order_by": ["start_time DESC"],
        }
        found: list[StoredRun] = []
        pages = Pages()
        while len(found) < limit and experiment_ids:
            query["max_results"] = min(PAGE, limit - len(found))
            answer = self._post("runs/search", query, "search its runs")
            found += map(_run, answer.get("runs", ()))
            if not answer.get("next_page_token"):
                break
            pages.turn(answer["next_page_token"])
            query["page_token"] = answer["next_page_token"]
        return found

    @_understood
    def curve(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        query = {"run_id": run_id, "metric_key": metric}
        answer = self._get("metrics/get-history", query, "read the values of a metric") or {}
        return [(int(entry.get("step", 0)), float(entry["value"])) for entry in answer.get("metrics", ())]

    @_understood
    def models(self, run_ids: Sequence[str]) -> list[ModelVersion]:
        query = {"filter": made_by(run_ids), "max_results": str(PAGE)}
        found: list[ModelVersion] = []
        pages = Pages()
        while True:
            answer = self._get("model-versions/search", query, "search its registered models") or {}
            found += (
                ModelVersion(entry["name"], str(entry["version"]), entry.get("run_id", ""))
                for entry in answer.get("model_versions", ())
            )
            if not answer.get("next_page_token"):
                return found
            pages.turn(answer["next_page_token"])
            query["page_token"] = answer["next_page_token"]

    @_understood
    def logged_models(self, experiment_id: str, run_ids: Sequence[str]) -> list[LoggedModel]:
        query: dict[str, Any] = {"experiment_ids": [experiment_id], "filter": made_by(run_ids, "source_run_id")}
        found: list[LoggedModel] = []
        pages = Pages()
        while True:
            try:
                answer = self._post("logged-models/search", query, "search its logged models")
            except _Unknown:  # a server of MLflow 2
                return found
            found += (
                LoggedModel(entry["info"]["model_id"], _mapping(entry["info"].get("tags", ())))
                for entry in answer.get("models", ())
            )
            if not answer.get("next_page_token"):
                return found
            pages.turn(answer["next_page_token"])
            query["page_token"] = answer["next_page_token"]

    def tag_model(self, model_id: str, tags: Mapping[str, str]) -> None:
        what, body = "tag the logged model", json.dumps({"tags": _pairs(tags)}).encode()
        self._there(self._answer("PATCH", f"{_API}logged-models/{quote(model_id)}/tags", what, body=body), what)

    def tag_version(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            body = {"name": version.name, "version": version.version, "key": name, "value": value}
            self._post("model-versions/set-tag", body, "tag the registered model")

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        self._log_batches(run_id, "params", params, "log the params")

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], time: int) -> None:
        # MLflow's JSON has no NaN and no infinity, but takes their names.
        values = {name: value if isfinite(value) else json.dumps(value) for name, value in metrics.items()}
        entries = [{"key": name, "value": value, "timestamp": time, "step": 0} for name, value in values.items()]
        for start in range(0, len(entries), BATCH):
            self._post(
                "runs/log-batch", {"run_id": run_id, "metrics": entries[start : start + BATCH]}, "log the metrics"
            )

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._log_batches(run_id, "tags", tags, "set the tags")

    def log_inputs(self, run_id: str, inputs: Sequence[DatasetInput]) -> None:
        datasets = [
            {
                "tags": _pairs({"mlflow.data.context": entry.context}),
                "dataset": {
                    "name": entry.name,
                    "digest": entry.digest,
                    "source_type": entry.source_type,
                    "source": entry.source,
                    **({"schema": entry.schema} if entry.schema else {}),
                    **({"profile": entry.profile} if entry.profile else {}),
                },
            }
            for entry in inputs
        ]
        if datasets:
            self._post("runs/log-inputs", {"run_id": run_id, "datasets": datasets}, "log the inputs")

    def end_run(self, run_id: str, status: str, end_time: int) -> None:
        self._post("runs/update", {"run_id": run_id, "status": status, "end_time": end_time}, "end the run")

    @_understood
    def artifacts(self, run: StoredRun, folder: str) -> dict[str, int]:
        root = self._served(run)
        if root is None:
            return self._mlflow.artifacts(run, folder)
        found: dict[str, int] = {}
        waiting, folders = [folder], Pages(MOST_FOLDERS)
        while waiting:
            here = waiting.pop()
            folders.turn()
            answer = self._answer("GET", _ARTIFACTS, "list the run's artifacts", query={"path": f"{root}/{here}"})
            for entry in [] if answer is None else answer.json().get("files", ()):
                path = f"{here}/{entry['path']}"
                if entry.get("is_dir"):
                    waiting.append(path)
                else:
                    found[path[len(folder) + 1 :]] = int(entry.get("file_size") or 0)
        return found

    def upload(self, run: StoredRun, file: Path, path: str) -> None:
        root = self._served(run)
        if root is None:
            return self._mlflow.upload(run, file, path)
        with file.open("rb") as content:
            # An empty file would be sent in chunks, for requests cannot tell it from a stream of unknown length.
            body = content if os.fstat(content.fileno()).st_size else b""
            self._answer("PUT", f"{_ARTIFACTS}/{quote(f'{root}/{path}')}", "store the artifact", body=body)

    def fetch(self, run: StoredRun, path: str, target: Path) -> None:
        root = self._served(run)
        if root is None:
            return self._mlflow.fetch(run, path, target)
        what = "hand out the artifact"
        with self._there(
            self._answer("GET", f"{_ARTIFACTS}/{quote(f'{root}/{path}')}", what, stream=True), what
        ) as answer:
            try:
                with target.open("wb") as file:
                    for chunk in answer.iter_content(_CHUNK):
                        file.write(chunk)
            except requests.RequestException:
                raise errors.no_answer(self._place, 1) from None

    def close(self) -> None:
        self._session.close()

    @property
    def _mlflow(self) -> Store:
        if self._client is None:
            # MLflow takes seconds to load, and only artifacts that the server does not serve need it.
            from reprolock.tracker.stores.client import ClientStore

            self._client = ClientStore(self._place, self._access.tries, confirmed=self._confirmed)
        return self._client

    def _served(self, run: StoredRun) -> str | None:
        """The folder of a run among the artifacts that the server serves; None where they are kept elsewhere."""
        check_artifacts(self._place, run.artifact_uri, confirmed=self._confirmed)
        parts = urlsplit(run.artifact_uri)
        own_host = not parts.netloc or parts.netloc == urlsplit(self._base).netloc
        if parts.scheme == "mlflow-artifacts" and own_host:
            return parts.path.strip("/")
        return None

    def _log_batches(self, run_id: str, field: str, values: Mapping[str, str], what: str) -> None:
        pairs = _pairs(values)
        for start in range(0, len(pairs), BATCH):
            self._post("runs/log-batch", {"run_id": run_id, field: pairs[start : start + BATCH]}, what)

    def _get(self, call: str, query: Mapping[str, str], what: str) -> Any:
        """The JSON of an answer, None where the thing asked for is not there."""
        answer = self._answer("GET", _API + call, what, query=query)
        return None if answer is None else self._json(answer)

    def _post(self, call: str, body: Mapping[str, Any], what: str) -> Any:
        return self._json(self._there(self._answer("POST", _API + call, what, body=json.dumps(body).encode()), what))

    def _json(self, answer: requests.Response) -> Any:
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise errors.not_mlflow(self._place) from None

    def _there(self, answer: requests.Response | None, what: str) -> requests.Response:
        if answer is None:
            raise errors.failed(self._place, what, "it is not there")
        return answer

    def _answer(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | BinaryIO | None = None,
        stream: bool = False,
    ) -> requests.Response | None:
        """One call; None where MLflow says that the thing does not exist. `what` completes "could not …"."""
        headers = {"Content-Type": "application/json"} if method in ("POST", "PATCH") else {}
        timeout = self._access.timeout
        try:
            answer = self._session.request(
                method,
                self._base + path,
                params=query,
                data=body,
                headers=headers,
                timeout=timeout,
                stream=stream,
                allow_redirects=False,
            )
        except (requests.exceptions.InvalidHeader, UnicodeError):
            raise errors.unfit_credentials(self._place) from None
        except requests.RequestException:
            # Without its cause: requests repeats the address that it was given.
            raise errors.no_answer(self._place, self._access.tries) from None
        if answer.is_redirect:
            raise errors.sent_on(self._place, answer.headers.get("Location", ""))
        if answer.ok:
            return answer
        if answer.status_code in (401, 403):
            raise errors.refused(self._place, answer.status_code)
        try:
            told = answer.json()
            code, message = told["error_code"], str(told.get("message", ""))
        except (ValueError, KeyError, TypeError, RecursionError):
            if answer.status_code in _MAY_PASS:
                raise errors.failed(self._place, what, f"{answer.status_code} {answer.reason}") from None
            problem = errors.not_mlflow(self._place)
            raise (_Unknown if answer.status_code == 404 else ServiceError)(
                problem.message, hint=problem.hint
            ) from None
        if code == "RESOURCE_DOES_NOT_EXIST":
            return None
        if code == "RESOURCE_ALREADY_EXISTS":
            raise _Exists(message)
        raise errors.failed(self._place, what, message)


class _Exists(ServiceError):
    """What was to be made is there already."""


class _Unknown(ServiceError):
    """The server has no such call."""


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in values.items()]


def _mapping(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # An empty text is left out by the server's JSON.
    return {pair["key"]: pair.get("value", "") for pair in pairs}


def _experiment(found: Mapping[str, Any]) -> StoredExperiment:
    return StoredExperiment(found["experiment_id"], found["name"], found.get("lifecycle_stage") == "deleted")


def _run(found: Mapping[str, Any]) -> StoredRun:
    info, data = found["info"], found.get("data", {})
    inputs = found.get("inputs", {}).get("dataset_inputs", ())
    return StoredRun(
        run_id=checked_id(info["run_id"]),
        experiment_id=info["experiment_id"],
        name=info.get("run_name", ""),
        status=info["status"],
        start_time=checked_time(info["start_time"]),
        end_time=checked_time(info["end_time"]) if info.get("end_time") else None,
        artifact_uri=info["artifact_uri"],
        tags=checked_texts(_mapping(data.get("tags", ()))),
        params=checked_texts(_mapping(data.get("params", ()))),
        metrics=checked_numbers(_mapping(data.get("metrics", ()))),
        inputs=frozenset((entry["dataset"]["name"], entry["dataset"]["source"]) for entry in inputs),
        deleted=info.get("lifecycle_stage") == "deleted",
    )
