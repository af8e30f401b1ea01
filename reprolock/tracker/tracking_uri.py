"""Find MLflow's tracking address, made absolute, and where it was declared.

In: what repro.toml, the caller and the environment say. Out: a `Place`. Nothing is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from reprolock.errors import UsageError
from reprolock.files.trusted import origin
from reprolock.model.secrecy import without_userinfo as without_userinfo

DEFAULT = "sqlite:///mlflow.db"
"""MLflow's SQLite file beside repro.toml, where nothing else is declared."""

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
        return Path(self.uri[len("sqlite:///") :].partition("?")[0]) if self.uri.startswith("sqlite:///") else None

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
        return _in_project(Place(absolute(declared, root), "mlflow.tracking_uri in repro.toml"), root)
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
    if uri.startswith("sqlite:///"):
        path, _, query = uri[len("sqlite:///") :].partition("?")
        if not path:
            raise UsageError(
                f'"{uri}" names no file, and a database in memory ends with its process',
                hint='write "sqlite:///mlflow.db"',
            )
        return f"sqlite:///{root.absolute() / path}" + (f"?{query}" if query else "")
    if uri.startswith("file:") or not _ADDRESS.match(uri):
        file = root.absolute() / (unquote(urlsplit(uri).path) if uri.startswith("file:") else uri)
        if file.is_file():
            raise UsageError(
                f'"{without_userinfo(uri)}" is a file, and MLflow takes the address of one',
                hint=f'write "sqlite:///{file}"',
            )
        raise UsageError(
            f'"{without_userinfo(uri)}" is a folder, and MLflow no longer keeps runs in folders',
            hint='write "sqlite:///mlflow.db", or the address of an MLflow server',
        )
    return uri
