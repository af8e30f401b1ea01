"""Find MLflow's tracking address, made absolute, and where it was declared.

In: what repro.toml, the caller and the environment say. Out: a `Place`. Nothing is opened here. A file's path is
percent-encoded in an address (`sqlite_uri`), since SQLAlchemy 2.1 decodes it; `for_sqlalchemy` undoes that for
older ones. Both directions are here, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from packaging.version import Version

from reprolock.errors import UsageError
from reprolock.files.trusted import origin
from reprolock.model.secrecy import without_userinfo as without_userinfo

DEFAULT = "sqlite:///mlflow.db"
"""MLflow's SQLite file beside repro.toml, where nothing else is declared."""

IN_SPEC = "mlflow.tracking_uri in repro.toml"
"""Who declared an address that a repro.toml names."""

_SQLITE = "sqlite:///"
_SAME_DRIVER = "sqlite+pysqlite:///"
"""The same driver by its name, as `for_sqlalchemy` writes it."""
_DECODING = Version("2.1")
"""The first SQLAlchemy that percent-decodes the path in an address."""

_ADDRESS = re.compile(r"(?:databricks(?:-uc)?|uc)$|[a-z][a-z0-9+.-]*:", re.IGNORECASE)
"""What MLflow does not take for a path: a scheme, or one of the three names that stand alone."""


class Place(NamedTuple):
    """MLflow's tracking address and who declared it, in words fit for brackets.

    `uri` may carry a user name and password where MLFLOW_TRACKING_URI does; `shown` never does. `project` is the folder
    whose repro.toml names a database in it, or whose default it is: nothing is written outside of that folder then.
    """

    uri: str
    declared: str
    project: Path | None = None

    @property
    def shown(self) -> str:
        """The address for people, logs and records."""
        return without_userinfo(self.uri)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for a server."""
        return Path(unquote(_sqlite_path(self.uri))) if self.uri.startswith(_SQLITE) else None

    @property
    def is_server(self) -> bool:
        """True for an MLflow tracking server that is spoken to over HTTP."""
        return self.uri.lower().startswith(("http://", "https://"))

    def __str__(self) -> str:
        return f"{self.shown} ({self.declared})"


def find_place(declared: str | None, root: Path, environ: Mapping[str, str], given: str | None = None) -> Place:
    """The address to use: `given` (--tracking-uri), else `declared` (mlflow.tracking_uri of repro.toml),
    else MLFLOW_TRACKING_URI, else an SQLite file. Relative files are relative to `root`, the project's folder.
    UsageError for a folder: MLflow's file store is no longer maintained and knows no inputs search; and for what is no
    address, such as one with a port that is no number.
    """
    place = _found_place(declared, root, environ, given)
    if place.is_server and origin(place.uri) is None or not _can_be_taken_apart(place.uri):
        raise UsageError(
            f'"{place.shown}" ({place.declared}) is not an address', hint='write it as "https://mlflow.example.com"'
        )
    return place


def _found_place(declared: str | None, root: Path, environ: Mapping[str, str], given: str | None) -> Place:
    if given:
        return Place(absolute(given, root), "--tracking-uri")
    if declared:
        return _in_project(Place(absolute(declared, root), IN_SPEC), root)
    if environ.get("MLFLOW_TRACKING_URI"):
        return Place(absolute(environ["MLFLOW_TRACKING_URI"], root), "MLFLOW_TRACKING_URI")
    return _in_project(Place(absolute(DEFAULT, root), "the default of mlflow.tracking_uri"), root)


def _can_be_taken_apart(uri: str) -> bool:
    try:
        return "\0" not in uri and urlsplit(uri).port != 0
    except ValueError:
        return False


def _in_project(place: Place, root: Path) -> Place:
    inside = place.file is not None and ".." not in place.file.parts and place.file.is_relative_to(root.absolute())
    return place._replace(project=root.absolute()) if inside else place


def absolute(uri: str, root: Path) -> str:
    """A relative SQLite file made absolute; every other address as it is."""
    if uri.startswith(_SAME_DRIVER):
        uri = _SQLITE + uri[len(_SAME_DRIVER) :]
    if uri.startswith(_SQLITE):
        path, query = unquote(_sqlite_path(uri)), uri.partition("?")[2]
        if not path:
            raise UsageError(
                f'"{uri}" names no file, and a database in memory ends with its process',
                hint='write "sqlite:///mlflow.db"',
            )
        return sqlite_uri(root.absolute() / path) + (f"?{query}" if query else "")
    if uri.startswith("file:") or not _ADDRESS.match(uri):
        file = root.absolute() / (unquote(urlsplit(uri).path) if uri.startswith("file:") else uri)
        if file.is_file():
            raise UsageError(
                f'"{without_userinfo(uri)}" is a file, and MLflow takes the address of one',
                hint=f'write "{sqlite_uri(file)}"',
            )
        raise UsageError(
            f'"{without_userinfo(uri)}" is a folder, and MLflow no longer keeps runs in folders',
            hint='write "sqlite:///mlflow.db", or the address of an MLflow server',
        )
    return uri


def sqlite_uri(file: Path) -> str:
    """The address of an SQLite file. What SQLAlchemy would take for something else is percent-encoded, all else is as it is.

    >>> sqlite_uri(Path("/work/a%2Fb?/mlflow.db"))
    'sqlite:////work/a%252Fb%3F/mlflow.db'
    """
    return _SQLITE + str(file.absolute()).replace("%", "%25").replace("?", "%3F")


def for_sqlalchemy(uri: str, version: str) -> str:
    """The address as MLflow with this version of SQLAlchemy reads it: before 2.1 it decodes no path.

    Where a path is encoded, the driver is named too: for an address that begins with "sqlite:///" MLflow makes a
    folder of the path as it is encoded. UsageError for a path with a "?", which an older SQLAlchemy cannot be told.
    """
    if not uri.startswith(_SQLITE) or "%" not in uri:
        return uri
    if Version(version) >= _DECODING:
        return uri.replace("sqlite", "sqlite+pysqlite", 1)
    path, query = unquote(_sqlite_path(uri)), uri.partition("?")[2]
    if "?" in path:
        raise UsageError(
            f'SQLAlchemy {version} cannot open {path}: it takes no "?" in a path',
            hint="lock SQLAlchemy 2.1 or newer, name an MLflow server, or rename the folder",
        )
    return f"{_SQLITE}{path}" + (f"?{query}" if query else "")


def _sqlite_path(uri: str) -> str:
    return uri[len(_SQLITE) :].partition("?")[0]
