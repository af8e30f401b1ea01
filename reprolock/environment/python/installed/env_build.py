"""Build one environment into a folder that appears whole under its name.

1. uv makes a movable virtual environment beside the folder, and installs with every hash required, those of
   build requirements included.
2. Every file is compared with the RECORD of its package. Files that differ are installed again from wheels that uv
   fetches bypassing its cache and compares with the pinned hash: what then stands there is what the wheel holds, be its RECORD
   right or wrong. Of packages that bring one file in two versions the last one by name wins, everywhere.
3. The folders are closed to writers, the manifest is written, and the whole is renamed.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from reprolock.environment.python.installed.manifest import Manifest, distributions, write_manifest
from reprolock.environment.python.installed.wheel_records import Doubts, digest_of_file, find_doubts
from reprolock.environment.python.interpreters.find_python import Python
from reprolock.environment.python.resolving.export import requirement_lines
from reprolock.environment.python.uv import Complaint, Uv
from reprolock.errors import Damaged, LockError, MachineError, PinError, ReprolockError, ServiceError
from reprolock.files.os_errors import cannot_write
from reprolock.model.digest import digest_of
from reprolock.model.lock import PackagePin

BUILDING = ".build-"
"""How the name of a folder begins in which an environment is being built, or was when its builder was killed."""
_EPOCH = "315532800"
"""1980-01-01, the earliest time that a wheel can hold: under it (SOURCE_DATE_EPOCH) equal sources make equal wheels."""


class BuildFailed(MachineError):
    """A package that has no wheel for this machine, and whose own build failed here."""


class BuildForbidden(MachineError):
    """A package that has no wheel for this machine, where no build code may be run."""


class CacheUnsure(MachineError):
    """A file is not what its package lists, and the wheel that would tell why cannot be fetched."""


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


def build_environment(plan: Plan, folder: Path, uv: Uv, temporary: Path, remark: Callable[[str], None]) -> None:
    """Build the environment that `folder` will name. The caller holds the guard of `folder`.

    `temporary` is where uv runs; `remark` is given a sentence for each pair of packages that bring the same file, and
    for what uv's cache holds otherwise than the pinned wheel. Errors as in `env_store.ensure`.
    """
    for abandoned in folder.parent.glob(f"{BUILDING}{folder.name}-*"):
        remove(abandoned)  # its builder was killed, else the guard would be held
    building = folder.with_name(f"{BUILDING}{folder.name}-{secrets.token_hex(4)}")
    try:
        _make_bare(building, plan.python, uv, temporary)
        packages = next(building.glob("lib/python*/site-packages"), building / "Lib" / "site-packages")
        if plan.packages:
            _Installation(plan, building, packages, uv, temporary, remark).install()
        manifest = Manifest(
            python=plan.python.version,
            implementation=plan.python.implementation,
            platform=f"{platform.system()} {platform.machine()}",
            distribution=distributions(packages),
        )
        _make_read_only(building)
        write_manifest(building, manifest)
        if folder.exists():
            remove(folder)  # without a manifest, or changed since it was built
        os.rename(building, folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        if building.exists():
            remove(building)


def _make_bare(folder: Path, python: Python, uv: Uv, temporary: Path) -> None:
    """A movable virtual environment without packages."""
    arguments = ["venv", "--quiet", "--relocatable", "--no-project"]
    _run(uv, [*arguments, "--python", str(python.executable), str(folder)], temporary)


def remove(folder: Path) -> None:
    """Remove an environment; under another name first, so that half of one never stands under its own."""
    doomed = folder
    if not folder.name.startswith(BUILDING):
        doomed = folder.with_name(f"{BUILDING}{folder.name}-{secrets.token_hex(4)}")
        with suppress(OSError):
            os.rename(folder, doomed)
    doomed = doomed if doomed.exists() else folder
    for parent, _, _ in os.walk(doomed):
        with suppress(OSError):
            os.chmod(parent, stat.S_IRWXU)
    shutil.rmtree(doomed, ignore_errors=True)


def _make_read_only(building: Path) -> None:
    """No command writes into an environment that other runs use, too: its folders are read-only, save those where
    Python keeps bytecode. Permissions do not bind root; what root's commands write is found out by `manifest`."""
    for parent, folders, names in os.walk(building, topdown=False):
        here = Path(parent)
        if here == building or here.name == "__pycache__" or here.is_symlink():
            continue
        if "__pycache__" not in folders and any(name.endswith(".py") for name in names):
            (here / "__pycache__").mkdir()
        here.chmod(here.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))


class _Installation(NamedTuple):
    """The packages of a plan on their way into a virtual environment.

    uv starts the Python that it installs for, to ask what it is, and that Python executes what packages have it execute when it
    starts (`.pth` files, `sitecustomize`): it is let near none that has packages. So nothing of them is executed here.
    """

    plan: Plan
    building: Path
    packages: Path
    uv: Uv
    temporary: Path
    remark: Callable[[str], None]

    def install(self) -> None:
        """Install all, then settle what is not as RECORDs list it."""
        arguments = ["pip", "sync", "packages.txt"]
        try:
            self._run_uv(self.uv.near, self.plan.packages, arguments)
        except BuildFailed:
            raise
        except ReprolockError:  # the cache alone did not do
            remove(self.building)  # some packages may be there
            _make_bare(self.building, self.plan.python, self.uv, self.temporary)
            self._run_uv(self.uv, self.plan.packages, arguments)
        found = find_doubts(self.packages)
        if found.edited:
            found = self._fetch_again(found)
        for overlap in found.overlaps:
            *others, last = overlap.packages
            several = "both" if len(others) == 1 else "all"
            self.remark(
                f"{', '.join(others)} and {last} {several} bring {_shown(overlap.path)}; the file of {last} is installed"
            )
        self._reinstall(self.uv.near, found.losing)

    def _fetch_again(self, found: Doubts) -> Doubts:
        """Install the packages of files in doubt again from their wheels, bypassing uv's cache; what they hold is right, whatever RECORD says."""
        before = {path: digest_of_file(self.packages / path) for path in found.edited}
        names = sorted({name for owners in found.edited.values() for name in owners})
        first = next(iter(sorted(found.edited)))
        try:
            self._reinstall(self.uv, names, "--no-cache")
        except ServiceError as error:
            raise CacheUnsure(
                f"{first} is not what {found.edited[first][0]} lists, and its wheel cannot be fetched to see which is right: {error.message}",
                hint="run the same command once without --offline, while the package index can be reached",
            ) from error
        edited = [path for path, digest in sorted(before.items()) if digest_of_file(self.packages / path) != digest]
        if edited:
            more = f" and {len(edited) - 1} more" if len(edited) > 1 else ""
            self.remark(
                f"uv's cache holds an edited file, {edited[0]}{more}; the pinned wheel was fetched again, and "
                f"`uv cache clean {' '.join(names)}` mends the cache"
            )
        return find_doubts(self.packages)._replace(edited={})

    def _reinstall(self, uv: Uv, names: Collection[str], *options: str) -> None:
        """Install some packages again, one after another in the order given: the last one's files stay."""
        apart = self.building.with_name(f"{self.building.name}-apart")
        for name in names:
            pins = [pin for pin in self.plan.packages if pin.name == name]
            try:
                _make_bare(apart, self.plan.python, self.uv, self.temporary)
                bare = set(_files(apart))
                self._run_uv(
                    uv, pins, ["pip", "install", "--requirement", "packages.txt", "--no-deps", *options], apart
                )
                for path in sorted(set(_files(apart)) - bare):
                    (self.building / path).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(apart / path, self.building / path)
            finally:
                remove(apart)

    def _run_uv(self, uv: Uv, pins: Sequence[PackagePin], arguments: Sequence[str], folder: Path | None = None) -> None:
        """Let uv install these pins into a virtual environment without packages, with every hash required."""
        # uv keeps what it builds apart by these variables: a wheel that was built with other things is not taken.
        variables = {"REPROLOCK_BUILD": digest_of(self.plan.build_lines)[:16], "SOURCE_DATE_EPOCH": _EPOCH}
        settings = {"extra-build-variables": {pin.name: variables for pin in pins if pin.source}}
        (self.temporary / "packages.txt").write_text("".join(requirement_lines(pins, self.plan.declared)))
        (self.temporary / "build.txt").write_text("".join(self.plan.build_lines))
        python = (folder or self.building) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        hashes = ["--build-constraints", "build.txt", "--require-hashes", "--no-sources"]
        hashes += ["--require-build-hashes", "--preview-features", "build-dependency-hashes"]
        _run(uv, [*arguments, *hashes, "--python", str(python)], self.temporary, settings)


def _files(folder: Path) -> Iterator[str]:
    """Every file, and every link, below a folder."""
    for here, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(here, name))]
        yield from (os.path.relpath(os.path.join(here, name), folder) for name in (*names, *links))


def _shown(path: str) -> str:
    """A path of a RECORD as people know it: `bin/tool` is `../../../bin/tool` there."""
    return path.lstrip("./") if path.startswith("../") else path


def _run(uv: Uv, arguments: Sequence[str], temporary: Path, settings: Mapping[str, Any] = {}) -> None:
    if complaint := uv.run(arguments, temporary, settings).complaint:
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
            f"{named} has no wheel for this machine",
            hint=f"run on a platform that {name} has wheels for",
            owner_hint=f"{upgrade} pins its source too, if the index has one",
        )
    if "there is no version of" in text or re.search(
        r"was not found in the (?:package registry|provided package locations)", text
    ):
        return PinError(
            f"{named} is gone: the index that uv asks does not have it",
            hint="name the index that has it in UV_INDEX",
            owner_hint=f"{upgrade} pins another version",
        )
    if "building from source is disabled" in text or "Building source distributions is disabled" in text:
        return BuildForbidden(
            f"{named} has no wheel for this machine, and a dry run does not run its build code",
            hint="leave out --dry-run to build it; `reprolock show` shows what would run",
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
