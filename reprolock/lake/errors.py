"""The errors of both lakes: one builder for each, so that a user meets one wording.

A builder takes names as the caller gave them and returns the error to raise. A location is named as an address
wherever there is one, for it can be pasted into the next command.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from reprolock.errors import Damaged, LakeRefused, NotFound, PinError, ServiceError
from reprolock.model.uri import LakeURI

PROBLEMS_SHOWN = 20
"""How many paths a conflict lists before it counts the rest."""


def no_lake(endpoint: str, repository: str) -> NotFound:
    """The embedded lake's folder is not there yet: it is made with its first repository."""
    return NotFound(
        f"the lake {endpoint} is not there yet",
        hint=f"make it with its first repository: `reprolock data create lakefs://{repository}`",
    )


def no_repository(endpoint: str, repository: str, known: Iterable[str] = ()) -> NotFound:
    """The lake has no repository of that name."""
    return NotFound(
        f'no repository "{repository}" in the lake {endpoint}',
        hint=_did_you_mean(repository, known) or f"create it with `reprolock data create lakefs://{repository}`",
    )


def no_ref(repository: str, ref: str, known: Iterable[str] = ()) -> NotFound:
    """A ref that is not a branch, tag or commit. `known` holds the names of branches and tags."""
    return NotFound(
        f'no branch, tag or commit "{ref}" in the repository "{repository}"',
        hint=_did_you_mean(ref, known) or _see_refs(repository),
    )


def no_branch(repository: str, branch: str, known: Iterable[str] = ()) -> NotFound:
    """A name that is written to and is not a branch (it may be a tag or a commit: those never change)."""
    return NotFound(
        f'no branch "{branch}" in the repository "{repository}"',
        hint=_did_you_mean(branch, known)
        or f"create it with `reprolock data branch lakefs://{repository}/main {branch}`",
    )


def no_tag(repository: str, tag: str, known: Iterable[str] = ()) -> NotFound:
    """A name that is to be removed and is not a tag."""
    return NotFound(
        f'no tag "{tag}" in the repository "{repository}"', hint=_did_you_mean(tag, known) or _see_refs(repository)
    )


def ambiguous_ref(repository: str, ref: str) -> NotFound:
    """An abbreviated commit ID that several commits share."""
    return NotFound(
        f'"{ref}" is the beginning of more than one commit ID in the repository "{repository}"',
        hint="write more digits of the commit ID",
    )


def no_path(place: LakeURI) -> NotFound:
    """Neither an object nor a folder is at the address."""
    return NotFound(
        f"nothing is at {place}",
        hint=f"see what is there with `reprolock data ls -r {place._replace(path='')}`",
    )


def gone(place: LakeURI, commit: str) -> PinError:
    """A commit names an object whose bytes the lake no longer has (lakeFS: 410)."""
    return PinError(
        f"{place.at(commit)} is gone: the commit names it, but the lake no longer has its bytes",
        hint="restore the lake from a backup",
        owner_hint="`reprolock lock --upgrade` pins a commit that is whole",
    )


def damaged(place: LakeURI, commit: str) -> Damaged:
    """An object's bytes are not those whose checksum the commit names."""
    return Damaged(
        f"{place.at(commit)} is damaged: its bytes do not have the checksum that the commit names",
        hint="restore the lake from a backup",
        owner_hint="`reprolock lock --upgrade` pins a commit that is whole",
    )


def exists(kind: str, name: str, place: str) -> LakeRefused:
    """A name is taken. `kind` is "repository", "branch" or "tag"; `place` says where, in words.

    >>> exists("tag", "v1", 'the repository "weather"').message
    'the tag "v1" is already in the repository "weather"'
    """
    return LakeRefused(f'the {kind} "{name}" is already in {place}', hint=f"choose another name for the {kind}")


def bad_name(kind: str, name: str, reason: str) -> LakeRefused:
    """A name that a lake cannot hold; `reason` completes the sentence after a colon (see `lake.names`)."""
    return LakeRefused(f'"{name}" cannot be the name of a {kind}: {reason}', hint=f"choose another name for the {kind}")


def bad_path(place: LakeURI, reason: str) -> LakeRefused:
    """A path that a lake cannot hold; `reason` completes the sentence after a colon."""
    return LakeRefused(f"{place} cannot be stored: {reason}", hint="rename the object")


def nothing_to_commit(repository: str, branch: str) -> LakeRefused:
    """The branch has no staged changes."""
    return LakeRefused(
        f'nothing is staged on the branch "{branch}" of the repository "{repository}"',
        hint=f"stage something with `reprolock data put SRC lakefs://{repository}/{branch}/PATH`",
    )


def nothing_to_merge(repository: str, source: str, branch: str) -> LakeRefused:
    """The branch already holds everything of the source."""
    return LakeRefused(
        f'"{source}" has nothing to merge into the branch "{branch}" of the repository "{repository}"',
        hint=f"compare them with `reprolock data diff lakefs://{repository}/{branch} lakefs://{repository}/{source}`",
    )


def nothing_to_revert(repository: str, branch: str, commit: str) -> LakeRefused:
    """Undoing the commit would change nothing on the branch."""
    return LakeRefused(
        f'undoing {commit} changes nothing on the branch "{branch}" of the repository "{repository}"',
        hint=f"see what is there with `reprolock data log lakefs://{repository}/{branch}`",
    )


def staged(repository: str, branch: str) -> LakeRefused:
    """A merge or a revert into a branch that has staged changes."""
    return LakeRefused(
        f'the branch "{branch}" of the repository "{repository}" has staged changes',
        hint=f"commit them first with `reprolock data commit lakefs://{repository}/{branch} -m TEXT`",
    )


def conflict(repository: str, source: str, branch: str, paths: Sequence[str]) -> LakeRefused:
    """Both sides of a merge changed the same paths; they stand in `problems`."""
    return LakeRefused(
        f'"{source}" and the branch "{branch}" of the repository "{repository}" both changed {_count(paths)}',
        hint=f'make the two agree on a branch, then merge again; "{branch}" is as it was',
        problems=_first_few(paths),
    )


def revert_conflict(repository: str, branch: str, commit: str, paths: Sequence[str]) -> LakeRefused:
    """Paths of the commit that is to be undone were changed again since; they stand in `problems`."""
    return LakeRefused(
        f'{commit} cannot be undone on the branch "{branch}" of the repository "{repository}": '
        f"{_count(paths)} changed again since",
        hint=f'undo the later commits first; "{branch}" is as it was',
        problems=_first_few(paths),
    )


def revert_merge(repository: str, commit: str) -> LakeRefused:
    """A merge has several befores, so there is no one state that undoing it would lead to."""
    return LakeRefused(
        f'{commit} of the repository "{repository}" is a merge and cannot be undone',
        hint="put the objects as they should be and commit them",
    )


def protected(repository: str, branch: str) -> LakeRefused:
    """A rule of the lake forbids changing or removing the branch."""
    return LakeRefused(
        f'the branch "{branch}" of the repository "{repository}" is protected',
        hint=f"work on a branch of your own: `reprolock data branch lakefs://{repository}/{branch} NAME`",
    )


def default_branch(repository: str, branch: str) -> LakeRefused:
    """The default branch cannot be deleted."""
    return LakeRefused(
        f'the branch "{branch}" is the default branch of the repository "{repository}" and cannot be deleted',
        hint="delete another branch",
    )


def busy(repository: str, seconds: float) -> LakeRefused:
    """Another process holds the repository's guard for longer than anybody should wait."""
    return LakeRefused(
        f'another process has been writing to the repository "{repository}" for {seconds:.0f} s',
        hint="end that process, or try again when it is done",
    )


def moved(repository: str, branch: str) -> LakeRefused:
    """The branch was changed between the reading and the writing."""
    return LakeRefused(
        f'the branch "{branch}" of the repository "{repository}" was changed by another user at the same time',
        hint="try again",
    )


def forbidden(endpoint: str, keys: str, doing: str, said: str) -> ServiceError:
    """lakeFS knows the credentials, and does not let them do this. `keys` is where they were found.

    >>> forbidden("http://127.0.0.1:8000", "~/.lakectl.yaml", 'create the repository "weather"', "insufficient permissions").message
    'lakeFS at http://127.0.0.1:8000 does not let the credentials of ~/.lakectl.yaml create the repository "weather": insufficient permissions'
    """
    hint = "ask an administrator of lakeFS to allow it for the user of these credentials, or use other credentials"
    return ServiceError(f"lakeFS at {endpoint} does not let the credentials of {keys} {doing}: {said}", hint=hint)


def read_only(repository: str) -> LakeRefused:
    """The repository takes no changes from any user."""
    return LakeRefused(
        f'the repository "{repository}" is read-only', hint="work in another repository, or have it made writable"
    )


def refused(endpoint: str, doing: str, said: str) -> LakeRefused:
    """lakeFS says no for a reason of its own (a hook, a setting); `said` are its words.

    >>> refused("http://127.0.0.1:8000", 'create the repository "weather"', "storage namespace already in use").message
    'lakeFS at http://127.0.0.1:8000 does not create the repository "weather": storage namespace already in use'
    """
    return LakeRefused(f"lakeFS at {endpoint} does not {doing}: {said}", hint="correct what it says and try again")


def _see_refs(repository: str) -> str:
    return f"see what is there with `reprolock data ls lakefs://{repository}`"


def _did_you_mean(name: str, known: Iterable[str]) -> str | None:
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else None


def _count(paths: Sequence[str]) -> str:
    return "1 path" if len(paths) == 1 else f"{len(paths)} paths"


def _first_few(paths: Sequence[str]) -> tuple[str, ...]:
    rest = len(paths) - PROBLEMS_SHOWN
    return (*paths[:PROBLEMS_SHOWN], *([f"and {rest} more"] if rest > 0 else ()))
