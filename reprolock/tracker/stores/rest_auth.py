"""Find how to reach an MLflow server from the environment: credentials, certificates, time-outs and retries.

The same variables and the same file (~/.mlflow/credentials) as MLflow's own client, so that
whatever lets `mlflow` in lets reprolock in. What only MLflow's client can do (signatures by AWS, plug-ins for
authentication, workspaces) is said by `needs_client`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from reprolock.tracker.permission import credentials_file

TRIES = 3
"""Where MLFLOW_HTTP_REQUEST_MAX_RETRIES is not set: MLflow's own seven retries take four minutes."""
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 30.0
"""Where MLFLOW_HTTP_REQUEST_TIMEOUT is not set."""

_ONLY_CLIENT = ("MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_AUTH", "MLFLOW_WORKSPACE")


@dataclass(frozen=True)
class ServerAccess:
    """`verify` and `certificate` are what requests takes; `timeout` is (connect, answer) in seconds."""

    tries: int
    timeout: tuple[float, float]
    auth: Any = field(default=None, repr=False)
    verify: bool | str = True
    certificate: str | None = None


def needs_client(environ: Mapping[str, str]) -> bool:
    """True where the environment asks for what only MLflow's own client can do."""
    return any(environ.get(name, "").lower() not in ("", "false", "0") for name in _ONLY_CLIENT)


def find_access(uri: str, environ: Mapping[str, str], home: Path) -> ServerAccess:
    """Keys in the order of MLflow's client: user name and password, then the token; last those of the address itself."""
    answer_seconds = _number(environ, "MLFLOW_HTTP_REQUEST_TIMEOUT", ANSWER_SECONDS)
    insecure = environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    return ServerAccess(
        tries=tries(environ),
        timeout=(min(CONNECT_SECONDS, answer_seconds), answer_seconds),
        auth=_auth(uri, environ, home),
        verify=False if insecure else environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True,
        certificate=environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None,
    )


def tries(environ: Mapping[str, str]) -> int:
    """How often a call is sent before the server counts as unreachable."""
    return int(_number(environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES", TRIES - 1)) + 1


def _auth(uri: str, environ: Mapping[str, str], home: Path) -> Any:
    file = credentials_file(home)
    user = environ.get("MLFLOW_TRACKING_USERNAME") or file.get("mlflow_tracking_username")
    password = environ.get("MLFLOW_TRACKING_PASSWORD") or file.get("mlflow_tracking_password")
    if user and password:
        return requests.auth.HTTPBasicAuth(user.encode(), password.encode())
    if environ.get("MLFLOW_TRACKING_TOKEN"):
        return _Bearer(environ["MLFLOW_TRACKING_TOKEN"])
    parts = urlsplit(uri)
    if parts.username:
        return requests.auth.HTTPBasicAuth(unquote(parts.username).encode(), unquote(parts.password or "").encode())
    return None


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    try:
        return max(float(environ.get(name, "")), 0.0)
    except ValueError:
        return default
