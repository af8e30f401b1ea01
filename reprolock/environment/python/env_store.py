"""Provide the folder of a locked Python environment: built once per lock, checked at every run.

    <store>/envs/<digest>/     the environment, whole by the time it has this name
    <store>/envs/.build-*/     one that is being built, or whose builder was killed

The digest is over the packages that this platform takes, what they are built with, and the very
interpreter, so every project with the same lock shares the environment. It is built under another name
(uv can make environments that may be moved) and renamed when its manifest is written: a builder that
is killed leaves nothing that counts. Bytecode is not compiled ahead: that takes 25 times as long as all
else, and Python does it once, for the modules that are used.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from packaging.markers import Marker

from reprolock.environment.python.env_build import BUILDING, Plan, build_environment, remove
from reprolock.environment.python.find_python import Python, find_python
from reprolock.environment.python.manifest import MANIFEST, Manifest, changes, read_manifest
from reprolock.environment.python.uv import Uv
from reprolock.errors import MachineError, PinError, ReprolockError
from reprolock.files.atomic_write import guard
from reprolock.files.os_errors import cannot_write
from reprolock.model.lock import EnvironmentPin, PackagePin

FOLDER = "envs"
ANEW = "run `reprolock env --prune`, which removes it; the next run builds it again"
"""What to do with an environment that was changed."""
_BUILD_SECONDS = 3600.0
"""How long a second run waits for the one that builds the same environment."""
_ENVIRONMENT = re.compile(r"[0-9a-f]{16}$|\.build-")


class Environment(NamedTuple):
    """An environment that is whole. `programs` is its folder of programs, for PATH; `manifest` what it is built of."""

    folder: Path
    python: Path
    programs: Path
    packages: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """16 hex characters, the folder's name."""
        return self.folder.name


class Pruned(NamedTuple):
    """Environments that were removed, by folder, and the bytes that this freed on the disk."""

    folders: tuple[Path, ...]
    bytes: int


def ensure(
    pin: EnvironmentPin,
    store: Path,
    *,
    offline: bool = False,
    environ: Mapping[str, str] = os.environ,
    progress: Callable[[str], None] | None = None,
) -> Environment:
    """The environment of a lock, built where it is not there yet. `store` is the cache folder.

    Errors: PinError (a pinned file is gone from the index, or its bytes have changed), LockError (no
    build requirements are pinned for a package that this platform must build), ServiceError (the
    index is down, or offline and not cached), MachineError (no such Python, no wheel for this
    machine, a build that fails, a cache that cannot be written).
    """
    uv = Uv(environ, offline=offline, progress=progress)
    with tempfile.TemporaryDirectory(prefix="reprolock-") as temporary:
        plan = _plan(pin, uv, Path(temporary))
        folder = store / FOLDER / plan.digest
        if (found := _at(folder)) is None:
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise cannot_write(folder.parent, error) from error
            with guard(folder, f"building the environment {folder.name}", seconds=_BUILD_SECONDS):
                if (found := _at(folder)) is None:
                    build_environment(plan, folder, uv, Path(temporary))
                    found = _at(folder)
    if found is None:
        raise ReprolockError(f"the environment at {folder} is not there although it was built", hint="report this")
    _mark_used(found)
    return found


def find(pin: EnvironmentPin, store: Path, *, environ: Mapping[str, str] = os.environ) -> Environment | None:
    """The environment of a lock where it has been built on this machine. MachineError where there is no such Python."""
    with tempfile.TemporaryDirectory(prefix="reprolock-") as temporary:
        return _at(store / FOLDER / _plan(pin, Uv(environ, offline=True), Path(temporary)).digest)


def check(environment: Environment, *, hashing: bool = False) -> None:
    """PinError (exit 4) when anything was installed into the environment, removed from it or edited in it since it was built.

    `hashing`: every file that a package lists is hashed, not only one whose size or time has changed.
    """
    found = changes(environment.folder, environment.packages, environment.manifest, hashing=hashing)
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise PinError(
            f"the environment {environment.digest} is not as it was built: {found[0]}{more}",
            problems=found if len(found) > 1 else (),
            hint=ANEW,
        )


def prune(store: Path, *, days: float = 30, keep: Collection[str] = (), now: float | None = None) -> Pruned:
    """Remove environments that no run has used for `days`, that have changed, or whose builder was killed.

    `keep` holds digests that stay in any case; `now` is in seconds since 1970.
    """
    moment = time.time() if now is None else now
    gone, freed = [], 0
    for folder in sorted(path for path in (store / FOLDER).glob("*") if _ENVIRONMENT.match(path.name)):
        if folder.name not in keep and _is_expired(folder, moment - days * 86400):
            freed += _own_bytes(folder)
            remove(folder)
            gone.append(folder)
    return Pruned(tuple(gone), freed)


def _plan(pin: EnvironmentPin, uv: Uv, temporary: Path) -> Plan:
    python = find_python(pin.python, uv, temporary)
    return Plan(_here(pin.package, python), _here(pin.build, python), pin.requirements, python)


def _here(pins: Sequence[PackagePin], python: Python) -> list[PackagePin]:
    meaning = python.markers()
    return [pin for pin in pins if pin.marker is None or Marker(pin.marker).evaluate(meaning)]


def _at(folder: Path) -> Environment | None:
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    feature = ".".join(manifest.python.split(".")[:2])
    packages = (
        folder / "Lib" / "site-packages" if os.name == "nt" else folder / "lib" / f"python{feature}" / "site-packages"
    )
    return Environment(folder, programs / ("python.exe" if os.name == "nt" else "python"), programs, packages, manifest)


def _mark_used(environment: Environment) -> None:
    """The manifest's time is when the environment was used last; `prune` goes by it."""
    with suppress(OSError):  # a cache that is shared read-only is not pruned either
        os.utime(environment.folder / MANIFEST)


def _is_expired(folder: Path, limit: float) -> bool:
    if folder.name.startswith(BUILDING):
        digest = folder.name.removeprefix(BUILDING).split("-")[0]
        try:
            with guard(folder.with_name(digest), "building an environment", seconds=0):
                return True
        except MachineError:
            return False  # its builder lives
    environment = _at(folder)
    if environment is None or (folder / MANIFEST).stat().st_mtime < limit:
        return True
    # Hashed, since this is what to do about an environment that was found changed by hashing.
    return bool(changes(folder, environment.packages, environment.manifest, hashing=True))


def _own_bytes(folder: Path) -> int:
    """What removing the folder frees: files that uv's cache shares with it (hard links) stay."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            stat = os.lstat(os.path.join(parent, name))
            total += stat.st_size if stat.st_nlink == 1 else 0
    return total
