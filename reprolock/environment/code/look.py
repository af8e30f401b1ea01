"""Digest a project's code quickly, for questions such as `status`: nothing is compared with a commit, and a file is read
again only where it may have changed since it was last read.

A file is taken to hold what it held when its size, its inode and both of its times are as they were, and when these times were past
at the moment it was read: whatever wrote to it since then, even one that set the time of modification back, has left a newer time
of change. Where the system keeps none (Windows) every file is read. A run reads every byte anyway.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from reprolock.environment.code import git
from reprolock.environment.code.choose import chosen_paths, refuse_large
from reprolock.environment.code.code_file import CodeFile, check_file, digest_of, read_file
from reprolock.errors import ReprolockError
from reprolock.files.atomic_write import write_whole
from reprolock.files.containment import read_linked
from reprolock.files.secrets import Scanner

_MARGIN = 3_000_000_000
"""Nanoseconds: no file system's clock is coarser."""
_VERSION = 1


class Look(NamedTuple):
    """Path → MODE:SHA-256, and the digest over it, as a snapshot of the same files has them."""

    tree: Mapping[str, str]
    digest: str


class _Known(NamedTuple):
    """What was read earlier: path → its stamp and SHA-256, of files that were old enough then; and the digest of all."""

    files: Mapping[str, Any]
    digest: str | None


def look(root: Path, code: tuple[str, ...] | None, exclude: tuple[str, ...], scanner: Scanner, memory: Path) -> Look:
    """The code below `root`, named as for `snapshot`, and UsageError as there. `memory` is the file that says what was read earlier."""
    with_git = git.is_work_tree(root)
    paths = chosen_paths(root, code, exclude, with_git=with_git)
    modes = git.ignored_modes(root, paths) if with_git else {}
    known = _remembered(memory)
    now = _clock(memory)
    status = {path: os.lstat(f"{root}/{path}") for path in paths}
    refuse_large({path: found.st_size for path, found in status.items()})
    files: list[CodeFile] = []
    stamps: dict[str, list[Any]] = {}
    for path, found in status.items():
        stamp = [found.st_mode, found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]
        entry = known.files.get(path)
        if entry is not None and entry[:-1] == stamp and modes.get(path) != "120000":
            mode = modes.get(path, "100755" if found.st_mode & 0o100 else "100644")
            files.append(CodeFile(path, mode, found.st_size, entry[-1]))
            stamps[path] = entry
            continue
        mode, data = read_file(root, path, modes)
        check_file(scanner, data, path)
        file = CodeFile(path, mode, len(data), hashlib.sha256(data).hexdigest())
        files.append(file)
        if now is not None and stat.S_ISREG(found.st_mode) and max(stamp[3:]) < now - _MARGIN:
            stamps[path] = [*stamp, file.sha256]
    same = stamps == known.files
    whole = len(stamps) == len(files) and not modes
    digest = known.digest if known.digest and same and whole else digest_of(files)
    if not same:
        _remember(memory, stamps, digest if whole else None)
    return Look({file.path: f"{file.mode}:{file.sha256}" for file in files}, digest)


def _clock(memory: Path) -> int | None:
    """The file system's own time, which need not be this machine's; None where it keeps no time of change, or takes no file."""
    if os.name == "nt":
        return None
    probe = memory.with_name(f"{memory.name}.{os.getpid()}.tmp")
    try:
        probe.touch()
        return probe.stat().st_mtime_ns
    except OSError:
        return None
    finally:
        with suppress(OSError):
            probe.unlink()


def _remembered(memory: Path) -> _Known:
    if os.name != "nt":
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            document = json.loads(read_linked(memory))
            files, digest = document["files"], document["digest"]
            if document["version"] == _VERSION and isinstance(files, dict):
                return _Known(files, digest)
    return _Known({}, None)


def _remember(memory: Path, files: Mapping[str, list[Any]], digest: str | None) -> None:
    with suppress(ReprolockError):  # the next look reads everything again
        write_whole(memory, json.dumps({"version": _VERSION, "files": files, "digest": digest}).encode())
