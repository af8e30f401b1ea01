"""Read one file of the code as it is recorded, and write it again. A file that no other machine could rebuild is refused."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import UsageError
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.files.secrets import Scanner
from reprolock.model.uri import check_path

_line = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # one for all: there may be 100,000 files


class CodeFile(NamedTuple):
    """One file. `mode` as git writes it: 100644, 100755 (executable) or 120000 (a link, whose bytes are its target)."""

    path: str
    mode: str
    size: int
    sha256: str


def digest_of(files: Iterable[CodeFile]) -> str:
    """SHA-256 over one JSON line a file, in the order given: path, mode, SHA-256 of its bytes."""
    state = hashlib.sha256()
    for file in files:
        state.update(_line([file.path, file.mode, file.sha256]).encode() + b"\n")
    return state.hexdigest()


def read_file(root: Path, path: str, modes: Mapping[str, str]) -> tuple[str, bytes]:
    """A file's mode and bytes; UsageError for a name or link that no other machine could rebuild.

    `modes` has git's mode where git ignores that of the disk; a link may stand there as a file that holds its target.
    """
    try:
        path.encode()
        check_path(path)
    except ValueError as error:
        reason = "is not UTF-8" if isinstance(error, UnicodeError) else str(error).removeprefix(f'"{path}" ')
        shown = path.encode("utf-8", "backslashreplace").decode()
        raise UsageError(f'the name of the code file "{shown}" {reason}', hint="rename it, or name run.code") from error
    place = f"{root}/{path}"
    try:
        mode = os.lstat(place).st_mode
        if stat.S_ISLNK(mode):
            return "120000", os.fsencode(_target_inside(root, path, os.readlink(place)))
        with open(place, "rb", buffering=0) as file:
            data = file.readall()
    except OSError as error:
        raise cannot_read(root / path, error) from error
    if modes.get(path) == "120000":
        _target_inside(root, path, os.fsdecode(data))
    return modes.get(path, "100755" if mode & 0o100 else "100644"), data


def _target_inside(root: Path, path: str, target: str) -> str:
    """The target of a link, which must not lead out of the project."""
    if not stays_inside(path, target, lambda place: (root / place).is_symlink()):
        hint = "replace the link with the file, let git ignore it, or name what the command needs in run.code"
        raise UsageError(f'the code file "{path}" is a link to "{target}", which is outside the project', hint=hint)
    return target


def stays_inside(path: str, target: str, is_link: Callable[[str], bool]) -> bool:
    """Whether a link at `path`, relative to the root, leads to a path below the root.

    `..` counts from where a link leads to and not from where it stands, so none may follow one.
    """
    if target.startswith("/") or os.path.isabs(target):
        return False
    here, through_link = path.split("/")[:-1], False
    for part in target.split("/"):
        if part == "..":
            if not here or through_link:
                return False
            here.pop()
        elif part not in ("", "."):
            here.append(part)
            through_link = through_link or is_link("/".join(here))
    return True


def check_file(scanner: Scanner, data: bytes, path: str) -> None:
    """UsageError for a file of code that contains a secret."""
    try:
        scanner.check(data, path)
    except UsageError as error:
        hint = "remove it, and read it from a variable; or name what the command needs in run.code, without this file"
        raise UsageError(error.message, hint=hint) from error


def write_tree(folder: Path, files: Iterable[tuple[CodeFile, bytes]]) -> None:
    """Make files below a folder. Links come last, so that no file is ever written through one."""
    links: list[tuple[Path, bytes]] = []
    target = folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in files:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.mode == "120000":
                links.append((target, data))
                continue
            mode = 0o755 if file.mode == "100755" else 0o644
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
                stream.write(data)
        for target, data in links:
            target.symlink_to(os.fsdecode(data))
    except OSError as error:
        raise cannot_write(target, error) from error
