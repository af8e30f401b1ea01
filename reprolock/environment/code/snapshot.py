"""Take a snapshot of a project's code: which files belong to it, what they hold, and a copy of exactly these.

In: the project's folder and `[run] code`. Out: a `Snapshot`. Taking one reads each file once: it is
hashed, searched for secrets and compared with the commit at the same time. `place` refuses a
file that is no longer what the snapshot says, so what is recorded is what runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

from reprolock.environment.code import git
from reprolock.errors import MachineError, UsageError
from reprolock.files.atomic_write import OWN_FOLDER, TEMPORARY
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.files.secrets import Scanner
from reprolock.model.uri import check_path, is_under
from reprolock.model.workspace import CodeState

LARGEST = 100_000_000
"""Bytes. Code is logged with every run; what is larger is data."""

BY_GIT = "what git tracks, and what is new and not ignored"
BY_NAME = "what run.code names"
BY_WALK = "all but hidden folders, virtual environments and caches, for there is no git here"

_NO_KEYS = Scanner({})
_line = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # one for all: there may be 100,000 files
_PROJECT_FILES = ("repro.toml", "repro.lock")
"""Never code, and yet they belong into git."""
_CACHES = ("__pycache__", "node_modules", "spark-warehouse", "metastore_db")


class CodeFile(NamedTuple):
    """One file. `mode` as git writes it: 100644, 100755 (executable) or 120000 (a link, whose bytes are its target)."""

    path: str
    mode: str
    size: int
    sha256: str


class Snapshot(NamedTuple):
    """The code at one moment. `files` are sorted by UTF-8; `rule` says in words how they were chosen.

    `modes` has git's mode of each file whose mode on disk git ignores.
    """

    state: CodeState
    files: tuple[CodeFile, ...]
    rule: str
    modes: Mapping[str, str] = {}

    @property
    def tree(self) -> dict[str, str]:
        """Path → MODE:SHA-256."""
        return {file.path: f"{file.mode}:{file.sha256}" for file in self.files}


def snapshot(
    root: Path,
    code: tuple[str, ...] | None,
    exclude: tuple[str, ...] = (),
    scanner: Scanner = _NO_KEYS,
    *,
    filters: bool = False,
) -> Snapshot:
    """Look at the code below `root`.

    `code` names files and folders; None is what git tracks and what is new and not ignored. `exclude`
    are paths that are never code: lakes, outputs, MLflow's files. `filters`: git's clean filters may be run to
    see whether a file has changed. UsageError for a name that is not there, a link that leaves the
    project or that leads to no code, more than 100 MB, or a file that contains a secret.
    """
    with_git = git.is_work_tree(root)
    paths = _paths(root, code, exclude, with_git)
    refuse_large({path: os.lstat(f"{root}/{path}").st_size for path in paths})
    modes = git.ignored_modes(root, paths) if with_git else {}
    committed = git.list_committed(root) if with_git else None
    files, unlike = [], {}
    with ThreadPoolExecutor(1, thread_name_prefix="git-status") as pool:
        asked = pool.submit(git.changes, root, filters=filters) if committed is not None else None
        for path in paths:
            mode, data = read_file(root, path, modes)
            check_file(scanner, data, path)
            files.append(CodeFile(path, mode, len(data), hashlib.sha256(data).hexdigest()))
            if committed is not None and path in committed and not committed[path].holds(data):
                unlike[path] = committed[path]
        _refuse_links_to_no_code(root, code, files, exclude)
        found = git.facts(root) if with_git else git.Facts(None, None, None)
        changes = asked.result() if asked else {}
    differs, aside = _compare(root, code, exclude, paths, committed or {}, unlike, changes, filters=filters)
    state = CodeState(
        digest=digest_of(files),
        files=tuple(paths),
        bytes=sum(file.size for file in files),
        commit=found.commit,
        remote=found.remote,
        branch=found.branch,
        dirty=with_git and (committed is None or bool(differs)),
        differs=differs,
        aside=aside,
    )
    return Snapshot(state, tuple(files), BY_NAME if code is not None else BY_GIT if with_git else BY_WALK, modes)


def chosen_paths(
    root: Path, code: tuple[str, ...] | None, exclude: tuple[str, ...], *, with_git: bool | None = None
) -> list[str]:
    """Which files are the code, without a look into them; errors as of `snapshot` for names alone. `with_git`: what
    `git.is_work_tree` says, where it was asked already."""
    return _paths(root, code, exclude, git.is_work_tree(root) if with_git is None else with_git)


def _paths(root: Path, code: tuple[str, ...] | None, exclude: tuple[str, ...], with_git: bool) -> list[str]:
    found = {
        path
        for path in _choose_files(root, code, exclude, with_git)
        if not _never(path, exclude) and os.path.lexists(f"{root}/{path}")  # not by pathlib: there may be 100,000 files
    }
    return sorted(found, key=lambda path: path.encode("utf-8", "surrogateescape"))


def _compare(
    root: Path,
    code: tuple[str, ...] | None,
    exclude: tuple[str, ...],
    paths: Iterable[str],
    committed: Mapping[str, git.Entry],
    unlike: Mapping[str, git.Entry],
    changes: Mapping[str, str],
    *,
    filters: bool,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What differs from the commit, and what git lists as changed and is no code; both as "PATH STATE".

    `changes` is what git status says, which takes another size for a change before it looks at line ends; of `unlike` files the bytes are not the committed ones, for which
    there may be a good reason (line ends, filters) that `git status` knows, or a bad one that it does not see.
    """
    differs, aside = dict[str, str](), dict[str, str]()
    for path, why in changes.items():
        if _never(path, exclude) or not _in_scope(path, code):
            if why != "untracked" or path in _PROJECT_FILES:
                aside[path] = why
        elif why == "modified" and path in committed and path not in unlike:
            aside[path] = "modified, yet git would store what the commit has"
        else:
            differs[path] = why
    if committed:
        for path in paths:
            if path not in committed and not any(is_under(path, changed) for changed in differs):
                differs[path] = "not in the commit, for git ignores it"
    for path in _unseen(root, {path: entry for path, entry in unlike.items() if path not in changes}, filters):
        differs[path] = "not as the commit has it, which git status does not see"
    return tuple(f"{path} {why}" for path, why in sorted(differs.items())), tuple(
        f"{path} {why}" for path, why in sorted(aside.items())
    )


def _unseen(root: Path, unlike: Mapping[str, git.Entry], filters: bool) -> Iterator[str]:
    """Those whose committed form is another one too: git was told not to look, or size and time are as they were."""
    for folder in {entry.submodule for entry in unlike.values()}:
        inner = {path[len(folder) :].lstrip("/"): path for path, entry in unlike.items() if entry.submodule == folder}
        ids = git.stored_ids(root / folder, inner, filters=filters)
        yield from (path for name, path in inner.items() if ids.get(name) != unlike[path].blob)


def digest_of(files: Iterable[CodeFile]) -> str:
    """SHA-256 over one JSON line a file, in the order given: path, mode, SHA-256 of its bytes."""
    state = hashlib.sha256()
    for file in files:
        state.update(_line([file.path, file.mode, file.sha256]).encode() + b"\n")
    return state.hexdigest()


def contents(taken: Snapshot, root: Path) -> Iterator[tuple[CodeFile, bytes]]:
    """Each file with its bytes, read again. MachineError when it is not what the snapshot saw."""
    for file in taken.files:
        mode, data = read_file(root, file.path, taken.modes)
        if (mode, hashlib.sha256(data).hexdigest()) != (file.mode, file.sha256):
            raise MachineError(f"{file.path} was changed while the run was being prepared", hint="start the run again")
        yield file, data


def check_keys(taken: Snapshot, root: Path, scanner: Scanner) -> None:
    """UsageError for a file that contains a secret which was not known yet when the snapshot was taken."""
    for file, data in contents(taken, root):
        check_file(scanner, data, file.path)


def place(taken: Snapshot, root: Path, work: Path) -> None:
    """Copy exactly these files into a folder, which is made; modes and links are kept."""
    write_tree(work, contents(taken, root))


def with_file(taken: Snapshot, folder: Path, path: str, data: bytes) -> Snapshot:
    """The code with one file more, which is written to `folder`, where the code was placed."""
    file = CodeFile(path, "100644", len(data), hashlib.sha256(data).hexdigest())
    write_tree(folder, [(file, data)])
    files = tuple(sorted((*taken.files, file), key=lambda each: each.path.encode("utf-8", "surrogateescape")))
    state = taken.state._replace(
        digest=digest_of(files), files=tuple(each.path for each in files), bytes=taken.state.bytes + len(data)
    )
    return taken._replace(state=state, files=files)


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


def _choose_files(root: Path, code: tuple[str, ...] | None, exclude: tuple[str, ...], with_git: bool) -> Iterator[str]:
    if code is None:
        yield from git.list_files(root) if with_git else _walk(root, "")
        return
    for name in code:
        name = name.removeprefix("./").rstrip("/")
        path = root / name
        if not os.path.lexists(path):
            raise UsageError(f'run.code names "{name}", which is not there', hint="correct it, or make the file")
        if _never(name, exclude):
            hint = "take it out: reprolock's files, .env*, lakes, outputs and MLflow's files are left out of every run"
            raise UsageError(f'run.code names "{name}", which is never part of the code', hint=hint)
        if path.is_symlink() or not path.is_dir():
            yield name  # named outright: whether git ignores it does not matter
            continue
        found = list(git.list_files(root, (name,)) if with_git else _walk(root, name))
        if with_git and not found and any(path.iterdir()):
            hint = "name its files one by one, or take it out of .gitignore"
            raise UsageError(f'run.code names "{name}", of which git ignores every file', hint=hint)
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


_ASIDE = re.compile(rf"(?:^|/)(?:(?:{re.escape(OWN_FOLDER)}|\.git|__pycache__)(?:/|\Z)|\.env)")
"""A segment of a path that is never code."""


def _never(path: str, exclude: tuple[str, ...]) -> bool:
    """What is not code wherever it stands: reprolock's own, git's own, secrets, bytecode, and what the caller excludes."""
    return (
        path in _PROJECT_FILES
        or _ASIDE.search(path) is not None
        or path.endswith((TEMPORARY, ".pyc"))
        or f"{path}/".startswith(_folders(exclude))
    )


@cache
def _folders(exclude: tuple[str, ...]) -> tuple[str, ...]:
    """How the name of each begins, and of what is below it, with a slash at the end."""
    return tuple(f"{place.rstrip('/')}/" for place in exclude)


def _in_scope(path: str, code: tuple[str, ...] | None) -> bool:
    """Whether `run.code` names a path, a folder around it, or something in it (a submodule that moved on)."""
    names = [name.removeprefix("./").rstrip("/") for name in code or ()]
    return code is None or any(is_under(path, name) or is_under(name, path) for name in names)


def read_file(root: Path, path: str, modes: Mapping[str, str]) -> tuple[str, bytes]:
    """A file's mode and bytes; UsageError for a name or link that no other machine could rebuild.

    `modes` has git's mode where git ignores that of the disk; a link may stand there as a file that holds its target.
    """
    try:
        path.encode()
        check_path(path)
    except ValueError as error:
        reason = "is not UTF-8" if isinstance(error, UnicodeError) else "holds a character that no path may have"
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
        hint = "put the file itself there, have git ignore it, or name what the command needs in run.code"
        raise UsageError(f'the code file "{path}" is a link to "{target}", which is outside the project', hint=hint)
    return target


def _refuse_links_to_no_code(
    root: Path, code: tuple[str, ...] | None, files: Iterable[CodeFile], exclude: tuple[str, ...]
) -> None:
    """UsageError for a link among what `run.code` names whose target the run's folder would not have."""
    paths = {file.path for file in files}
    for path in [file.path for file in files if file.mode == "120000"] if code is not None else ():
        target = os.path.relpath(os.path.realpath(root / path), os.path.realpath(root)).replace(os.sep, "/")
        there = os.path.lexists(root / target)
        outright = any(path == name.removeprefix("./").rstrip("/") for name in code or ())
        if any(is_under(name, target) for name in paths) or target == "." or not (there or outright):
            continue
        sentence = f'run.code names "{path}", a link to "{target}", '
        if not there:
            raise UsageError(f"{sentence}which is not there", hint="correct the link, or take it out")
        hint = f'name "{target}" in run.code too, or put the file itself there'
        if _never(target, exclude):
            hint = "data belongs in a lake, and is declared as a dataset; or put the file itself there"
        raise UsageError(f"{sentence}which is not part of the code", hint=hint)


def check_file(scanner: Scanner, data: bytes, path: str) -> None:
    """UsageError for a file of code that contains a secret."""
    try:
        scanner.check(data, path)
    except UsageError as error:
        hint = (
            "take it out, and read it from a variable; or name what the command needs in run.code, and leave this out"
        )
        raise UsageError(error.message, hint=hint) from error


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
