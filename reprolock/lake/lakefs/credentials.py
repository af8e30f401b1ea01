"""Find the credentials for a lakeFS server in the environment or in lakectl's file.

Endpoint and credentials are looked for where lakectl looks: the LAKECTL_* variables, then the file that
LAKECTL_CONFIG_FILE names, else ~/.lakectl.yaml. One rule is stricter than lakectl's: credentials go only
to the endpoint configured with them. lakectl lets a variable override a value of the file, and so
would send the file's credentials to any endpoint that the environment, or another person's repro.toml, names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from reprolock.errors import ServiceError, UsageError
from reprolock.model.secrecy import has_userinfo, is_secret_name

ENDPOINT = "LAKECTL_SERVER_ENDPOINT_URL"
KEY_ID = "LAKECTL_CREDENTIALS_ACCESS_KEY_ID"
SECRET = "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY"
TOKEN = "LAKECTL_CREDENTIALS_SESSION_TOKEN"
CONFIG_FILE = "LAKECTL_CONFIG_FILE"
DEFAULT_FILE = ".lakectl.yaml"

SHORTEST_SECRET = 8
"""Shorter values are never looked for: they stand in honest text too often."""
_PORTS = {"http": 80, "https": 443}
_SET_BOTH = f"set {ENDPOINT}, {KEY_ID} and {SECRET}, or write all three to ~/{DEFAULT_FILE} with `lakectl config`"


@dataclass(frozen=True)
class Credentials:
    """An endpoint and the credentials that may go to it. Its text form never shows a secret.

    Either the two access keys are set or `session_token` (which lakectl prefers). `source` is
    "environment" or the file that holds the credentials, with "~" for the home folder.
    """

    endpoint: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    source: str = "environment"

    @property
    def endpoint_place(self) -> str:
        """What a user edits to name another endpoint."""
        return ENDPOINT if self.source == "environment" else self.source

    @property
    def credentials_place(self) -> str:
        """What a user edits to give other credentials."""
        if self.source != "environment":
            return self.source
        return TOKEN if self.session_token else KEY_ID


def find_credentials(
    endpoint: str | None, environ: Mapping[str, str], home: Path, *, declared_in: str = "repro.toml"
) -> Credentials:
    """The credentials for an endpoint that `declared_in` names; None means lakectl's own endpoint.

    UsageError where no endpoint is known, where only credentials for other endpoints are known, or where
    lakectl's file cannot be read; ServiceError where no credentials are known at all.
    """
    file = _read(environ, home)
    known = tuple(_find_all(environ, file))
    if endpoint is None and environ.get(ENDPOINT):
        endpoint, declared_in = environ[ENDPOINT], ENDPOINT
    elif endpoint is None and known:
        return known[0]
    elif endpoint is None:
        endpoint, declared_in = file.endpoint, file.place
    if endpoint is None:
        raise UsageError(
            "no lake is named: repro.toml has no lake.endpoint, and lakectl has none either",
            hint=f'write `endpoint = "file:lake"` under [lake] for an embedded lake, or {_SET_BOTH}',
        )
    wanted = normalise(endpoint, declared_in)
    for credentials in known:
        if credentials.endpoint == wanted:
            return credentials
    if known:
        others = " and ".join(f"those of {entry.credentials_place} belong to {entry.endpoint}" for entry in known)
        raise UsageError(
            f"no credentials may be sent to the lakeFS at {wanted} that {declared_in} names: {others}",
            hint=f"if you trust {wanted}, {_SET_BOTH}",
        )
    raise ServiceError(f"no credentials are known for the lakeFS at {wanted} ({declared_in})", hint=_SET_BOTH)


def normalise(endpoint: str, place: str) -> str:
    """One spelling per server: lower-case scheme and host, no default port, no trailing "/" or "/api/v1".

    UsageError, naming the file or variable with the endpoint, for what is not an http(s) address or
    carries a user name; the address itself is not repeated then, as it may contain a password.
    """
    parts = _split(endpoint)
    if "@" in endpoint:
        raise UsageError(
            f"the endpoint in {place} contains a user name or password",
            hint=f"write the bare address there, and the credentials to {KEY_ID} and {SECRET}",
        )
    if parts is None or parts.query or parts.fragment:
        raise UsageError(
            f'the endpoint in {place} is not an http:// or https:// address: "{endpoint}"',
            hint='write it as "https://lakefs.example.com"',
        )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    path = parts.path.rstrip("/").removesuffix("/api/v1").rstrip("/")
    return f"{parts.scheme}://{host}{port}{path}"


def secrets_in_use(environ: Mapping[str, str], home: Path) -> frozenset[str]:
    """Every secret known on this machine that must never be written: lakeFS, S3, MLflow, proxies.

    Values shorter than `SHORTEST_SECRET` are left out. A broken lakectl file holds no secret that
    reprolock could use, so it is passed over here; `find_credentials` complains about it.
    """
    values = [value for name, value in environ.items() if name == KEY_ID or _is_secret(name, value)]
    values += [secret for value in environ.values() for secret in _passwords(value)]
    try:
        file = _read(environ, home)
        values += [value for value in (file.key_id, file.secret) if value]
    except UsageError:
        pass
    return frozenset(value for value in values if len(value) >= SHORTEST_SECRET)


def _is_secret(name: str, value: str) -> bool:
    # GOOGLE_APPLICATION_CREDENTIALS and its like name a file: a path is not a secret.
    return is_secret_name(name) and not (name.lower().endswith("credentials") and value.startswith(("/", "~")))


def _passwords(value: str) -> Iterator[str]:
    """The password of an address such as HTTPS_PROXY's, as it stands there and decoded."""
    if not has_userinfo(value):
        return
    try:
        password = urlsplit(value).password
    except ValueError:
        return
    if password:
        yield from {password, unquote(password)}


class _File(NamedTuple):
    """What lakectl's file says. `place` is its path as a user writes it, "~/.lakectl.yaml"."""

    place: str
    endpoint: str | None = None
    key_id: str | None = None
    secret: str | None = None


def _find_all(environ: Mapping[str, str], file: _File) -> Iterator[Credentials]:
    """Complete sets of endpoint and credentials, the environment's first, as lakectl ranks them."""
    given = [name for name in (KEY_ID, SECRET) if environ.get(name)]
    token = environ.get(TOKEN) or None
    if len(given) == 1 and not token:
        other = SECRET if given == [KEY_ID] else KEY_ID
        raise UsageError(f"{given[0]} is set, {other} is not", hint=f"set {other} too, or unset {given[0]}")
    if given or token:
        if not environ.get(ENDPOINT):
            raise UsageError(
                f"{TOKEN if token else KEY_ID} is set, {ENDPOINT} is not: credentials are sent only to the endpoint set with them",
                hint=f"set {ENDPOINT} too",
            )
        endpoint = normalise(environ[ENDPOINT], ENDPOINT)
        yield Credentials(endpoint, environ.get(KEY_ID, ""), environ.get(SECRET, ""), token)
    if file.endpoint and file.key_id and file.secret:
        yield Credentials(normalise(file.endpoint, file.place), file.key_id, file.secret, source=file.place)


def _read(environ: Mapping[str, str], home: Path) -> _File:
    """lakectl's file; an empty one where there is none. No content enters a message: it holds secrets."""
    named = environ.get(CONFIG_FILE)
    path = Path(named) if named else home / DEFAULT_FILE
    place, hint = _display(path, home), "write a new one with `lakectl config`"
    if not path.exists():
        if named:
            raise UsageError(
                f"{CONFIG_FILE} names {place}, which does not exist", hint=f"create it, or unset {CONFIG_FILE}"
            )
        return _File(place)
    import yaml  # 0.05 s, and most machines with an embedded lake have no such file

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror}", hint="make it readable for you") from error
    except UnicodeDecodeError:
        raise UsageError(f"{place} is not UTF-8 text", hint=hint) from None  # the cause would quote the file
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{place}{line} is not valid YAML", hint=hint) from None  # likewise
    if content is not None and not isinstance(content, dict):
        raise UsageError(f"{place}:1 is not a mapping of settings", hint=hint)

    def value(section: str, name: str) -> str | None:
        settings = (content or {}).get(section)
        found = settings.get(name) if isinstance(settings, dict) else None
        return str(found) if found else None

    return _File(
        place,
        endpoint=value("server", "endpoint_url"),
        key_id=value("credentials", "access_key_id"),
        secret=value("credentials", "secret_access_key"),
    )


def _display(path: Path, home: Path) -> str:
    """The path as a user would write it: "~/.lakectl.yaml"."""
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _split(endpoint: str) -> SplitResult | None:
    """None for what is not an http(s) address."""
    try:
        parts = urlsplit(endpoint.strip())
        valid = parts.scheme in _PORTS and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if valid else None
