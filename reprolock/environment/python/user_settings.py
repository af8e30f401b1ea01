"""Read settings of this machine's user: uv's own, and where pip is told of a package index and uv is not.

uv reads no settings of pip's, and packages that only such an index has are not found, or found elsewhere under the same name.
"""

from __future__ import annotations

import configparser
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_OF_PIP = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS"}
"""pip's options, each also a variable (PIP_INDEX_URL), and uv's variable for the same."""
_OWN_VARIABLES = (
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_CONFIG_FILE",
)
_OWN_KEYS = ("index", "index-url", "extra-index-url", "find-links", "no-index")


def pip_remarks(environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each option of pip's that names an index, where neither uv's variables nor its user's settings do."""
    if any(environ.get(name) for name in _OWN_VARIABLES) or user_settings(environ).keys() & {*_OWN_KEYS}:
        return
    for option, own in _OF_PIP.items():
        variable = f"PIP_{option.upper().replace('-', '_')}"
        place = (
            variable
            if environ.get(variable)
            else next((str(f) for f in _pip_files(environ) if option in _options(f)), None)
        )
        if place is not None:
            told = "is set and" if place == variable else f"sets {option} and is"
            yield f"{place} {told} not read: packages come from where {own} or uv.toml says"


def _pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """pip's settings files, as `pip config debug` lists them."""
    if (named := environ.get("PIP_CONFIG_FILE")) is not None:
        yield Path(named)
        if named == os.devnull:
            return
    yield Path(sys.prefix) / "pip.conf"
    if home := environ.get("HOME"):
        yield Path(environ.get("XDG_CONFIG_HOME") or f"{home}/.config") / "pip" / "pip.conf"
        yield Path(home) / ".pip" / "pip.conf"
    yield Path("/etc/pip.conf")


def _options(file: Path) -> set[str]:
    """The options that a file of pip's sets, whatever they are set to."""
    parser = configparser.RawConfigParser()
    with suppress(OSError, ValueError, configparser.Error):
        parser.read_string(file.read_text(encoding="utf-8"))
    return {option.replace("_", "-") for section in parser.sections() for option in parser.options(section)}


def user_settings(environ: Mapping[str, str]) -> dict[str, Any]:
    """What the uv.toml files of the user and of the machine say, the user's first; a table `[pip]` counts as the top."""
    files = [Path("/etc/uv/uv.toml")]
    if environ.get("HOME") or environ.get("XDG_CONFIG_HOME"):
        files.append(Path(environ.get("XDG_CONFIG_HOME") or f"{environ['HOME']}/.config") / "uv" / "uv.toml")
    found: dict[str, Any] = {}
    for file in files:
        with suppress(OSError, ValueError):  # uv says what is wrong with it
            tables = tomllib.loads(file.read_text(encoding="utf-8"))
            pip = tables.get("pip")
            found |= tables | (pip if isinstance(pip, dict) else {})
    return found
