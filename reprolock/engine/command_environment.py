"""Compute the environment variables of the user's command, as tox does. No IO.

A short list passes from the caller, `[run] env` sets, `[run] pass_env` passes, reprolock adds its
own, and all else is dropped: PYTHONPATH, SPARK_HOME, JAVA_TOOL_OPTIONS, _JAVA_OPTIONS,
AWS_ENDPOINT_URL, PYSPARK_* and the rest of what can change a result without being written down.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

PASSED = (
    # user and locations
    *("HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP"),
    # how text is shown
    *("LANG", "LANGUAGE", "LC_*", "TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR"),
    # how the network is reached
    *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"),
    # the services that a run speaks to, and Java
    *("LAKECTL_*", "MLFLOW_*", "JAVA_HOME"),
    # without these, programs do not start on Windows
    *(
        "SYSTEMROOT",
        "SYSTEMDRIVE",
        "WINDIR",
        "COMSPEC",
        "PATHEXT",
        "USERPROFILE",
        "APPDATA",
        "LOCALAPPDATA",
        "PROGRAMDATA",
    ),
    *("PROGRAMFILES", "PROGRAMFILES(X86)", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE"),
)
"""Names, and patterns of names, that pass from the caller without being asked for."""

SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")


class Variables(NamedTuple):
    """`environ` is the whole environment of the command; `missing` names those of pass_env that the caller has not set."""

    environ: dict[str, str]
    missing: tuple[str, ...]


def variables(
    caller: Mapping[str, str],
    *,
    programs: Sequence[str],
    modules: str | None = None,
    seed: int | None = None,
    set_env: Mapping[str, str] = {},
    pass_env: Sequence[str] = (),
    extra: Mapping[str, str] = {},
) -> Variables:
    """Compose the command's environment; a later source wins over an earlier one.

    1. what passes from `caller`, 2. UTC and the seed, 3. `pass_env`, 4. `set_env`, 5. `extra`, which is
    reprolock's own. PATH starts with `programs` (folders: the environment's, Java's); after them
    comes a PATH that pass_env or set_env names, else the system's folders. Likewise PYTHONPATH starts with
    `modules`, the folder that brings `import reprolock`.
    """
    environ = {name: value for name, value in caller.items() if passes(name)}
    if not environ.keys() & {"LANG", "LC_ALL", "LC_CTYPE"}:
        # Java 17 in the bare C locale cannot open a file whose name is not ASCII.
        environ["LANG"] = "C.UTF-8"
    environ["TZ"] = "UTC"
    # Without a seed too: the order of a set must not differ between two runs.
    environ["PYTHONHASHSEED"] = str((seed or 0) % 2**32)
    if seed is not None:
        environ["REPROLOCK_SEED"] = str(seed)
    environ |= {name: caller[name] for name in pass_env if name in caller}
    environ |= set_env
    environ |= extra
    environ["PATH"] = os.pathsep.join([*programs, environ.get("PATH") or _system_path(caller)])
    if modules:
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [modules, environ.get("PYTHONPATH")]))
    return Variables(environ, tuple(name for name in pass_env if name not in caller))


def passes(name: str) -> bool:
    """Whether a caller's variable passes without being asked for."""
    return any(fnmatchcase(name, pattern) for pattern in PASSED)


def _system_path(caller: Mapping[str, str]) -> str:
    root = caller.get("SYSTEMROOT")
    folders = (rf"{root}\System32", root, rf"{root}\System32\Wbem") if os.name == "nt" and root else SYSTEM_PATH
    return os.pathsep.join(folders)
