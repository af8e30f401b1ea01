"""Take a snapshot of a project's code: which files belong to it, what they hold, and a copy of exactly these.

In: the project's folder and `[run] code`. Out: a `Snapshot`. Taking one reads each file once: it is
hashed, searched for secrets and compared with the commit at the same time. `place` refuses a
file that is no longer what the snapshot says, so what is recorded is what runs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from reprolock.environment.code import git
from reprolock.environment.code.choose import PROJECT_FILES, chosen_paths, in_scope, never, refuse_large
from reprolock.environment.code.code_file import CodeFile, check_file, digest_of, read_file, write_tree
from reprolock.errors import MachineError, UsageError
from reprolock.files.secrets import Scanner
from reprolock.model.uri import with_folders
from reprolock.model.workspace import CodeState

BY_GIT = "what git tracks, and what is new and not ignored"
BY_NAME = "what run.code names"
BY_WALK = "all but hidden folders, virtual environments and caches, because there is no git repository here"

_NO_KEYS = Scanner({})


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

    `code` and `exclude` as for `chosen_paths`. `filters`: git's clean filters may be run to see whether a file has
    changed. UsageError for a name that is not there, a link that leaves the project or that leads to no code, more than
    100 MB, or a file that contains a secret.
    """
    with_git = git.is_work_tree(root)
    paths = chosen_paths(root, code, exclude, with_git=with_git)
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
    if committed is None and found.commit:
        differs = (f"commit {found.commit[:7]} cannot be read, for git lacks objects of it or they are damaged",)
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

    `changes` is what git status says, which takes another size for a change before it looks at line ends; of `unlike`
    files the bytes are not the committed ones, for which there may be a good reason (line ends, filters) that `git status`
    knows, or a bad one that it does not see.
    """
    differs, aside = dict[str, str](), dict[str, str]()
    for path, why in changes.items():
        if never(path, exclude) or not in_scope(path, code):
            if why != "untracked" or path in PROJECT_FILES:
                aside[path] = why
        elif why == "modified" and path in committed and path not in unlike:
            aside[path] = "modified, yet git would store what the commit has"
        else:
            differs[path] = why
    if committed:
        for path in paths:
            if path not in committed and differs.keys().isdisjoint(with_folders(path)):
                differs[path] = "not in the commit, because git ignores it"
    left = {path: unlike[path] for path in unlike if changes.keys().isdisjoint(with_folders(path))}
    for path in _unseen(root, left, filters):
        differs[path] = "differs from the commit, though git status does not show it"
    return tuple(f"{path} {why}" for path, why in sorted(differs.items())), tuple(
        f"{path} {why}" for path, why in sorted(aside.items())
    )


def _unseen(root: Path, unlike: Mapping[str, git.Entry], filters: bool) -> Iterator[str]:
    """Those whose committed form is another one too: git was told not to look, or size and time are as they were."""
    for folder in {entry.submodule for entry in unlike.values()}:
        inner = {path[len(folder) :].lstrip("/"): path for path, entry in unlike.items() if entry.submodule == folder}
        ids = git.stored_ids(root / folder, inner, filters=filters)
        yield from (path for name, path in inner.items() if ids.get(name) != unlike[path].blob)


def contents(taken: Snapshot, root: Path) -> Iterator[tuple[CodeFile, bytes]]:
    """Each file with its bytes, read again. MachineError when it is not what the snapshot saw."""
    for file in taken.files:
        mode, data = read_file(root, file.path, taken.modes)
        if (mode, hashlib.sha256(data).hexdigest()) != (file.mode, file.sha256):
            raise MachineError(f"{file.path} was changed while the run was being prepared", hint="start the run again")
        yield file, data


def refuse_secrets(taken: Snapshot, root: Path, scanner: Scanner) -> None:
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


def _refuse_links_to_no_code(
    root: Path, code: tuple[str, ...] | None, files: Iterable[CodeFile], exclude: tuple[str, ...]
) -> None:
    """UsageError for a link among what `run.code` names whose target the run's folder would not have."""
    links = [file.path for file in files if file.mode == "120000"] if code is not None else []
    places = {place for file in files for place in with_folders(file.path)} if links else set()
    for path in links:
        target = os.path.relpath(os.path.realpath(root / path), os.path.realpath(root)).replace(os.sep, "/")
        there = os.path.lexists(root / target)
        outright = any(path == name.removeprefix("./").rstrip("/") for name in code or ())
        if target in places or target == "." or not (there or outright):
            continue
        sentence = f'run.code names "{path}", a link to "{target}", '
        if not there:
            raise UsageError(f"{sentence}which is not there", hint="correct the link, or remove it")
        hint = f'name "{target}" in run.code too, or replace the link with the file'
        if never(target, exclude):
            hint = "data belongs in a lake, and is declared as a dataset; or replace the link with the file"
        raise UsageError(f"{sentence}which is not part of the code", hint=hint)
