"""Resolve, read and write commits of the embedded lake.

A commit's metadata is JSON on the message's last line, after `Reprolock-Metadata:`, so that plain
`git log` shows it. Whatever the message and the metadata are, both come back exactly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import pygit2
from pygit2.enums import ObjectType

from reprolock.errors import MachineError, PinError, UsageError
from reprolock.lake import errors
from reprolock.lake.git.blobs import fail_as_written
from reprolock.lake.git.loose_objects import CutShort, read_loose
from reprolock.lake.protocol import Commit
from reprolock.model.uri import LakeURI

AUTHOR = "reprolock"
_ADDRESS = "reprolock@localhost"  # Git wants one; this one goes nowhere
_METADATA = re.compile(r"(.*)\n\nReprolock-Metadata: (\{[^\n]*\})\n", re.DOTALL)
_EXPRESSION = re.compile(r"(?P<name>[^~^@$]+)@?(?P<steps>(?:[~^]\d*)*)")
_STEP = re.compile(r"([~^])(\d*)")
_COMMIT_ID = re.compile(r"[0-9a-f]{7,40}")


def find(repository: pygit2.Repository, name: str, ref: str) -> pygit2.Commit:
    """The commit that a ref stands for: a branch, a tag, a commit ID of 7 digits or more; `~n` and `^n` after it
    as in Git, `@` for a branch's head. NotFound says what is not there; PinError when a commit has gone."""
    parsed = _EXPRESSION.fullmatch(ref)
    if parsed is None or (commit := _resolve_name(repository, name, ref, parsed["name"])) is None:
        raise errors.no_ref(name, ref, refs(repository))
    for kind, digits in _STEP.findall(parsed["steps"]):
        number = int(digits) if digits else 1
        parents = [0] * number if kind == "~" else [number - 1] * (number > 0)
        for parent in parents:
            if parent >= len(commit.parent_ids):
                raise errors.no_ref(name, ref, refs(repository))
            commit = load(repository, name, commit.parent_ids[parent])
    return commit


def _resolve_name(repository: pygit2.Repository, name: str, ref: str, base: str) -> pygit2.Commit | None:
    # A full ID before a name, as in Git: a branch cannot hide a commit.
    if len(base) == 40 and (commit := _by_id(repository, name, ref, base)):
        return commit
    for kind in ("heads", "tags"):
        if (target := target_of(repository, f"refs/{kind}/{base}")) is not None:
            return load(repository, name, target)
    return _by_id(repository, name, ref, base)


def _by_id(repository: pygit2.Repository, name: str, ref: str, digits: str) -> pygit2.Commit | None:
    if not _COMMIT_ID.fullmatch(digits):
        return None
    try:
        found = [repository.expand_id(digits)]
    except KeyError:
        return None
    except ValueError:  # ambiguous, but perhaps only one of them is a commit
        found = [oid for oid in repository.odb if str(oid).startswith(digits)]
    commits = [oid for oid in found if _is_commit(repository, oid)]
    if len(commits) > 1:
        raise errors.ambiguous_ref(name, ref)
    return load(repository, name, commits[0]) if commits else None


def _is_commit(repository: pygit2.Repository, oid: pygit2.Oid) -> bool:
    try:
        return repository.odb.read_header(oid)[0] == ObjectType.COMMIT
    except KeyError:  # a full ID is not looked up when it is expanded
        return False
    except pygit2.GitError:  # damaged: loading it says so
        return True


def target_of(repository: pygit2.Repository, ref: str) -> pygit2.Oid | None:
    """The ID that a Git reference holds, or None; `ref` is the full name. MachineError where its file is damaged."""
    if "\0" in ref:  # where libgit2 would stop reading
        return None
    try:
        target = repository.lookup_reference(ref).target
    except (KeyError, ValueError):  # not there, or no name that Git has
        return None
    except pygit2.GitError as error:
        raise MachineError(
            f"{repository.path} cannot be read as a Git repository: {error}", hint="restore the lake from a backup"
        ) from error
    return target if isinstance(target, pygit2.Oid) else None  # a symbolic reference holds a name


def load(repository: pygit2.Repository, name: str, oid: pygit2.Oid) -> pygit2.Commit:
    """A commit that a ref or another commit names; PinError where it is gone or damaged."""
    try:
        read_loose(repository.path, oid)
        commit: pygit2.Commit = repository[oid].peel(pygit2.Commit)
        _time_of(commit)
        return commit
    except KeyError:
        raise errors.gone(LakeURI(name, str(oid)), str(oid)) from None
    except (CutShort, pygit2.GitError, ValueError, OverflowError):  # also one of a time that no calendar has
        raise errors.damaged(LakeURI(name, str(oid)), str(oid)) from None


def merge_base(repository: pygit2.Repository, name: str, one: pygit2.Oid, other: pygit2.Oid) -> pygit2.Commit | None:
    """The best common ancestor, None where there is none; PinError when a commit on the way has gone."""
    try:
        base = repository.merge_base(one, other)
    except (KeyError, pygit2.GitError):
        raise PinError(
            f'the history of {one} and {other} in the repository "{name}" has gaps: commits are gone or damaged',
            hint="restore the lake from a backup",
        ) from None
    return load(repository, name, base) if base else None


def refs(repository: pygit2.Repository, *kinds: str) -> list[str]:
    """Names of branches ("heads") and tags ("tags"), or of one kind; sorted."""
    prefixes = tuple(f"refs/{kind}/" for kind in kinds or ("heads", "tags"))
    names = repository.listall_references()
    return sorted(ref.split("/", 2)[2] for ref in names if ref.startswith(prefixes))


def first_parents(repository: pygit2.Repository, name: str, commit: pygit2.Commit) -> Iterator[pygit2.Commit]:
    """The commit and its first-parent ancestors, newest first."""
    yield commit
    while commit.parent_ids:
        commit = load(repository, name, commit.parent_ids[0])
        yield commit


def _time_of(commit: pygit2.Commit) -> datetime:
    """When it was made, UTC. ValueError or OverflowError for a time that no calendar has."""
    return datetime.fromtimestamp(commit.commit_time, UTC)


def read(commit: pygit2.Commit) -> Commit:
    """Git's commit as the protocol's."""
    # Not `commit.message`, which drops leading newlines.
    message, metadata = decode(commit.read_raw().split(b"\n\n", 1)[1].decode(errors="replace"))
    return Commit(str(commit.id), _time_of(commit), message, tuple(map(str, commit.parent_ids)), metadata)


def write(
    repository: pygit2.Repository,
    branch: str,
    tree: pygit2.Oid,
    parents: Sequence[pygit2.Oid],
    message: str,
    metadata: Mapping[str, str],
    time: datetime,
) -> pygit2.Commit:
    """A new head of a branch, which must still be at the first parent: pygit2.GitError when it is not.

    OSError where the disk does not take it.
    """
    author = pygit2.Signature(AUTHOR, _ADDRESS, int(time.timestamp()), 0)
    text = encode(message, metadata)
    head = f"refs/heads/{branch}"
    written = repository.create_commit(head, author, author, text, tree, list(parents))
    if written not in repository or target_of(repository, head) != written:
        # pygit2 answers with an ID where nothing could be written, too.
        whole = repository.create_commit_string(author, author, text, tree, list(parents))
        fail_as_written(repository, str(whole).encode())
        raise pygit2.GitError("no error")
    return repository[written].peel(pygit2.Commit)


def encode(message: str, metadata: Mapping[str, str]) -> str:
    """The text that Git keeps. UsageError for text that it cannot."""
    text = message
    # A message that ends like metadata gets a line of its own after it, so that it is not taken for some.
    if metadata or _METADATA.fullmatch(message):
        line = json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True)
        text = f"{message}\n\nReprolock-Metadata: {line}\n"
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError(
            "the commit's message or metadata contains a character that is not allowed in text",
            hint="write it without NUL characters, in UTF-8",
        )
    return text


def decode(text: str) -> tuple[str, dict[str, str]]:
    """Message and metadata from the text that Git keeps; a commit by plain git has no metadata."""
    if found := _METADATA.fullmatch(text):
        try:
            return found[1], json.loads(found[2])
        except ValueError:
            pass
    return text, {}
