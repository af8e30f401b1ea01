"""Provide the folder of a locked Python environment: built once per lock, checked at every run.

    <store>/envs/<digest>/     the environment, whole by the time it has this name
    <store>/envs/<digest>-2/   the same once more, where the first was changed and a run still uses it
    <store>/envs/.build-*/     one that is being built, or whose builder was killed

The digest is over the packages that this platform takes, what they are built with, and the very
interpreter, so every project with the same lock shares the environment. It is built under another name
(uv can make environments that may be moved) and renamed when its manifest is written: a builder that
is killed leaves nothing that counts. Bytecode is not compiled ahead: that takes 25 times as long as all
else, and Python does it once, for the modules that are used.

An environment that was changed since is built again, and what changed it is named: a package that writes beside
itself, as root may, costs its project a rebuild and nothing else. Runs hold a shared lock on their environment
(`in_use`), so that none is replaced while a command runs in it.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

from packaging.markers import Marker

from reprolock.environment.python.indexes import Indexes, read_indexes
from reprolock.environment.python.installed.env_build import BUILDING, Plan, build_environment, remove
from reprolock.environment.python.installed.manifest import MANIFEST, Manifest, changes, read_manifest
from reprolock.environment.python.interpreters.find_python import Python, find_python
from reprolock.environment.python.uv import Uv
from reprolock.errors import MachineError, PinError, ReprolockError
from reprolock.files.atomic_write import guard, own_folder
from reprolock.files.os_errors import cannot_write
from reprolock.model.lock import EnvironmentPin, PackagePin

FOLDER = "envs"
ANEW = "the next run builds it again; `reprolock env --prune` removes it"
"""What happens to an environment that was changed."""
_BUILD_SECONDS = 3600.0
"""How long a second run waits for the one that builds the same environment."""
_ENVIRONMENT = re.compile(r"[0-9a-f]{16}(?:-\d+)?$|\.build-")


class Environment(NamedTuple):
    """An environment that is whole. `programs` is its folder of programs, for PATH; `manifest` what it is built of."""

    folder: Path
    python: Path
    programs: Path
    packages: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """16 hex characters over what it is made of, with which the folder's name begins."""
        return self.folder.name[:16]


class Pruned(NamedTuple):
    """Environments that were removed, by folder, and the bytes that this freed on the disk."""

    folders: tuple[Path, ...]
    bytes: int


def ensure(
    pin: EnvironmentPin,
    store: Path,
    *,
    offline: bool = False,
    no_build: bool = False,
    hashing: bool = False,
    environ: Mapping[str, str] = os.environ,
    indexes: Indexes | None = None,
    progress: Callable[[str], None] | None = None,
    remark: Callable[[str], None] = lambda sentence: None,
) -> Environment:
    """The environment of a lock, built where it is not there yet, and again where it was changed.

    `store` is the cache folder; `indexes` are a project's, beside its user's own; `no_build`: no package's build code is
    run; `hashing`: every file is read, whatever sizes and times say. `remark` is given a sentence for a change that was
    found, and for packages that bring the same file.
    Errors: PinError (a pinned file is gone from the index, or its bytes have changed), LockError (no
    build requirements are pinned for a package that this platform must build), ServiceError (the
    index is down, or offline and not cached), MachineError (no such Python, no wheel for this
    machine, a build that fails, a cache that cannot be written).
    """
    uv = Uv(environ, offline, progress, (indexes or read_indexes(environ)).for_pinned, no_build)
    with tempfile.TemporaryDirectory(prefix="reprolock-") as temporary:
        plan = _plan(pin, uv, Path(temporary))
        for folder in _list_places(store / FOLDER / plan.digest):
            found = _at(folder)
            if found is None or changes_of(found, hashing=hashing):
                try:
                    folder.parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise cannot_write(folder.parent, error) from error
                with guard(folder, f"building the environment {folder.name}", seconds=_BUILD_SECONDS):
                    found = _build_if_needed(folder, plan, uv, Path(temporary), remark, hashing=hashing)
            if found is not None:
                _mark_used(found)
                return found
    raise AssertionError("the places of an environment never end")


def find(pin: EnvironmentPin, store: Path, *, environ: Mapping[str, str] = os.environ) -> Environment | None:
    """The environment of a lock where it has been built on this machine: one that is as it was built, if there is one.

    MachineError where there is no such Python.
    """
    with tempfile.TemporaryDirectory(prefix="reprolock-") as temporary:
        base = store / FOLDER / _plan(pin, Uv(environ, offline=True), Path(temporary)).digest
    first = None
    for folder in _list_places(base):
        found = _at(folder)
        if found is None or not changes_of(found):
            return found or first
        first = first or found
    return None


@contextmanager
def in_use(environment: Environment) -> Iterator[None]:
    """Keep the environment from being rebuilt or removed while the body runs."""
    with _hold(environment.folder, exclusive=False):
        yield


def changes_of(environment: Environment, *, hashing: bool = False) -> tuple[str, ...]:
    """What is not as it was built, a sentence each (see `manifest.changes`); empty for nothing."""
    return changes(environment.folder, environment.packages, environment.manifest, hashing=hashing)


def describe_changes(environment: Environment, found: Sequence[str]) -> str:
    """That an environment was changed, by the first of what `changes_of` found."""
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"the environment {environment.digest} is not as it was built: {found[0]}{more}"


def check(environment: Environment) -> None:
    """PinError (exit 4) when anything was installed into the environment, removed from it or edited in it since it was built."""
    if found := changes_of(environment):
        raise PinError(describe_changes(environment, found), problems=tuple(found) if len(found) > 1 else (), hint=ANEW)


def prune(store: Path, *, days: float = 30, keep: Collection[str] = (), now: float | None = None) -> Pruned:
    """Remove environments that no run has used for `days`, that have changed, or whose builder was killed.

    `keep` holds digests that stay in any case; `now` is in seconds since 1970.
    """
    moment = time.time() if now is None else now
    gone, freed = [], 0
    for folder in sorted(path for path in (store / FOLDER).glob("*") if _ENVIRONMENT.match(path.name)):
        if folder.name[:16] in keep:
            continue
        with suppress(BlockingIOError), _hold_unused(folder):  # else a run uses it
            if _is_expired(folder, moment - days * 86400):
                freed += _own_bytes(folder)
                remove(folder)
                gone.append(folder)
    return Pruned(tuple(gone), freed)


def _list_places(base: Path) -> Iterator[Path]:
    """Where an environment may stand: under its digest, and beside it where that one was changed and is in use."""
    yield base
    for number in count(2):
        yield base.with_name(f"{base.name}-{number}")


def _build_if_needed(
    folder: Path, plan: Plan, uv: Uv, temporary: Path, remark: Callable[[str], None], *, hashing: bool
) -> Environment | None:
    """The environment in `folder`, built where need be; None where it was changed and a run still uses it."""
    found = _at(folder)
    if found is None:
        build_environment(plan, folder, uv, temporary, remark)
    elif changed := changes_of(found, hashing=hashing):
        try:
            with _hold(folder, exclusive=True):
                remark(f"{describe_changes(found, changed)}; it is built again")
                build_environment(plan, folder, uv, temporary, remark)
        except BlockingIOError:
            return None
    if (built := _at(folder)) is None:
        raise ReprolockError(f"the environment at {folder} is not there although it was built", hint="report this")
    return built


def _hold_unused(folder: Path) -> AbstractContextManager[None]:
    """Hold what no run uses. BlockingIOError where one does; what is still being built has a guard of its own."""
    return nullcontext() if folder.name.startswith(BUILDING) else _hold(folder, exclusive=True)


@contextmanager
def _hold(folder: Path, *, exclusive: bool) -> Iterator[None]:
    """A lock on an environment, freed by the operating system when its holder dies: shared by runs, exclusive while it is
    replaced (BlockingIOError when a run uses it). On a cache that is shared read-only, and on Windows, which lets
    no open file be replaced, there is none."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        yield
        return
    try:
        lock = open(own_folder(folder.parent) / f"{folder.name}.in-use", "ab")  # noqa: SIM115 - closed below
    except (OSError, MachineError):
        yield
        return
    with lock:
        fcntl.flock(lock, (fcntl.LOCK_EX | fcntl.LOCK_NB) if exclusive else fcntl.LOCK_SH)
        yield


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
    return bool(changes_of(environment, hashing=True))


def _own_bytes(folder: Path) -> int:
    """What removing the folder frees: files that uv's cache shares with it (hard links) stay."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            stat = os.lstat(os.path.join(parent, name))
            total += stat.st_size if stat.st_nlink == 1 else 0
    return total
