"""Read the build requirements of packages that have no wheel.

A source distribution names its build requirements in its pyproject.toml, and its build backend may
ask for more (PEP 517, get_requires_for_build_wheel). uv is let start a build of each, in an
environment of its own that carries a recorder; the recorder notes both, and ends the build before a
wheel is made. uv fetches, checks the hash and unpacks, with its user's own credentials.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from reprolock.environment.python.interpreters.find_python import Python
from reprolock.environment.python.resolving.export import requirement_lines
from reprolock.environment.python.uv import Uv
from reprolock.errors import MachineError, ServiceError
from reprolock.model.lock import PackagePin

VARIABLE = "REPROLOCK_BUILD_RECORD"
_DEFAULT = ("setuptools>=40.8.0",)
"""What a source without [build-system] is built with (PEP 517)."""
_RECORDER = f'''\
import os
place = os.environ.pop("{VARIABLE}", None)
if place:  # else a program that the backend started
    import importlib.metadata, json
    names = sorted({{distribution.metadata["Name"] for distribution in importlib.metadata.distributions()}})
    declared = None
    if os.path.exists("pyproject.toml"):
        with open("pyproject.toml", encoding="utf-8") as file:
            declared = file.read()
    asked = os.path.exists(place)
    with open(place + ".built" if asked else place, "w", encoding="utf-8") as file:
        json.dump({{"declared": declared, "names": names}}, file)
    if asked:  # the backend has said what it needs, and it was installed: enough is known
        os._exit(1)
'''


def build_requirements(
    packages: Sequence[PackagePin],
    declared: Sequence[str],
    python: Python | None,
    uv: Uv,
    folder: Path,
    as_of: datetime | None,
) -> tuple[str, ...]:
    """The build requirements of these sdists, sorted. MachineError when one cannot even be asked.

    `declared` is what the project asks for, for packages that it names by address; `python` runs the
    backends, reprolock's own where it is None; `folder` is where uv runs.
    """
    lines: set[str] = set()
    for package in packages:
        lines |= _of(package, declared, python.executable if python else Path(sys.executable), uv, folder, as_of)
    return tuple(sorted(lines))


def _of(
    package: PackagePin, declared: Sequence[str], executable: Path, uv: Uv, folder: Path, as_of: datetime | None
) -> set[str]:
    recorder, record = folder / "recorder", folder / f"{package.name}.json"
    built = Path(f"{record}.built")
    recorder.mkdir(exist_ok=True)
    (recorder / "sitecustomize.py").write_text(_RECORDER)
    settings = {"extra-build-variables": {package.name: {"PYTHONPATH": str(recorder), VARIABLE: str(record)}}}
    # uv keeps what it builds apart by these variables, so no earlier build stands in for this one.
    asked = folder / f"{package.name}.txt"
    asked.write_text("".join(requirement_lines([package.replaced({"marker": None})], declared)))
    arguments = [
        "pip",
        "install",
        "--requirement",
        asked.name,
        "--require-hashes",
        "--no-deps",
        "--no-binary",
        package.name,
    ]
    arguments += ["--python", str(executable), "--target", f"{package.name}-target"]
    arguments += ["--exclude-newer", as_of.isoformat()] if as_of else []
    complaint = None
    with suppress(ServiceError):  # the resolution has fetched the source already, most often
        uv.near.run(arguments, folder, settings)
    if not built.exists():
        record.unlink(missing_ok=True)
        complaint = uv.run(arguments, folder, settings).complaint
    first = _read(record)
    if first is None:
        reason = complaint.innermost if complaint else "uv did not build it"
        raise MachineError(
            f"the build requirements of {package.name} {package.version}, which has no wheel, cannot be determined: {reason}",
            problems=complaint.lines[1:] if complaint else (),
            hint=f"ask for a version of {package.name} that has wheels, or see whether it builds with `uv pip install`",
        )
    system = tomllib.loads(first["declared"] or "").get("build-system", {})
    # Without a second record the backend failed when it was asked; what it declares is still known.
    second = _read(built) or first
    return {*system.get("requires", _DEFAULT), *(set(second["names"]) - set(first["names"]))}


def _read(record: Path) -> Any:
    return json.loads(record.read_text(encoding="utf-8")) if record.exists() else None
