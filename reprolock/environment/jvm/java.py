"""Find the Java on this machine, or raise a `MachineError` that says how to get one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from reprolock.environment.caches import cache_folder
from reprolock.errors import MachineError
from reprolock.files.atomic_write import write_whole
from reprolock.model.spec import EnvironmentSpec

RECOMMENDED = "17"
"""The feature version that the hints name where nothing else is asked for: the oldest that Spark 4 takes."""
_PROGRAM = "java.exe" if os.name == "nt" else "java"
_PROPERTY = re.compile(r"^\s+(java\.(?:home|vendor|version|specification\.version)) = (.+?)\s*$", re.MULTILINE)


class Java(NamedTuple):
    """One installation: `feature` "17", `version` "17.0.15", `vendor` as it names itself, `home` its folder."""

    feature: str
    version: str
    vendor: str
    home: Path

    @property
    def executable(self) -> Path:
        """The program itself, never a version manager's shim."""
        return self.home / "bin" / _PROGRAM

    def __str__(self) -> str:
        return f"{self.version} ({self.vendor})"


def find_java(environ: Mapping[str, str]) -> Java:
    """The Java that Spark would start: JAVA_HOME's, else the first on PATH.

    MachineError (exit 8) when there is none. What a program answered is remembered in the cache
    folder by its path, size and time, for asking costs 0.1 to 0.3 s.
    """
    program = _program(environ)
    real = Path(os.path.realpath(program))
    stat = real.stat()
    key, stamp = str(real), [stat.st_size, stat.st_mtime_ns]
    memory = cache_folder(environ) / "java.json"
    known = _load_memory(memory)
    with suppress(KeyError, TypeError, ValueError):
        stamped, feature, version, vendor, home = known[key]
        if stamped == stamp:
            return Java(feature, version, vendor, Path(home))
    java = _ask(program, environ)
    # A version manager's shim answers differently in another folder: only a JDK's own program is remembered.
    if os.path.realpath(java.executable) == key:
        known[key] = [stamp, java.feature, java.version, java.vendor, str(java.home)]
        with suppress(MachineError, OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_whole(memory, json.dumps(known, indent=1).encode())
    return java


def check_java(java: Java, environment: EnvironmentSpec) -> None:
    """MachineError (exit 8) when environment.java does not accept `java`."""
    if not environment.accepts_java(java.feature):
        wanted = (environment.java or RECOMMENDED).lstrip(">= ")
        raise MachineError(
            f'Java {java.version} is at {java.home}, and environment.java asks for "{environment.java}"',
            hint=f"{install_hint(wanted)}, and set JAVA_HOME to its folder",
        )


def check_pinned(java: Java, feature: str | None) -> None:
    """MachineError (exit 8) when `java` is not of the feature version that repro.lock pins; None pins none."""
    if feature not in (None, java.feature):
        raise MachineError(
            f"Java {java.version} is at {java.home}, and repro.lock pins Java {feature}",
            hint=f"{install_hint(feature or RECOMMENDED)}, and set JAVA_HOME to its folder",
            owner_hint="`reprolock lock --upgrade` pins what is here",
        )


def install_hint(feature: str = RECOMMENDED, platform: str = sys.platform) -> str:
    """How to get that Java here, as an imperative. `platform` is `sys.platform`'s."""
    if platform == "darwin":
        return f"run `brew install openjdk@{feature}`"
    if platform == "win32":
        return f"run `winget install EclipseAdoptium.Temurin.{feature}.JRE`"
    return (
        f"run `apt install openjdk-{feature}-jre-headless` (Debian, Ubuntu) or take a build from https://adoptium.net"
    )


def _program(environ: Mapping[str, str]) -> Path:
    home = environ.get("JAVA_HOME")
    if home:
        program = Path(home) / "bin" / _PROGRAM
        if not program.is_file():
            raise MachineError(
                f"JAVA_HOME is {home}, and there is no bin/{_PROGRAM} in it",
                hint="set JAVA_HOME to the folder of a Java, or unset it to take the first on PATH",
            )
        return program
    found = shutil.which("java", path=environ.get("PATH", os.defpath))
    if found is None:
        raise _no_java()
    return Path(found)


def _ask(program: Path, environ: Mapping[str, str]) -> Java:
    command = [str(program), "-XshowSettings:properties", "-version"]
    try:
        answer = subprocess.run(
            command, env=dict(environ), capture_output=True, text=True, errors="replace", timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"{program} cannot be started: {error}", hint=install_hint()) from error
    said = dict(_PROPERTY.findall(answer.stderr))
    if answer.returncode != 0 or len(said) < 4:
        # macOS has a /usr/bin/java of its own that only says that there is no Java.
        raise _no_java()
    feature = said["java.specification.version"].removeprefix("1.")
    return Java(feature, said["java.version"], said["java.vendor"], Path(said["java.home"]))


def _no_java() -> MachineError:
    return MachineError("no Java on this machine: JAVA_HOME is not set and PATH has no java", hint=install_hint())


def _load_memory(memory: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        known = json.loads(memory.read_bytes())
        if isinstance(known, dict):
            return known
    return {}
