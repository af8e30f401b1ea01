"""Files that appear whole or not at all, and the guard against a second writer.

In: a path and bytes. Out: the file with these bytes, or the file as it was and a `MachineError`. A
process killed in the middle leaves the old file and perhaps a temporary one, which a later write of
the same file clears away.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reprolock.errors import MachineError
from reprolock.files.containment import check_folder
from reprolock.files.os_errors import cannot_write

OWN_FOLDER = ".reprolock"
"""The folder in a project that is reprolock's own."""
TEMPORARY = ".reprolock-tmp"
"""How the name of a file ends that is not whole yet. Such a file is never code."""

_ABANDONED_SECONDS = 3600.0
_MOMENT_SECONDS = 0.5
"""Seconds that a second writer waits before it says so."""


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file by way of a temporary one beside it: fsync, rename, fsync of the folder.

    `mode` is narrowed by the umask, as for any new file. A symbolic link stays one: its target is replaced; but in
    reprolock's own folder it is the link that is replaced. A device or a pipe is written into. MachineError names the file when the disk is full, the folder not writable and so on;
    then the file is as it was and nothing else is left.
    """
    target = path if OWN_FOLDER in path.absolute().parts[:-1] else Path(os.path.realpath(path))
    if _is_device(target):
        _write_into(path, data)
        return
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _clear_abandoned(target, temporary)
        os.replace(temporary, target)
        sync_folder(target.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        # Gone already when the rename succeeded; an interrupt leaves nothing behind either.
        with suppress(OSError):
            temporary.unlink()


def _is_device(path: Path) -> bool:
    """Whether something is there that is neither a file nor a folder, such as /dev/null or a pipe: it is never replaced."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _write_into(path: Path, data: bytes) -> None:
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise cannot_write(path, error) from error


def write_new(path: Path, data: bytes, mode: int = 0o644) -> None:
    """As `write_whole`, but never over a file: MachineError where something is at the path already."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # fails where the name is taken, also by a second writer at the same moment
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Make renames in a folder outlast a power failure. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear_abandoned(target: Path, temporary: Path) -> None:
    """Remove what a killed writer of the same file left an hour ago or more, by the file system's clock."""
    now = temporary.stat().st_mtime
    for other in target.parent.iterdir():
        if other.name.startswith(f".{target.name}.") and other.name.endswith(TEMPORARY):
            with suppress(OSError):
                if now - other.stat().st_mtime > _ABANDONED_SECONDS:
                    other.unlink()


def own_folder(project: Path) -> Path:
    """`.reprolock/` in a project, made where it is not there yet, with a .gitignore that hides all of it.

    UsageError where it, or something in it, is a link that leads out of the project.
    """
    folder = project / OWN_FOLDER
    check_folder(project, OWN_FOLDER)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        write_whole(ignore, b"*\n")
    return folder


@contextmanager
def guard(path: Path, what: str, *, seconds: float = 10.0, step: Callable[[str], None] | None = None) -> Iterator[bool]:
    """Keep other reprolocks on this machine away from a file while the body runs.

    `what` completes "another reprolock is …", such as "writing repro.lock". The guard is a file in `.reprolock/` beside
    `path`, or beside `path` itself where that is in there already; it is freed by the operating system when its holder
    dies. `step` is told what is waited for, where that takes longer than a moment; the answer is whether it was.
    MachineError when another one still holds it after `seconds`.
    """
    from filelock import FileLock, Timeout  # here: a twentieth of what `lock --check` loads, which holds no guard

    folder = path.parent if path.parent.name == OWN_FOLDER else own_folder(path.parent)
    held = folder / f"{path.name}.guard"
    lock = FileLock(held)
    try:
        waited = False
        try:
            lock.acquire(timeout=min(_MOMENT_SECONDS, seconds))
        except Timeout:
            waited = True
            if step is not None:
                step(f"Waiting for another reprolock, which is {what}")
            lock.acquire(timeout=max(seconds - _MOMENT_SECONDS, 0))
    except Timeout as error:
        raise MachineError(f"another reprolock is {what}", hint="wait until it has finished and try again") from error
    except OSError as error:
        raise cannot_write(held, error) from error
    try:
        yield waited
    finally:
        lock.release()
