"""List the files of a folder that is to be uploaded, or report everything in it that a lake cannot hold."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from reprolock.errors import ReprolockError, UsageError
from reprolock.files.atomic_write import OWN_FOLDER
from reprolock.files.os_errors import cannot_read
from reprolock.lake.names import check_object
from reprolock.model.uri import LakeURI


def files_of(folder: Path, uri: LakeURI) -> list[tuple[str, Path]]:
    """Every file under a folder with its name below it, "/" between segments, sorted by UTF-8 bytes.

    Links are followed as long as they stay within the folder. UsageError for an empty folder, and one
    for all of: a project's `.reprolock`, which may hold a stack's credentials; links that leave the folder, lead nowhere or back to a folder around them; pipes,
    sockets and devices; names that `uri` cannot take.
    """
    problems: list[str] = []
    root = Path(os.path.realpath(folder))
    try:
        files = list(_walk(folder, "", root, (root,), problems))
    except OSError as error:
        raise cannot_read(folder, error) from error
    for name, _ in files:
        try:
            check_object(uri._replace(path=name))
        except ReprolockError as error:
            problems.append(error.message)
    if problems:
        raise UsageError(
            f"{folder} holds what a lake cannot: {len(problems)} {'thing' if len(problems) == 1 else 'things'}",
            hint="rename or remove them, then put the folder again; or name a folder that holds data alone",
            problems=tuple(problems),
        )
    if not files:
        raise UsageError(f"{folder} has no files in it", hint="a lake holds files, not folders; name one that has some")
    return sorted(files, key=lambda item: item[0].encode())


def _walk(
    folder: Path, below: str, root: Path, around: tuple[Path, ...], problems: list[str]
) -> Iterator[tuple[str, Path]]:
    """`around` are the real paths of the folders from the root to this one: a link to one of them has no end."""
    with os.scandir(folder) as found:
        for item in found:
            path, name = Path(item.path), below + item.name
            real = Path(os.path.realpath(path)) if item.is_symlink() else around[-1] / item.name
            if item.name == OWN_FOLDER:
                problems.append(f"{_display(path)} is reprolock's own, and may hold credentials")
            elif item.is_symlink() and (reason := _bad_link(real, root, around)):
                problems.append(f"{_display(path)} is a symbolic link that {reason}")
            elif item.is_dir():
                yield from _walk(path, f"{name}/", root, (*around, real), problems)
            elif item.is_file():
                yield name, path
            else:
                problems.append(f"{_display(path)} is {_kind(item.stat().st_mode)}, not a file")


def _bad_link(target: Path, root: Path, around: tuple[Path, ...]) -> str | None:
    if not target.exists():
        return "leads nowhere"
    if not target.is_relative_to(root):
        return "leaves the folder"
    return "leads to a folder that contains it" if target in around else None


def _kind(mode: int) -> str:
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


def _display(path: Path) -> str:
    """A name that is not UTF-8 still has to be shown."""
    return os.fsencode(path).decode(errors="backslashreplace")
