"""Ask the `git` command about a project's folder.

Nothing that a repository configures is executed: no hook, no fsmonitor, no fetch, and no filter unless the
caller allows it (`git status` runs clean filters on files whose size or time has changed). git never looks
into a submodule by itself: each is asked here as a repository of its own, under the same rules.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import stat
import subprocess
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import MachineError
from reprolock.model.secrecy import without_userinfo

_NEUTRAL = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "core.quotePath=false", "protocol.allow=never")
_VARIABLES = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",  # a commit is what its ID says, whatever refs/replace puts in its place
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}

_SLASHES = re.compile(r"^((?:git\+)?(?:https?|ssh|git|ftps?)):/*", re.IGNORECASE)
"""A scheme with as many slashes as somebody typed."""
UNSHALLOW = "this clone has no older commits: fetch them with `git fetch --unshallow`"
"""A hint for a repository that `is_shallow`."""
_SUBMODULE = "160000"
"""git's mode of a submodule."""


class Entry(NamedTuple):
    """One file of a commit: the blob's ID, and the submodule that has the file ("": none)."""

    blob: str
    submodule: str

    def holds(self, data: bytes) -> bool:
        """Whether these bytes are the committed ones, be it with other line ends or fetched by git-lfs."""
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
    if b"not a git repository" in answer.stderr and (
        b"filesystem boundary" in answer.stderr or not _is_broken_repository(root)
    ):
        return False
    raise _git_error(root, answer.stderr)


def _is_broken_repository(root: Path) -> bool:
    """Whether a repository is meant to be here that git cannot read, as in a work tree whose repository is elsewhere. An
    empty folder `.git` is none."""
    places = (folder / ".git" for folder in (root, *root.parents))
    return any(place.is_file() and place.stat().st_size or (place / "HEAD").exists() for place in places)


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
        if _is_folder(f"{root}/{path}"):
            inner = root / path
            if (inner / ".git").exists():
                yield from (f"{path}/{name}" for name in list_files(inner))
        else:
            yield path


def _is_folder(place: str) -> bool:
    """A folder, and no link to one."""
    try:
        return stat.S_ISDIR(os.lstat(place).st_mode)
    except OSError:
        return False


def list_committed(root: Path, commit: str = "HEAD") -> dict[str, Entry] | None:
    """The files of a commit below `root`, those of checked-out submodules at their recorded commits included.

    None where the commit is not there: nothing has been committed yet, or a submodule's was not fetched.
    """
    answer = _git(root, "ls-tree", "-r", "-z", commit)
    if answer.returncode:
        return None
    entries: dict[str, Entry] = {}
    for mode, identity, path in _entries(answer.stdout):
        if mode != _SUBMODULE:
            entries[path] = Entry(identity, "")
        elif (root / path / ".git").exists():
            for name, entry in (list_committed(root / path, identity) or {}).items():
                entries[f"{path}/{name}"] = Entry(entry.blob, f"{path}/{entry.submodule}".rstrip("/"))
    return entries


def changes(root: Path, *, filters: bool) -> dict[str, str]:
    """What `git status` says below `root`: path → "modified", "untracked" and the like; {} for a clean folder.

    A submodule that is not checked out is no change, as for git. `filters`: clean filters that the user or the
    repository configures may be run.
    """
    prefix = _line(root, "rev-parse", "--show-prefix") or ""
    arguments = ("status", "--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=all")
    lines = _names(root, *arguments, "--", ".", settings=() if filters else _without_filters(root))
    found = dict(_change(line) for line in lines if not line.startswith("#"))  # headers that settings ask for
    found = {path.removeprefix(prefix).rstrip("/"): why for path, why in found.items()}
    for path, identity in _submodules(root):
        if (head := _line(root / path, "rev-parse", "--verify", "--quiet", "HEAD")) != identity:
            found[path] = f"at {(head or 'no commit')[:7]}, committed is {identity[:7]}"
        found |= {f"{path}/{name}": why for name, why in changes(root / path, filters=filters).items()}
    return found


def stored_ids(root: Path, paths: Collection[str], *, filters: bool) -> dict[str, str]:
    """The blob ID under which git would store each file: line ends, encodings, and with `filters` clean filters applied."""
    plain = [path for path in paths if "\n" not in path]
    settings = () if filters else _without_filters(root)
    prefix = _line(root, "rev-parse", "--show-prefix") or ""  # git looks for what it reads there from the top folder on
    given = "\n".join(f"{prefix}{path}" for path in plain)
    answer = _git(root, "hash-object", "--stdin-paths", settings=settings, given=given)
    return dict(zip(plain, answer.stdout.decode().split(), strict=False)) if plain else {}


def ignored_modes(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Path → git's mode, of the files whose mode on disk git ignores here (core.fileMode or core.symlinks is false)."""
    answer = _git(root, "config", "--type=bool", "--get-regexp", r"^core\.(filemode|symlinks)$")
    off = {line.split()[0] for line in answer.stdout.decode().splitlines() if line.endswith(" false")}
    submodules = [path for path, _ in _submodules(root)]
    modes: dict[str, str] = {}
    for inner in submodules:
        own = [path.removeprefix(f"{inner}/") for path in paths if path.startswith(f"{inner}/")]
        modes |= {f"{inner}/{path}": mode for path, mode in ignored_modes(root / inner, own).items()}
    if not off:
        return modes
    index = {path: mode for mode, _, path in _entries(_git(root, "ls-files", "-s", "-z", "--", ".").stdout)}
    for path in paths:
        if any(path.startswith(f"{inner}/") for inner in submodules):
            continue
        if index.get(path) == "120000" and "core.symlinks" in off:
            modes[path] = "120000"
        elif "core.filemode" in off and index.get(path) != "120000":
            modes[path] = index.get(path, "100644")
    return modes


def is_revision(root: Path, name: str) -> bool:
    """Whether `name` is a revision of the folder's repository; False without git or a repository."""
    if name.startswith("-") or not name or "\0" in name:
        return False
    try:
        return _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").returncode == 0
    except FileNotFoundError:
        return False


def is_shallow(root: Path) -> bool:
    """Whether older commits of the folder's repository were not fetched."""
    return _line(root, "rev-parse", "--is-shallow-repository") == "true"


def has_commit(root: Path) -> bool | None:
    """Whether something is committed where a folder is; None without git or a repository."""
    return None if top_folder(root) is None else is_revision(root, "HEAD")


def blob_at(root: Path, revision: str, path: str) -> bytes | None:
    """A file's bytes at a revision, None where it has none; `./` in front makes `path` relative to `root`, as in git."""
    answer = _git(root, "cat-file", "blob", f"{revision}:{path}")
    if answer.returncode and not re.search(rb"path '.*' (?:does not )?exist|not a valid|invalid", answer.stderr):
        raise MachineError(
            f"git lacks {path.removeprefix('./')} of {revision} here: the clone is a partial one, or damaged",
            hint=f"`git -C {shlex.quote(str(root))} show {revision}:{path}` fetches it where it can be",
        )
    return None if answer.returncode else answer.stdout


def merge_base(root: Path, revision: str) -> str | None:
    """The commit from which HEAD and a revision have parted; None where that is none, or shares no history."""
    return _line(root, "merge-base", "HEAD", revision) if is_revision(root, revision) else None


def clone_at(root: Path, commit: str, folder: Path) -> Path:
    """Clone the repository that `root` is in into an empty folder, at a commit; where `root` is in the clone.

    Objects are shared, no hook of a template comes along, and `origin` is the repository's own, without its credentials:
    they would stand in the list of processes and in the clone.
    """
    top = top_folder(root)
    assert top is not None  # there is a commit
    inside = root.resolve().relative_to(top.resolve())
    clone = folder / "clone"
    for where, arguments in (
        (folder, ("clone", "--quiet", "--shared", "--no-checkout", "--template=", str(top), str(clone))),
        (clone, ("checkout", "--quiet", "--detach", commit)),
    ):
        answer = _git(where, *arguments, settings=("protocol.file.allow=always",))
        if answer.returncode:
            raise _git_error(root, answer.stderr)
    if (remote := facts(root).remote) is not None:
        _git(clone, "config", "remote.origin.url", remote)
    return clone / inside


def top_folder(root: Path) -> Path | None:
    """The top folder of the work tree that `root` is in; None without git or a repository."""
    try:
        line = _line(root, "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        return None
    return Path(line) if line else None


def configure(root: Path, name: str, value: str) -> None:
    """Set a setting of this clone (`git config --local`). MachineError with git's reason."""
    answer = _git(root, "config", "--local", name, value)
    if answer.returncode:
        raise _git_error(root, answer.stderr)


def unset_section(root: Path, section: str) -> None:
    """Remove a section of this clone's settings; one that is not there is no error."""
    _git(root, "config", "--local", "--remove-section", section)


def absent_submodules(root: Path) -> list[str]:
    """Submodules below `root` that are not checked out; none outside of a repository."""
    try:
        top = _line(root, "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        return []
    if top is None or not (Path(top) / ".gitmodules").exists():
        return []  # sooner said than by all that the commit lists
    entries = _entries(_git(root, "ls-files", "-s", "-z", "--", ".").stdout)
    return [path for mode, _, path in entries if mode == _SUBMODULE and not (root / path / ".git").exists()]


def _submodules(root: Path) -> Iterator[tuple[str, str]]:
    """Checked-out submodules with the commit that HEAD records of each."""
    # HEAD of a young repository is no tree: then nothing is a submodule of it.
    listing = _git(root, "ls-tree", "-r", "-z", "HEAD").stdout.split(b"\0")
    lines = b"".join(line + b"\0" for line in listing if line.startswith(_SUBMODULE.encode()))
    for _, identity, path in _entries(lines):
        if (root / path / ".git").exists():
            yield path, identity


def _entries(listing: bytes) -> Iterator[tuple[str, str, str]]:
    """Mode, ID and path of each line of `ls-tree -z` or `ls-files -s -z`."""
    for line in listing.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        described, _, path = line.partition("\t")
        mode, *_, identity = described.removesuffix(" 0").split()
        yield mode, identity, path


def _change(line: str) -> tuple[str, str]:
    """The path and the state in words of one line of `status --porcelain=v2`."""
    kind, _, rest = line.partition(" ")
    if kind == "?":
        return rest, "untracked"
    if kind == "u":
        return rest.split(" ", 9)[9], "in conflict"
    states, _, _, mode_index, mode_disk, _, _, path = rest.split(" ", 7)
    if "D" in states:
        return path, "deleted"
    if "A" in states:
        return path, "new"
    other_mode = states == ".M" and mode_index != mode_disk
    return path, f"mode {mode_disk[-3:]}, committed is {mode_index[-3:]}" if other_mode else "modified"


def _without_filters(root: Path) -> tuple[str, ...]:
    """Settings that switch every configured filter off."""
    answer = _git(root, "config", "--name-only", "-z", "--get-regexp", r"^filter\..*\.")
    names = {name.rpartition(".")[0] for name in answer.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]}
    if odd := next((name for name in sorted(names) if "=" in name), None):
        # `git -c` takes all up to the first "=" for the name of the setting: this one would stay on.
        raise MachineError(
            f"git's configuration of {root} has the filter {odd}, which cannot be switched off",
            hint="rename it, without an equals sign",
        )
    off = ("clean=", "smudge=", "process=", "required=false")
    return tuple(f"{name}.{setting}" for name in sorted(names) for setting in off)


def _committed_forms(data: bytes) -> Iterator[bytes]:
    yield data
    if b"\r\n" in data:
        yield data.replace(b"\r\n", b"\n")
    digest = hashlib.sha256(data).hexdigest()
    yield f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n".encode()


def _without_keys(address: str | None) -> str | None:
    """An address without user, password and query, however it is misspelt; `git@host:path` keeps its `git`, which is not a user's name."""
    if address is None:
        return None
    address = _SLASHES.sub(r"\1://", address)
    if "://" in address or address.startswith("//"):
        return re.split("[?#]", without_userinfo(address))[0]
    host, slash, path = address.partition("/")
    named = re.fullmatch("git@[^@]*", host)
    return (host if named else host.rpartition("@")[2]) + slash + path


def _names(root: Path, *arguments: str, settings: tuple[str, ...] = ()) -> list[str]:
    answer = _git(root, *arguments, settings=settings)
    if answer.returncode:
        raise _git_error(root, answer.stderr)
    return answer.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


def _line(root: Path, *arguments: str) -> str | None:
    """The one line that git prints, blanks and all: a folder's name may begin or end with some."""
    return _git(root, *arguments).stdout.decode("utf-8", "replace").removesuffix("\n") or None


def _git_error(root: Path, stderr: bytes) -> MachineError:
    lines = stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
    sentence = next((line for line in lines if line.startswith("fatal: ")), lines[0]).removeprefix("fatal: ")
    hint = f"see what `git -C {root} status` says"
    if "dubious ownership" in sentence:
        hint = f"if you trust it: `git config --global --add safe.directory {root}`"
    return MachineError(f"git does not read {root}: {sentence}", hint=hint)


def _git(
    root: Path, *arguments: str, settings: tuple[str, ...] = (), given: str = ""
) -> subprocess.CompletedProcess[bytes]:
    # Variables such as GIT_DIR, which stand in the environment of a hook, would point elsewhere. Those of GIT_CONFIG_* are
    # their user's settings, as the files are: safe.directory often stands there in containers.
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or "GIT_CONFIG_" in name
    } | _VARIABLES
    options = [part for setting in (*_NEUTRAL, *settings) for part in ("-c", setting)]
    return subprocess.run(
        ["git", *options, *arguments],
        cwd=root,
        env=environ,
        input=given.encode("utf-8", "surrogateescape"),
        capture_output=True,
    )
