"""The addresses that the user has confirmed for their credentials, one a line in their own configuration folder.

A cloned repro.toml and a record name servers as they like. A token that stands in the environment goes only to the
address that stands there too, or to one that is in this file; `reprolock trust URL` puts it there, once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from reprolock.errors import UsageError
from reprolock.files.atomic_write import write_whole
from reprolock.files.os_errors import cannot_read, cannot_write

VARIABLE = "REPROLOCK_CONFIG_DIR"
_FILE = "trusted"
_PORTS = {"http": 80, "https": 443}
_TWO_READINGS = re.compile(r"[\\\s\x00-\x1f\x7f]")
"""What programs take for different things: of `http://a\\@b` the host is b for Python, and a for whatever connects."""


def origin(url: str) -> str | None:
    """Scheme, host and port of an http(s) address in one spelling; None for any other text, and for an address that not
    every program reads alike.

    >>> origin("HTTPS://user:secret@MLflow.example.com:443/base/")
    'https://mlflow.example.com'
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not host or _TWO_READINGS.search(url):
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in (None, _PORTS[parts.scheme]) else f":{port}")


def trusted(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The confirmed addresses, sorted. MachineError where the file cannot be read."""
    file = _file(environ)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise cannot_read(file, error if isinstance(error, OSError) else OSError(str(error))) from None
    return tuple(sorted({found for line in lines if (found := origin(line.strip()))}))


def trust(url: str, environ: Mapping[str, str]) -> str:
    """Confirm an address; what is confirmed, which is its scheme, host and port. UsageError for what is none."""
    confirmed = _origin(url)
    _write({*trusted(environ), confirmed}, environ)
    return confirmed


def distrust(url: str, environ: Mapping[str, str]) -> str:
    """Take an address back. UsageError for one that was not confirmed."""
    given, known = _origin(url), trusted(environ)
    if given not in known:
        raise UsageError(f"{given} is not among the trusted addresses", hint="`reprolock trust --list` shows them")
    _write({*known} - {given}, environ)
    return given


def _origin(url: str) -> str:
    if "@" in url:
        raise UsageError(
            "the address contains a user name or credentials",
            hint="write the bare address; credentials stay in variables",
        )
    found = origin(url)
    if found is None:
        raise UsageError(
            f'"{url}" is not an http:// or https:// address', hint='write it as "https://mlflow.example.com"'
        )
    return found


def _write(addresses: set[str], environ: Mapping[str, str]) -> None:
    file = _file(environ)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(file.parent, error) from error
    write_whole(file, "".join(f"{address}\n" for address in sorted(addresses)).encode(), mode=0o600)


def _file(environ: Mapping[str, str]) -> Path:
    if named := environ.get(VARIABLE):
        return Path(named).expanduser().absolute() / _FILE
    from platformdirs import user_config_path  # not needed where the variable says it

    return user_config_path("reprolock", appauthor=False) / _FILE
