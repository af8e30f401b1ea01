"""Find MLflow's tracking address, made absolute, and where it was declared.

In: what repro.toml, the caller and the environment say. Out: a `Place`. Nothing is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from reprolock.errors import UsageError

DEFAULT = "sqlite:///mlflow.db"
"""MLflow's SQLite file beside repro.toml, where nothing else is declared."""

_ADDRESS = re.compile(r"(?:databricks(?:-uc)?|uc)$|[a-z][a-z0-9+.-]*:", re.IGNORECASE)
"""What MLflow does not take for a path: a scheme, or one of the three names that stand alone."""


class Place(NamedTuple):
    """MLflow's tracking address and who declared it, in words fit for brackets.

    `uri` may carry a user name and password where MLFLOW_TRACKING_URI does; `shown` never does.
    """

    uri: str
    declared: str

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
        return self.uri.startswith(("http://", "https://"))

    def __str__(self) -> str:
        return f"{self.shown} ({self.declared})"


def find_place(declared: str | None, root: Path, environ: Mapping[str, str], given: str | None = None) -> Place:
    """The address to use: `given` (--tracking-uri), else `declared` (mlflow.tracking_uri of repro.toml),
    else MLFLOW_TRACKING_URI, else an SQLite file. Relative files are relative to `root`, the project's folder.
    UsageError for a folder: MLflow's file store is no longer maintained and knows no inputs search.
    """
    if given:
        return Place(absolute(given, root), "--tracking-uri")
    if declared:
        return Place(absolute(declared, root), "mlflow.tracking_uri in repro.toml")
    if environ.get("MLFLOW_TRACKING_URI"):
        return Place(absolute(environ["MLFLOW_TRACKING_URI"], root), "MLFLOW_TRACKING_URI")
    return Place(absolute(DEFAULT, root), "the default of mlflow.tracking_uri")


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


def without_userinfo(uri: str) -> str:
    """`https://user:password@host/` as `https://host/`.

    >>> without_userinfo("https://ann:secret@mlflow.example.com:5000/x")
    'https://mlflow.example.com:5000/x'
    """
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri
