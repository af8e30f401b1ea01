"""Whether the user's credentials may go to an MLflow, and where that MLflow may have a run's files written.

The token, user name, password and certificate of the environment, and those of ~/.mlflow/credentials, go to the
address that MLFLOW_TRACKING_URI names and to those that the user confirmed with `reprolock trust`; to no other that a
repro.toml, a record or a command line names. MLflow's own client, which the command uses too, would send them to any.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from reprolock.errors import ServiceError, UsageError
from reprolock.files.trusted import origin, trusted
from reprolock.tracker.tracking_uri import IN_SPEC, Place, without_userinfo

_VARIABLES = (
    *("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    *("MLFLOW_TRACKING_CLIENT_CERT_PATH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_AUTH"),
)
_OF_DATABASES = ("PGPASSWORD", "MYSQL_PWD")
_FILES = ("", "file")
_HTTP = ("http", "https")
_SERVED = (*_HTTP, "mlflow-artifacts")
_NO_SERVER = ("s3", "gs", "dbfs")
"""Addresses that name a bucket and no server: whom they reach is the user's own setting."""


def is_confirmed(place: Place, environ: Mapping[str, str]) -> bool:
    """Whether the user named this MLflow themselves: in the environment, by `trust`, or with credentials of its own."""
    named = environ.get("MLFLOW_TRACKING_URI", "")
    if place.declared == "MLFLOW_TRACKING_URI" or place.uri == named:
        return True
    here = origin(place.uri)
    return here is not None and (here == origin(named) or here in trusted(environ))


def check_credentials(place: Place, environ: Mapping[str, str], home: Path) -> None:
    """UsageError, before anything is contacted, where credentials that are set would go to an unconfirmed address."""
    if place.file is not None or is_confirmed(place, environ):
        return
    _check_options(place)
    names = _VARIABLES if place.is_server else (*_VARIABLES, *_OF_DATABASES)
    held = [name for name in names if environ.get(name)]
    if credentials_file(home):
        held.append("~/.mlflow/credentials")
    if not held:
        return
    address = place.shown
    hint = f"if you trust it, run `reprolock trust {address}` once" if place.is_server else "unset them"
    raise UsageError(
        f"the credentials of {' and '.join(held)} may not go to MLflow at {place}: "
        "they are sent only to MLFLOW_TRACKING_URI and to trusted addresses",
        hint=hint,
    )


def _check_options(place: Place) -> None:
    """UsageError for options of a database connection that a repro.toml names: a driver would load a library, or give the
    database's server any file of this machine."""
    if place.declared == IN_SPEC and not place.is_server and "?" in place.uri:
        raise UsageError(
            f"MLflow at {place} names options of a database connection, which a repro.toml may not",
            hint="name the whole address in MLFLOW_TRACKING_URI if you trust it",
        )


def check_artifacts(place: Place, uri: str, *, confirmed: bool) -> None:
    """ServiceError or UsageError for a location of a run's files that the user did not name: MLflow gives it, and MLflow's
    client would write to any folder of this machine, and send credentials to any server."""
    parts = _split(uri)
    if parts is None:
        raise ServiceError(
            f"MLflow at {place} gives an artifact location that is not an address",
            hint="look at the experiment in MLflow",
        )
    scheme, host = parts
    if scheme in _FILES:
        _check_folder(place, uri, confirmed)
    elif scheme in _SERVED and host and not _is_own_server(place, scheme, host):
        raise ServiceError(
            f"MLflow at {place} keeps the run's files on another server, {host}, which is not sent its credentials",
            hint="name that server as MLflow's address, or give the experiment another artifact location",
        )
    elif place.project is not None and place.file is not None:
        raise UsageError(
            f"{place.file.name} ({place.declared}) keeps the run's files at {without_userinfo(uri)}, outside the project",
            hint="name the database in MLFLOW_TRACKING_URI if you trust it, or move it away",
        )
    elif scheme not in (*_SERVED, *_NO_SERVER) and not confirmed:
        raise UsageError(
            f"MLflow at {place} keeps the run's files at {without_userinfo(uri)}, a server that it alone names",
            hint=f"if you trust it, run `reprolock trust {place.shown}` once",
        )


def _is_own_server(place: Place, scheme: str, host: str) -> bool:
    """Whether an address is on the server that a person named; no database is one, and `https:` is not `http:`."""
    own = origin(place.uri)
    return own is not None and origin(f"{scheme if scheme in _HTTP else urlsplit(place.uri).scheme}://{host}") == own


def _check_folder(place: Place, uri: str, confirmed: bool) -> None:
    folder = Path(url2pathname(urlsplit(uri).path))
    if place.file is None:
        if not confirmed:
            raise UsageError(
                f"MLflow at {place} names the folder {folder} of this machine for the run's files",
                hint=f"if you trust it, run `reprolock trust {place.shown}` once",
            )
        return
    if place.project is not None and not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(place.project)):
        raise UsageError(
            f"{place.file.name} ({place.declared}) keeps the run's files in {folder}, outside the project",
            hint="name the database in MLFLOW_TRACKING_URI if you trust it, or move it away",
        )


def _split(uri: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(uri)
        return parts.scheme, parts.netloc.rpartition("@")[2]
    except ValueError:
        return None


def credentials_file(home: Path) -> Mapping[str, str]:
    """MLflow's own file of user name and password; empty where there is none."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(home / ".mlflow" / "credentials", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return {}
    return parser["mlflow"] if parser.has_section("mlflow") else {}
