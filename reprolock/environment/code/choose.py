"""Choose which files of a project are its code: what git has, what `run.code` names, or all that is not plainly something else."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from reprolock.environment.code import git
from reprolock.errors import UsageError
from reprolock.files.atomic_write import OWN_FOLDER, TEMPORARY
from reprolock.model.uri import is_under

LARGEST = 100_000_000
"""Bytes. Code is logged with every run; what is larger is data."""
PROJECT_FILES = ("repro.toml", "repro.lock")
"""Never code, and yet they belong into git."""
_CACHES = ("__pycache__", "node_modules", "spark-warehouse", "metastore_db")
_ASIDE = re.compile(rf"(?:^|/)(?:(?:{re.escape(OWN_FOLDER)}|\.git|__pycache__)(?:/|\Z)|\.env)")
"""A segment of a path that is never code."""


def chosen_paths(
    root: Path, code: tuple[str, ...] | None, exclude: tuple[str, ...], *, with_git: bool | None = None
) -> list[str]:
    """Which files are the code, without a look into them, sorted by UTF-8.

    `code` names files and folders; None is what git tracks and what is new and not ignored. `exclude` are paths that are
    never code: lakes, outputs, MLflow's files. `with_git`: what `git.is_work_tree` says, where it was asked already.
    UsageError for a name that is not there or is never code.
    """
    with_git = git.is_work_tree(root) if with_git is None else with_git
    found = {
        path
        for path in _choose_files(root, code, exclude, with_git)
        if not never(path, exclude) and os.path.lexists(f"{root}/{path}")  # not by pathlib: there may be 100,000 files
    }
    return sorted(found, key=lambda path: path.encode("utf-8", "surrogateescape"))


def _choose_files(root: Path, code: tuple[str, ...] | None, exclude: tuple[str, ...], with_git: bool) -> Iterator[str]:
    if code is None:
        yield from git.list_files(root) if with_git else _walk(root, "")
        return
    for name in code:
        name = name.removeprefix("./").rstrip("/")
        path = root / name
        if not os.path.lexists(path):
            raise UsageError(f'run.code names "{name}", which is not there', hint="correct it, or make the file")
        if never(name, exclude):
            hint = "remove it: reprolock's files, .env*, lakes, outputs and MLflow's files are left out of every run"
            raise UsageError(f'run.code names "{name}", which is never part of the code', hint=hint)
        if path.is_symlink() or not path.is_dir():
            yield name  # named outright: whether git ignores it does not matter
            continue
        found = list(git.list_files(root, (name,)) if with_git else _walk(root, name))
        if with_git and not found and any(path.iterdir()):
            hint = "name its files one by one, or remove it from .gitignore"
            raise UsageError(f'run.code names "{name}", and git ignores all of its files', hint=hint)
        yield from found


def _walk(root: Path, start: str) -> Iterator[str]:
    """Files below a folder where there is no git to ask."""
    for folder, folders, names in os.walk(root / start):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links and not _is_aside(here / name)]
        for name in (*names, *links):
            if stat.S_IFMT((here / name).lstat().st_mode) in (stat.S_IFREG, stat.S_IFLNK):
                yield (here / name).relative_to(root).as_posix()


def _is_aside(folder: Path) -> bool:
    """Hidden, a virtual environment, or a cache that says so (https://bford.info/cachedir/)."""
    return (
        folder.name.startswith(".")
        or folder.name in _CACHES
        or (folder / "pyvenv.cfg").exists()
        or (folder / "CACHEDIR.TAG").exists()
    )


def never(path: str, exclude: tuple[str, ...]) -> bool:
    """What is not code wherever it stands: reprolock's own, git's own, secrets, bytecode, and what the caller excludes."""
    return (
        path in PROJECT_FILES
        or _ASIDE.search(path) is not None
        or path.endswith((TEMPORARY, ".pyc"))
        or f"{path}/".startswith(_folders(exclude))
    )


@cache
def _folders(exclude: tuple[str, ...]) -> tuple[str, ...]:
    """How the name of each begins, and of what is below it, with a slash at the end."""
    return tuple(f"{place.rstrip('/')}/" for place in exclude)


def in_scope(path: str, code: tuple[str, ...] | None) -> bool:
    """Whether `run.code` names a path, a folder around it, or something in it (a submodule that moved on)."""
    names = [name.removeprefix("./").rstrip("/") for name in code or ()]
    return code is None or any(is_under(path, name) or is_under(name, path) for name in names)


def refuse_large(sizes: Mapping[str, int]) -> None:
    """UsageError for more code than a run is logged with; `sizes` has every file's."""
    total = sum(sizes.values())
    if total > LARGEST:
        largest = sorted(sizes.items(), key=lambda file: (file[1], file[0]))[:-4:-1]
        named = ", ".join(f"{path} ({size / 1e6:.0f} MB)" for path, size in largest)
        raise UsageError(
            f"the code is {total / 1e6:.0f} MB, more than {LARGEST // 10**6} MB: {named}",
            hint="name what the command needs in run.code, or have git ignore the rest; data belongs in a lake",
        )
