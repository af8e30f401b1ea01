"""Read where Python packages come from: index settings of the project, of UV_CONFIG_FILE and of requirements files.

uv reads its user's own settings by itself. It runs in a folder of its own, though, so the project's uv.toml, or
`[tool.uv]` in its pyproject.toml, are read here, and only for what says where packages come from: what would decide
versions beside repro.toml is not taken. UV_CONFIG_FILE, where it is set, stands in for the project's files, as it does for uv.
Credentials in an address are taken out of it and reach uv by its environment alone (UV_INDEX_<NAME>_USERNAME). Those that
the user's environment holds go to no address that a project alone names, unless `reprolock trust` confirmed it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from reprolock.environment.python.declared.pyproject_file import workspace_of
from reprolock.environment.python.declared.pyproject_types import load_pyproject, load_uv_toml
from reprolock.environment.python.declared.requirement_line import IndexOption
from reprolock.environment.python.user_settings import pip_remarks
from reprolock.errors import UsageError
from reprolock.files.trusted import origin, trusted
from reprolock.model.secrecy import without_userinfo

_SETTINGS = (
    *("no-index", "index-strategy", "keyring-provider", "allow-insecure-host", "native-tls", "system-certs"),
    *("offline", "python-install-mirror", "python-downloads", "pypy-install-mirror"),
)
"""Settings of uv that say where packages come from, beside the addresses themselves."""
_NOT_TAKEN = (
    *("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_EXCLUDE_NEWER", "UV_RESOLUTION", "UV_PRERELEASE"),
    *("UV_FORK_STRATEGY", "UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_BUILD_CONSTRAINT", "UV_TORCH_BACKEND"),
)
"""uv's variables that would decide versions beside repro.toml."""
_KEYS_NOT_TAKEN = (
    *("exclude-newer", "exclude-newer-package", "resolution", "prerelease", "fork-strategy", "torch-backend"),
    *("no-binary", "no-binary-package", "no-build", "no-build-package", "dependency-metadata"),
    *("extra-build-dependencies", "config-settings"),
)
"""Settings of uv that would decide versions, files or builds beside repro.toml."""


_OWN_ADDRESSES = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_INDEX_URL")


class Indexes(NamedTuple):
    """`settings` go below `[tool.uv]`, `variables` into uv's environment. `remarks` say what a lock does not repeat."""

    settings: Mapping[str, Any] = {}
    variables: Mapping[str, str] = {}
    remarks: tuple[str, ...] = ()

    @property
    def for_pinned(self) -> Indexes:
        """The same for packages that are pinned by hash: each may come from any index, whatever the order."""
        if not self.settings.get("index"):
            return self
        tables = [{key: value for key, value in table.items() if key != "explicit"} for table in self.settings["index"]]
        return self._replace(settings={**self.settings, "index": tables, "index-strategy": "unsafe-best-match"})


def read_indexes(environ: Mapping[str, str], root: Path | None = None, options: Iterable[IndexOption] = ()) -> Indexes:
    """The settings for a project in `root` (None: no project's) whose requirements files give `options`.

    UsageError for a settings file that cannot be read.
    """
    named = environ.get("UV_CONFIG_FILE")
    found = _Collected(root or Path())
    given: dict[str, Any] = {}
    if named:
        given = _load_named(Path(named).expanduser())
        found.add_settings(given, Path(named).expanduser().absolute().parent)
    elif root is not None:
        for folder, settings in _of_project(root):
            _check_credentials((*settings.get("index", ()), *settings.get("pip", {}).get("index", ())), environ)
            for host in _merged(settings).get("allow-insecure-host", ()):
                _check_insecure(f"uv's allow-insecure-host in {folder.name}", host, environ)
            found.add_settings(settings, folder)
            given = settings | given
    remarks = [
        f"{name} is set but ignored: what decides versions must be in repro.toml"
        for name in _NOT_TAKEN
        if environ.get(name)
    ]
    given |= given.get("pip", {})
    remarks += [
        f"uv's setting {key} is ignored: what decides versions must be in repro.toml"
        for key in _KEYS_NOT_TAKEN
        if given.get(key)
    ]
    for option in options:
        if option.option == "--trusted-host":
            _check_insecure(f"{option.place}: --trusted-host", option.value, environ)
        found.add_option(option)
        elsewhere = "the folder in UV_FIND_LINKS" if option.option == "--find-links" else "the index in UV_INDEX"
        remarks.append(
            f"{option.place}: {option.option} is used but not recorded: on another machine, set {elsewhere} or uv.toml"
        )
    if not found.settings.keys() & {"index", "find-links", "no-index"}:
        remarks += pip_remarks(environ)
    return Indexes(found.settings, found.variables, tuple(remarks))


def _check_credentials(tables: Iterable[Mapping[str, Any]], environ: Mapping[str, str]) -> None:
    """UsageError where a project names an index for which the user holds credentials, at an address that the user did not name.

    uv finds credentials by an index's name, and a cloned project may give that name to any address.
    """
    for table in tables:
        name, address = str(table.get("name", "")), str(table.get("url", ""))
        where = origin(address)
        variables = [f"{_prefix(name)}_{part}" for part in ("USERNAME", "PASSWORD")] if name else []
        held = [variable for variable in variables if environ.get(variable)]
        known = {*trusted(environ), *_named_by_user(environ)}
        if held and "://" in address and not address.startswith("file:") and (where is None or where not in known):
            # uv reads a server's name out of more than is an address here, such as https:///host.
            raise UsageError(
                f"{held[-1]} would be sent to {where or without_userinfo(address)}, which only this project's settings "
                f"declare as the index {name}",
                hint=f"`reprolock trust {where}` confirms that address, once" if where else "correct the address",
            )


def _check_insecure(what: str, host: str, environ: Mapping[str, str]) -> None:
    """UsageError where a project has the certificate unchecked of a host that the user has credentials for, or named as an index:
    whoever stands between would be sent what was meant for that host."""
    name = _host(host)
    if name in _hosts_of_user(environ) and name not in map(_host, environ.get("UV_INSECURE_HOST", "").split()):
        raise UsageError(
            f"{what} turns off the check of who {name} is, which your own settings name",
            hint="take it out; if that is your wish, say so yourself, by UV_INSECURE_HOST",
        )


def _host(text: str) -> str:
    """The name in `pypi.example.com`, `pypi.example.com:8443` or `https://pypi.example.com`."""
    try:
        return (urlsplit(text if "://" in text else f"//{text}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _hosts_of_user(environ: Mapping[str, str]) -> set[str]:
    """Hosts in the user's variables, among the confirmed addresses and in .netrc."""
    addresses = {address for address in (*trusted(environ), *_named_by_user(environ)) if address}
    path = Path(environ.get("NETRC") or Path(environ.get("HOME", "~"), ".netrc")).expanduser()
    try:
        machines = set(netrc(str(path)).hosts) - {"default"}
    except (OSError, NetrcParseError, UnicodeDecodeError):  # uv has none from it either
        machines = set()
    return {_host(text) for text in addresses | machines} - {""}


def _named_by_user(environ: Mapping[str, str]) -> set[str | None]:
    named = " ".join(environ.get(name, "") for name in _OWN_ADDRESSES)
    return {origin(word.rpartition("=")[2] if "=" in word.partition("://")[0] else word) for word in named.split()}


def _prefix(name: str) -> str:
    """What uv's variables for the credentials of an index begin with."""
    return f"UV_INDEX_{re.sub('[^A-Za-z0-9]', '_', name).upper()}"


def _of_project(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The settings that count in a folder, each with where they stand: uv.toml, or `[tool.uv]` where there is none; those of the
    nearest folder above it in the repository where it has neither; and those of its workspace."""
    folder = root.absolute()
    while (settings := _settings_in(folder)) is None and not (folder / ".git").exists() and folder != folder.parent:
        folder = folder.parent
    if settings is not None:
        yield folder, settings
    if (above := workspace_of(root)) is not None and above != folder:
        yield above, _settings_in(above) or {}


def _settings_in(folder: Path) -> dict[str, Any] | None:
    if (folder / "uv.toml").is_file():
        return load_uv_toml(folder / "uv.toml", "uv.toml")
    if not (folder / "pyproject.toml").is_file():
        return None
    found: dict[str, Any] | None = load_pyproject(folder / "pyproject.toml", "pyproject.toml").get("tool", {}).get("uv")
    return found


def _merged(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with those of their `[pip]` table, which count where the top has none."""
    return {**settings.get("pip", {}), **settings}


def _load_named(path: Path) -> dict[str, Any]:
    try:
        return load_uv_toml(path, "UV_CONFIG_FILE")
    except FileNotFoundError:
        raise UsageError(
            f"UV_CONFIG_FILE names {path}, which is not there", hint="correct UV_CONFIG_FILE, or unset it"
        ) from None


class _Collected:
    """Settings and variables as they are put together. `folder` is what relative addresses are relative to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = {}
        self.variables: dict[str, str] = {}

    def add_settings(self, given: Mapping[str, Any], folder: Path) -> None:
        """What a settings file in `folder` says, the `[pip]` table included; what was added before it counts first."""
        self.folder = folder
        merged = _merged(given)
        self.settings = {key: merged[key] for key in _SETTINGS if key in merged} | self.settings
        for table in merged.get("index", ()):
            self._add_index(table)
        for address in merged.get("extra-index-url", ()):
            self._add_index({"url": address})
        if "index-url" in merged:
            self._add_index({"url": merged["index-url"], "default": True})
        for address in merged.get("find-links", ()):
            self._add_find_links(address)

    def add_option(self, option: IndexOption) -> None:
        """What a line of a requirements file says."""
        if option.option == "--no-index":
            self.settings["no-index"] = True
        elif option.option == "--trusted-host":
            self.settings.setdefault("allow-insecure-host", []).append(option.value)
        elif option.option == "--find-links":
            self._add_find_links(option.value)
        else:
            default = {"default": True} if option.option == "--index-url" else {}
            self._add_index({"url": option.value, **default})

    def _add_index(self, table: Mapping[str, Any]) -> None:
        tables = self.settings.setdefault("index", [])
        address, user, password = _without_credentials(self._absolute(str(table.get("url", ""))))
        made = {**table, "url": address}
        if user is not None:
            name = made.setdefault("name", f"reprolock-{len(tables)}")
            prefix = _prefix(name)
            self.variables |= {f"{prefix}_USERNAME": user} | ({f"{prefix}_PASSWORD": password} if password else {})
        tables.append(made)

    def _add_find_links(self, address: str) -> None:
        whole = self._absolute(address)
        if _without_credentials(whole)[1] is not None:
            links = [self.variables["UV_FIND_LINKS"]] if "UV_FIND_LINKS" in self.variables else []
            self.variables["UV_FIND_LINKS"] = ",".join([*links, whole])
        else:
            self.settings.setdefault("find-links", []).append(whole)

    def _absolute(self, address: str) -> str:
        return address if "://" in address or not address else str((self.folder / address).resolve())


def _without_credentials(address: str) -> tuple[str, str | None, str]:
    """The address without its userinfo, the user (None for none) and the password."""
    try:
        parts = urlsplit(address)
    except ValueError:
        raise UsageError(
            f'"{without_userinfo(address)}" is not the address of a package index',
            hint="correct it in uv.toml, pyproject.toml or the requirements file",
        ) from None
    if "@" not in parts.netloc:
        return address, None, ""
    userinfo, _, host = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    return urlunsplit(parts._replace(netloc=host)), unquote(user), unquote(password)
