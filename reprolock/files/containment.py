"""What reprolock writes stays in the project: a link that leads out of it is refused by its name, never followed.

In: a project's folder and paths in it. Out: silence, or a UsageError before anything is written. A repository may hold
links to anywhere, and so may a folder that another user handed over, of which `read_regular` reads files alone.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from reprolock.errors import UsageError


def check_inside(project: Path, *paths: str | Path) -> None:
    """UsageError for the first part of a path that is a link leading out of `project`, or to where git keeps its own."""
    root = os.path.realpath(project)
    for path in paths:
        here = project
        for part in Path(path).parts:
            here = here / part
            if here.is_symlink():
                _check_link(here, project, root)


def read_regular(path: Path) -> bytes:
    """The bytes of a file in a foreign folder. OSError also for a link, which may lead anywhere, and for a pipe or a device,
    which may never end."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(errno.EINVAL, "It is a link, a pipe or a device, and no file", str(path))
    return path.read_bytes()


def read_linked(path: Path) -> bytes:
    """The bytes of a file, through links too, of a project that others may have made. OSError for a pipe or a device, which may
    never end."""
    if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # of a folder the system says what it is
        raise OSError(errno.EINVAL, "it is a pipe or a device, and no file", str(path))
    return path.read_bytes()


def check_folder(project: Path, folder: str | Path) -> None:
    """`check_inside`, for a folder with what stands directly in it and in its own folders, where there is one.

    Deeper down reprolock makes names that cannot be foreseen, and replaces a link instead of following it.
    """
    check_inside(project, folder)
    root = os.path.realpath(project)
    for entry in _entries(project / folder):
        if entry.is_symlink():
            _check_link(Path(entry.path), project, root)
        elif entry.is_dir(follow_symlinks=False):
            for inner in _entries(Path(entry.path)):
                if inner.is_symlink():
                    _check_link(Path(inner.path), project, root)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []  # not there, or what is written there says what is wrong


def _check_link(link: Path, project: Path, root: str) -> None:
    target = os.path.realpath(link)
    inside = os.path.relpath(target, root)
    name = link.relative_to(project).as_posix()
    if inside == ".." or inside.startswith(f"..{os.sep}") or os.path.isabs(inside):
        raise UsageError(
            f'"{name}" is a link that leads out of the project, to {target}; nothing is written through it',
            hint="remove the link, and put a folder or file of the project in its place",
        )
    if inside.split(os.sep)[0].casefold() == ".git":
        raise UsageError(
            f'"{name}" is a link that leads into {inside}, which is git\'s own; nothing is written through it',
            hint="remove the link",
        )
