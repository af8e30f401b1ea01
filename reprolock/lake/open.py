"""Open the lake that `lake.endpoint` or the environment names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from reprolock.errors import UsageError
from reprolock.files.containment import check_inside
from reprolock.lake.lakefs.credentials import find_credentials
from reprolock.lake.protocol import Lake
from reprolock.lake.proxies import proxy_for

FILE_SCHEME = "file:"
_AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def open_lake(
    endpoint: str | None, root: Path, environ: Mapping[str, str], home: Path, *, declared_in: str = "repro.toml"
) -> Lake:
    """The lake of an endpoint: "file:FOLDER" (relative to `root`), an http(s) address, or None for lakectl's own.

    `declared_in` says in messages where the endpoint stands. Nothing is contacted yet. UsageError for
    an endpoint that is none or may not get the credentials, ServiceError where there are no credentials.
    """
    if endpoint is not None and endpoint.startswith(FILE_SCHEME):
        folder = endpoint.removeprefix(FILE_SCHEME)
        if not folder:
            raise UsageError(
                f'the endpoint in {declared_in} names no folder: "{endpoint}"', hint='write `endpoint = "file:lake"`'
            )
        if not Path(folder).is_absolute() and ".." not in Path(folder).parts:
            check_inside(root, folder)
        # libgit2 loads in 0.1 s; a project on a lakeFS server has no use for it.
        from reprolock.lake.git.lake import GitLake

        return GitLake(root / folder, endpoint)
    credentials = find_credentials(endpoint, environ, home, declared_in=declared_in)
    # The lakefs SDK takes more than a second to load; a project on an embedded lake has no use for it.
    from reprolock.lake.lakefs.lake import LakeFSLake
    from reprolock.lake.lakefs.transport import Route

    return LakeFSLake(credentials, route=Route(_authorities(environ), proxy_for(credentials.endpoint, environ)))


def _authorities(environ: Mapping[str, str]) -> str | None:
    """The file of trusted certificates that the environment names; None for the system's own."""
    for name in _AUTHORITIES:
        if path := environ.get(name):
            if not Path(path).is_file():
                raise UsageError(f"{name} names {path}, which is not a file", hint=f"correct {name}, or unset it")
            return path
    return None


def anchored(endpoint: str | None, root: Path) -> str | None:
    """The endpoint as it reads from any folder: that of an embedded lake names its folder whole."""
    if endpoint is None or not endpoint.startswith(FILE_SCHEME):
        return endpoint
    return f"{FILE_SCHEME}{root / endpoint.removeprefix(FILE_SCHEME)}"


def require_here(endpoint: str | None, root: Path) -> None:
    """UsageError for an embedded lake that is not on this machine, for people who were given a record and not the lake."""
    if endpoint is not None and endpoint.startswith(FILE_SCHEME):
        folder = root / endpoint.removeprefix(FILE_SCHEME)
        if not folder.is_dir():
            raise UsageError(
                f"the lake {FILE_SCHEME}{folder} is not on this machine",
                hint="name with --lake where it is for you: file:FOLDER, or the address of a lakeFS server",
            )


def check_endpoint(endpoint: str, given_as: str) -> None:
    """UsageError for what cannot be a lake's endpoint; `given_as` names where it stands."""
    if not re.match(r"file:.|https?://.", endpoint):
        raise UsageError(
            f'{given_as} names no lake: "{endpoint}"',
            hint=f'write "file:{endpoint}" for an embedded lake in a folder, or the address of a lakeFS, "https://lakefs.example.com"',
        )
