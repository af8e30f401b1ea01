"""Ask the `git` command about a project's folder.

Nothing that a repository configures is executed: no hook, no fsmonitor, no filter, no fetch. Whether
a file differs from the commit is therefore decided here, from its bytes, and not by `git status`,
which runs clean filters.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from reprolock.errors import MachineError

_NEUTRAL = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "core.quotePath=false", "protocol.allow=never")
_VARIABLES = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


class Entry(NamedTuple):
    """One file of a commit: git's mode ("100644", "100755", "120000") and the blob's ID."""

    mode: str
    blob: str

    def holds(self, data: bytes, mode: str) -> bool:
        """Whether a file with these bytes is the committed one, be it with other line ends or fetched by git-lfs."""
        if (self.mode == "120000") != (mode == "120000"):
            return False
        if self.mode != mode and os.name != "nt":
            return False
        return any(self.blob == self._blob_id(form) for form in _committed_forms(data))

    def _blob_id(self, data: bytes) -> str:
        algorithm = "sha1" if len(self.blob) == 40 else "sha256"
        return hashlib.new(algorithm, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class Facts(NamedTuple):
    """Where a folder stands in git; None for what there is not (no commit yet, no branch, no `origin`)."""

    commit: str | None
    branch: str | None
    remote: str | None


def is_work_tree(root: Path) -> bool:
    """Whether git looks after a folder: False without git, outside a repository, or in a folder that git ignores."""
    try:
        answer = _git(root, "rev-parse", "--is-inside-work-tree")
    except FileNotFoundError:
        return False
    if answer.returncode == 0:
        ignored = answer.stdout.strip() == b"true" and _git(root, "check-ignore", "-q", ".").returncode == 0
        return answer.stdout.strip() == b"true" and not ignored
    if b"not a git repository" in answer.stderr:
        return False
    raise _git_error(root, answer.stderr)


def facts(root: Path) -> Facts:
    """The commit, branch and remote of a work tree. The remote contains no user, password or query."""
    return Facts(
        _line(root, "rev-parse", "--verify", "--quiet", "HEAD"),
        _line(root, "symbolic-ref", "--quiet", "--short", "HEAD"),
        _without_keys(_line(root, "config", "--get", "remote.origin.url")),
    )


def list_files(root: Path, below: tuple[str, ...] = ()) -> Iterator[str]:
    """Paths that git tracks, and those that are new and not ignored; submodules' and nested repositories' too.

    `below` narrows to files and folders, relative to `root`. A tracked file that was deleted is listed.
    """
    # A path once more for each side of a merge conflict, and a folder's name for a repository inside.
    arguments = ("--literal-pathspecs", "ls-files", "-z", "-co", "--exclude-standard", "--", *(below or (".",)))
    for path in sorted(set(_names(root, *arguments))):
        path = path.rstrip("/")
        inner = root / path
        if inner.is_dir() and not inner.is_symlink():
            if (inner / ".git").exists():
                yield from (f"{path}/{name}" for name in list_files(inner))
        else:
            yield path


def list_committed(root: Path, commit: str = "HEAD") -> dict[str, Entry] | None:
    """The files of a commit below `root`, submodules at their recorded commits included; None where one is not there."""
    answer = _git(root, "ls-tree", "-r", "-z", commit)
    if answer.returncode:
        return None
    entries: dict[str, Entry] = {}
    for line in answer.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        described, _, path = line.partition("\t")
        mode, kind, identity = described.split()
        if kind != "commit":
            entries[path] = Entry(mode, identity)
            continue
        inner = list_committed(root / path, identity) if (root / path / ".git").exists() else None
        if inner is None:
            return None
        entries |= {str(PurePosixPath(path, name)): entry for name, entry in inner.items()}
    return entries


def is_revision(root: Path, name: str) -> bool:
    """Whether `name` is a revision of the folder's repository; False without git or a repository."""
    if name.startswith("-") or not name:
        return False
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").returncode == 0
    except FileNotFoundError:
        return False


def blob_at(root: Path, revision: str, path: str) -> bytes | None:
    """A file's bytes at a revision, None where it has none; `./` in front makes `path` relative to `root`, as in git."""
    answer = _git(root, "cat-file", "blob", f"{revision}:{path}")
    return None if answer.returncode else answer.stdout


def _committed_forms(data: bytes) -> Iterator[bytes]:
    yield data
    if b"\r\n" in data:
        yield data.replace(b"\r\n", b"\n")
    digest = hashlib.sha256(data).hexdigest()
    yield f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n".encode()


def _without_keys(address: str | None) -> str | None:
    """An address without user, password and query; `git@host:path` keeps its `git`, which is not a user's name."""
    if address is None:
        return None
    if "://" in address:
        parts = urlsplit(address)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return re.sub(r"^(?!git@)[^@/:]+(?::[^@/]*)?@", "", address)


def _names(root: Path, *arguments: str) -> list[str]:
    answer = _git(root, *arguments)
    if answer.returncode:
        raise _git_error(root, answer.stderr)
    return answer.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


def _line(root: Path, *arguments: str) -> str | None:
    return _git(root, *arguments).stdout.decode("utf-8", "replace").strip() or None


def _git_error(root: Path, stderr: bytes) -> MachineError:
    sentence = (stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"])[0].removeprefix(
        "fatal: "
    )
    hint = f"see what `git -C {root} status` says"
    if "dubious ownership" in sentence:
        hint = f"if you trust it: `git config --global --add safe.directory {root}`"
    return MachineError(f"git does not read {root}: {sentence}", hint=hint)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    # Variables such as GIT_DIR, which stand in the environment of a hook, would point elsewhere.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _VARIABLES
    settings = [part for setting in _NEUTRAL for part in ("-c", setting)]
    return subprocess.run(
        ["git", *settings, *arguments], cwd=root, env=environ, stdin=subprocess.DEVNULL, capture_output=True
    )
