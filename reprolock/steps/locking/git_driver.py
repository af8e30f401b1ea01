"""reprolock as git's merge driver and text converter for repro.lock (gitattributes(5), "Defining a custom merge driver").

The driver asks no network: what both sides resolved differently it leaves as a conflict, which `reprolock lock` merges
once repro.toml itself is merged; git calls a driver before that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from reprolock.environment.code.git import blob_at, configure, is_revision, top_folder, unset_section
from reprolock.errors import LockError, UsageError
from reprolock.files.atomic_write import write_whole
from reprolock.files.conflict import Sides, join_sides
from reprolock.files.lock_file import NAME, lock_bytes, parse_lock
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.model.lock import Lock
from reprolock.model.words import counted, short, size
from reprolock.steps.locking.merge import merge_sides

ATTRIBUTES = ".gitattributes"
_LINE = f"{NAME} merge=reprolock diff=reprolock"
_SETTINGS = {
    "merge.reprolock.name": "merge repro.lock pin by pin",
    "merge.reprolock.driver": "reprolock git-driver merge %O %A %B",
    "diff.reprolock.textconv": "reprolock git-driver textconv",
}


class Installed(NamedTuple):
    """The file that names the driver, and whether it was changed: then it is to be committed."""

    attributes: Path
    changed: bool


def install(root: Path) -> Installed:
    """Set the driver up for this clone: three settings of git, and a line in .gitattributes. UsageError outside of git."""
    attributes = _attributes(root)
    for name, value in _SETTINGS.items():
        configure(root, name, value)
    lines = _read(attributes)
    if _LINE in lines:
        return Installed(attributes, False)
    _write(attributes, [*lines, _LINE])
    return Installed(attributes, True)


def uninstall(root: Path) -> Installed:
    """Take both away again; what else stands in .gitattributes stays."""
    attributes = _attributes(root)
    for section in ("merge.reprolock", "diff.reprolock"):
        unset_section(root, section)
    lines = _read(attributes)
    if _LINE not in lines:
        return Installed(attributes, False)
    _write(attributes, [line for line in lines if line != _LINE])
    return Installed(attributes, True)


def merge_files(base: Path, ours: Path, theirs: Path) -> None:
    """Merge `theirs` into `ours`, as git calls a driver. LockError where a person, or a resolver, has to decide.

    Then `ours` holds both versions between conflict markers, whole, and nothing of either is lost.
    """
    sides = Sides(*(_bytes(file) for file in (ours, theirs, base)))
    try:
        merged = merge_sides(sides._replace(base=sides.base or None))
        reasons = [f'dataset "{pin.name}" at different commits' for pin, _ in merged.conflicts]
        reasons += [what for what, both in (("packages", merged.packages), ("jars", merged.jars)) if both]
        if not reasons and _consistent(merged.lock):
            write_whole(ours, lock_bytes(merged.lock))
            return
    except LockError as error:
        reasons = [error.message]
    write_whole(ours, join_sides(sides))
    raise LockError(
        f"{NAME}: both sides changed {', '.join(reasons) or 'what belongs together, the jars and their Spark'}",
        hint="merge repro.toml, run `reprolock lock`, and `git add` both",
    )


def text_lines(data: bytes) -> Iterator[str]:
    """A lock as lines that read well in a diff: a pin a line, no hashes of files."""
    lock = parse_lock(data)
    for pin in lock.dataset:
        extent = f"{counted(pin.objects, 'object')}, {size(pin.bytes)}"
        yield f"dataset {pin.name}  {pin.uri}  {short(pin.commit)}  {pin.time:%Y-%m-%d %H:%M}Z  {extent}"
    if lock.environment is not None:
        java = f", Java {lock.environment.java}" if lock.environment.java else ""
        yield f"python {lock.environment.python}{java}"
        yield from (f"requirement {line}" for line in lock.environment.requirements)
        for package in lock.environment.package:
            yield f"package {package.name} {package.version}" + (f"  {package.marker}" if package.marker else "")
    if lock.jars is not None:
        yield f"spark {lock.jars.spark}"
        yield from (f"jar {jar.coordinate}" for jar in lock.jars.jar)


def moved_lines(root: Path, before: str, after: str) -> list[str]:
    """What differs between the locks of two revisions, as lines of `text_lines` after "-" and "+"; none where one has no lock."""
    blobs = [
        blob_at(root, revision, f"./{NAME}") if is_revision(root, revision) else None for revision in (before, after)
    ]
    if blobs[0] is None or blobs[1] is None or blobs[0] == blobs[1]:
        return []
    try:
        old, new = (list(text_lines(blob)) for blob in blobs if blob is not None)
    except LockError:
        return []  # a lock of a newer version, or with a conflict in it: nothing that a hook should end with
    gone, come = ([line for line in one if line not in other] for one, other in ((old, new), (new, old)))
    return [*(f"- {line}" for line in gone), *(f"+ {line}" for line in come)]


def _consistent(lock: Lock) -> bool:
    """Whether the jars are for the pyspark that is pinned, where each came from another side."""
    pinned = lock.environment.version_of("pyspark") if lock.environment else None
    return lock.jars is None or pinned in (None, lock.jars.spark)


def _attributes(root: Path) -> Path:
    top = top_folder(root)
    if top is None:
        raise UsageError(f"{root} is not in a git repository", hint="run `git init` first, or name a clone with -C")
    return root.resolve() / ATTRIBUTES


def _read(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "surrogateescape").splitlines() if file.exists() else []
    except OSError as error:
        raise cannot_read(file, error) from error


def _write(file: Path, lines: list[str]) -> None:
    if not lines:
        file.unlink(missing_ok=True)
        return
    try:
        write_whole(file, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise cannot_write(file, error) from error


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise cannot_read(file, error) from error
