"""Build one environment into a folder that appears whole under its name.

uv makes a movable virtual environment beside the final folder, installs with every hash required, those of
build requirements included, and the folder is renamed once its manifest stands.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from reprolock.environment.python.export import requirement_lines
from reprolock.environment.python.find_python import Python
from reprolock.environment.python.manifest import Manifest, corrupt, distributions, owners, write_manifest
from reprolock.environment.python.uv import Complaint, Uv
from reprolock.errors import Damaged, LockError, MachineError, PinError, ReprolockError
from reprolock.files.os_errors import cannot_write
from reprolock.model.digest import digest_of
from reprolock.model.lock import PackagePin

BUILDING = ".build-"
"""How the name of a folder begins in which an environment is being built, or was when its builder was killed."""
_EPOCH = "315532800"
"""1980-01-01, the earliest time that a wheel can hold: under it (SOURCE_DATE_EPOCH) equal sources make equal wheels."""


class BuildFailed(MachineError):
    """A package that has no wheel for this machine, and whose own build failed here."""


class CacheEdited(MachineError):
    """uv's cache gives a file that is not the one its package lists."""


class Plan(NamedTuple):
    """What an environment is made of on this platform; `declared` names the packages that come from an address."""

    packages: Sequence[PackagePin]
    build: Sequence[PackagePin]
    declared: Sequence[str]
    python: Python

    @property
    def digest(self) -> str:
        """16 hex characters over all of it, the interpreter's path and exact version included."""
        python = [str(self.python.executable), self.python.version, self.python.implementation]
        return digest_of({"packages": self.package_lines, "build": self.build_lines, "python": python})[:16]

    @property
    def package_lines(self) -> list[str]:
        """The requirements to install, with hashes."""
        return list(requirement_lines(self.packages, self.declared))

    @property
    def build_lines(self) -> list[str]:
        """The requirements that wheels are built with, with hashes."""
        return list(requirement_lines(self.build, ()))


def build_environment(plan: Plan, folder: Path, uv: Uv, temporary: Path) -> None:
    """Build the environment that `folder` will name. The caller holds the guard of `folder`.

    `temporary` is where uv runs. Errors as in `python_env.ensure`.
    """
    for abandoned in folder.parent.glob(f"{BUILDING}{folder.name}-*"):
        remove(abandoned)  # its builder was killed, else the guard would be held
    building = folder.with_name(f"{BUILDING}{folder.name}-{secrets.token_hex(4)}")
    try:
        _run(
            uv,
            [
                "venv",
                "--quiet",
                "--relocatable",
                "--no-project",
                "--python",
                str(plan.python.executable),
                str(building),
            ],
            temporary,
        )
        if plan.packages:
            _install(plan, building, uv, temporary)
        packages = next(building.glob("lib/python*/site-packages"), building / "Lib" / "site-packages")
        if bad := corrupt(packages):
            raise CacheEdited(
                f"uv's cache holds an edited file: {bad[0]}",
                problems=bad if len(bad) > 1 else (),
                hint=f"run `uv cache clean {' '.join(owners(packages, bad))}` and try again",
            )
        manifest = Manifest(
            python=plan.python.version,
            implementation=plan.python.implementation,
            platform=f"{platform.system()} {platform.machine()}",
            distribution=distributions(packages),
        )
        write_manifest(building, manifest)
        if folder.exists():
            remove(folder)  # without a manifest: it was removed
        os.rename(building, folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        if building.exists():
            remove(building)


def remove(folder: Path) -> None:
    """Remove an environment; under another name first, so that half of one never stands under its own."""
    doomed = folder
    if not folder.name.startswith(BUILDING):
        doomed = folder.with_name(f"{BUILDING}{folder.name}-{secrets.token_hex(4)}")
        with suppress(OSError):
            os.rename(folder, doomed)
    shutil.rmtree(doomed if doomed.exists() else folder, ignore_errors=True)


def _install(plan: Plan, building: Path, uv: Uv, temporary: Path) -> None:
    # uv keeps what it builds apart by these variables: a wheel that was built with other things is not taken.
    variables = f'{{ REPROLOCK_BUILD = "{digest_of(plan.build_lines)[:16]}", SOURCE_DATE_EPOCH = "{_EPOCH}" }}'
    settings = "".join(f"{pin.name} = {variables}\n" for pin in plan.packages if pin.source)
    (temporary / "pyproject.toml").write_text(f"[tool.uv.extra-build-variables]\n{settings}")
    (temporary / "packages.txt").write_text("".join(plan.package_lines))
    (temporary / "build.txt").write_text("".join(plan.build_lines))
    arguments = ["pip", "sync", "packages.txt", "--build-constraints", "build.txt", "--require-hashes", "--no-sources"]
    arguments += ["--require-build-hashes", "--preview-features", "build-dependency-hashes"]
    arguments += ["--python", str(building / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))]
    try:
        _run(uv.near, arguments, temporary)
    except BuildFailed:
        raise
    except ReprolockError:  # the cache alone did not do
        _run(uv, arguments, temporary)


def _run(uv: Uv, arguments: Sequence[str], temporary: Path) -> None:
    if complaint := uv.run(arguments, temporary).complaint:
        raise _understood(complaint)


def _understood(complaint: Complaint) -> ReprolockError:
    """uv's complaint about an installation as one of our errors: is it the index, the lock or this machine?"""
    text = complaint.text
    package = re.search(r"`([\w.-]+)==([^`\s]+)`", text) or re.search(
        r"(?:Because (?:there is no version of )?|you require )([\w.-]+)==([^,\s]+)", text
    )
    name, version = (package[1], package[2]) if package else ("a package", "")
    named = f"{name} {version}".strip()
    upgrade = f"`reprolock lock --upgrade-package {name}`"
    if "Hash mismatch" in text:
        return Damaged(
            f"{named} has changed: the index gives a file whose SHA-256 repro.lock does not pin",
            hint="find out why",
            owner_hint=f"if the new file is good, run {upgrade}",
        )
    if "no trusted hash was provided" in text:
        unpinned = re.search(r"was provided for: `([^`]+)`", text)
        return LockError(
            f"{named} has no wheel for this machine, and repro.lock does not pin {unpinned[1] if unpinned else 'what'} it is built with",
            hint=f"use a machine that {name} has wheels for",
            owner_hint=f"{upgrade} on a machine like this one pins that, too",
        )
    if "matching platform tag" in text or "matching Python" in text:
        return MachineError(
            f"{named} has no wheel for this machine", hint=f"run on a platform that {name} has wheels for"
        )
    if "there is no version of" in text or re.search(
        r"was not found in the (?:package registry|provided package locations)", text
    ):
        return PinError(
            f"{named} is gone: the index that uv asks does not have it",
            hint="name the index that has it in UV_INDEX",
            owner_hint=f"{upgrade} pins another version",
        )
    if complaint.head.startswith("Failed to") and "build" in complaint.head:
        return BuildFailed(
            f"{named} has no wheel for this machine and cannot be built here",
            problems=complaint.lines[1:],
            hint="install what its build asks for, or ask for a version that has wheels",
        )
    return MachineError(
        f"the environment cannot be built: {complaint.head.replace('`', '')}",
        problems=complaint.lines[1:],
        hint="see what uv says above",
    )
