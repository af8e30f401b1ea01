"""`cache`: what this user's cache holds, and its trimming."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from reprolock.environment.caches import cache_folder
from reprolock.files.atomic_write import OWN_FOLDER
from reprolock.files.object_cache import ObjectCache, Usage
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_spec
from reprolock.model.periods import seconds
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.prune import Pruned, prune


class Part(NamedTuple):
    """One part of the cache: its folder below the cache's, how many files and bytes."""

    name: str
    files: int
    bytes: int


class CacheView(NamedTuple):
    """Where the cache stands, and its parts."""

    folder: Path
    parts: tuple[Part, ...]


def cache(machine: Machine | None = None) -> CacheView:
    """Data, jars and environments, each with its size."""
    machine = machine or Machine.here()
    folder = cache_folder(machine.environ)
    objects = object_cache(machine).usage()
    return CacheView(
        folder,
        (Part("objects", objects.objects, objects.bytes), *(_part(folder, name) for name in ("jars", "envs"))),
    )


def trim(*, max_bytes: int | None = None, older_than: timedelta | None = None, machine: Machine | None = None) -> Usage:
    """Remove data that was not used for so long, then the least recently used until `max_bytes` are left; what went."""
    return object_cache(machine or Machine.here()).trim(max_bytes=max_bytes, older_than=older_than)


def trim_project(root: Path, *, older_than: timedelta | None = None, machine: Machine | None = None) -> Pruned | None:
    """Remove what old runs and replays of a project left, except records: what is older, or [run] keep where that is None.

    None where the folder is no project.
    """
    machine = machine or Machine.here()
    if not (root / OWN_FOLDER).is_dir():
        return None
    if older_than is None:
        older_than = (
            timedelta(seconds=seconds(read_spec(root).run.keep)) if (root / SPEC).exists() else timedelta(days=7)
        )
    return prune(root.resolve(), older_than, machine.now())


def object_cache(machine: Machine) -> ObjectCache:
    """This user's cache of data, which all projects share."""
    return ObjectCache(cache_folder(machine.environ) / "objects")


def _part(folder: Path, name: str) -> Part:
    sizes = [path.lstat().st_size for path in (folder / name).rglob("*") if path.is_file() and not path.is_symlink()]
    return Part(name, len(sizes), sum(sizes))
