"""Find out why lakeFS refused a call by asking it further questions, never by parsing its prose.

In go the transport, what was attempted and the `Refused` answer; out comes the error to raise, in the
sentences of `problems`. The questions cost calls, but only after a refusal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from reprolock.errors import LakeRefused, NotFound, ReprolockError
from reprolock.lake import errors
from reprolock.lake.lakefs.transport import Refused, Transport
from reprolock.lake.protocol import Commit
from reprolock.model.uri import LakeURI


def reading(
    transport: Transport, refused: Refused, repository: str, refs: Sequence[str], path: str = ""
) -> ReprolockError:
    """The answer to a call that reads a path (or all) at one or more refs."""
    if refused.status == 410:
        commit = _ask_commit(transport, repository, refs[0])
        return errors.gone(LakeURI(repository, refs[0], path), commit or refs[0])
    if refused.status in (400, 404):
        if not _there(transport, ("repositories", repository)):
            return no_repository(transport, repository)
        for ref in refs:
            if _ask_commit(transport, repository, ref) is None:
                known = [*_list_names(transport, repository, "branches"), *_list_names(transport, repository, "tags")]
                return errors.no_ref(repository, ref, known)
        if refused.status == 404:
            return errors.no_path(LakeURI(repository, refs[0], path))
    return _other(transport, refused, f"read {LakeURI(repository, refs[0], path)}", repository)


def writing(transport: Transport, refused: Refused, repository: str, branch: str, doing: str) -> ReprolockError:
    """The answer to a call that changes a branch. `doing` is the act in words, for what has no sentence of its own."""
    if refused.status in (400, 404):
        if not _there(transport, ("repositories", repository)):
            return no_repository(transport, repository)
        if not _there(transport, ("repositories", repository, "branches", branch)):
            return errors.no_branch(repository, branch, _list_names(transport, repository, "branches"))
    if refused.status == 403 and _is_protected(transport, repository, branch):
        return errors.protected(repository, branch)
    return _other(transport, refused, doing, repository)


def committing(transport: Transport, refused: Refused, repository: str, branch: str) -> ReprolockError:
    """The answer to a commit."""
    if refused.status == 400 and _is_staged(transport, repository, branch) is False:
        return errors.nothing_to_commit(repository, branch)
    if refused.status == 409:
        return errors.moved(repository, branch)
    return writing(
        transport, refused, repository, branch, f'commit on the branch "{branch}" of the repository "{repository}"'
    )


def merging(transport: Transport, refused: Refused, repository: str, source: str, branch: str) -> ReprolockError:
    """The answer to a merge."""
    doing = f'merge "{source}" into the branch "{branch}" of the repository "{repository}"'
    explained = writing(transport, refused, repository, branch, doing)
    if not isinstance(explained, LakeRefused):
        return explained
    if refused.status in (400, 404) and _ask_commit(transport, repository, source) is None:
        return reading(transport, refused, repository, [source])
    if refused.status == 400 and _is_staged(transport, repository, branch):
        return errors.staged(repository, branch)
    if refused.status in (400, 409):
        # What a merge would change on the branch; "conflict" where both sides changed a path.
        changes = list(_differences(transport, repository, branch, source, "three_dot"))
        conflicts = [path for kind, path in changes if kind == "conflict"]
        if conflicts:
            return errors.conflict(repository, source, branch, conflicts)
        if not changes and refused.status == 400:
            return errors.nothing_to_merge(repository, source, branch)
    return errors.moved(repository, branch) if refused.status == 409 else explained


def reverting(transport: Transport, refused: Refused, repository: str, branch: str, undone: Commit) -> ReprolockError:
    """The answer to a revert of a commit with one parent, or of the first one."""
    explained = writing(transport, refused, repository, branch, f'undo {undone.id} on the branch "{branch}"')
    if not isinstance(explained, LakeRefused):
        return explained
    if refused.status == 400 and _is_staged(transport, repository, branch):
        return errors.staged(repository, branch)
    if refused.status == 400 or not undone.parents:
        return errors.nothing_to_revert(repository, branch, undone.id)
    if refused.status == 409:
        changed = {path for _, path in _differences(transport, repository, undone.parents[0], undone.id)}
        since = {path for _, path in _differences(transport, repository, undone.id, branch)}
        if changed & since:
            return errors.revert_conflict(repository, branch, undone.id, sorted(changed & since))
        return errors.moved(repository, branch)
    return explained


def deleting_branch(transport: Transport, refused: Refused, repository: str, branch: str) -> ReprolockError:
    """The answer to the deletion of a branch."""
    if refused.status == 403 and _repository(transport, repository).get("default_branch") == branch:
        return errors.default_branch(repository, branch)
    return writing(
        transport, refused, repository, branch, f'delete the branch "{branch}" of the repository "{repository}"'
    )


def deleting_tag(transport: Transport, refused: Refused, repository: str, tag: str) -> ReprolockError:
    """The answer to the deletion of a tag."""
    if refused.status in (400, 404):
        if not _there(transport, ("repositories", repository)):
            return no_repository(transport, repository)
        if not _there(transport, ("repositories", repository, "tags", tag)):
            return errors.no_tag(repository, tag, _list_names(transport, repository, "tags"))
    return _other(transport, refused, f'delete the tag "{tag}" of the repository "{repository}"', repository)


def listing(transport: Transport, refused: Refused, repository: str | None = None) -> ReprolockError:
    """The answer to a call that lists repositories, or the branches and tags of one."""
    if repository is None:
        return _other(transport, refused, "list the repositories", None)
    if refused.status in (400, 404) and not _there(transport, ("repositories", repository)):
        return no_repository(transport, repository)
    return _other(transport, refused, f'list the branches and tags of the repository "{repository}"', repository)


def naming(
    transport: Transport, refused: Refused, repository: str, kind: str, name: str, source: str
) -> ReprolockError:
    """The answer to the making of a branch or a tag at a source. A tag cannot have the name of a branch either."""
    if refused.status == 409:
        taken = "branch" if _there(transport, ("repositories", repository, "branches", name)) else "tag"
        return errors.exists(taken, name, f'the repository "{repository}"')
    explained = reading(transport, refused, repository, [source])
    if isinstance(explained, NotFound):
        return explained
    return _other(transport, refused, f'make the {kind} "{name}" in the repository "{repository}"', repository)


def creating(transport: Transport, refused: Refused, repository: str) -> ReprolockError:
    """The answer to the creation of a repository."""
    if refused.status == 409:
        return errors.exists("repository", repository, f"the lake {transport.credentials.endpoint}")
    return _other(transport, refused, f'create the repository "{repository}"', repository)


def no_repository(transport: Transport, repository: str) -> ReprolockError:
    """The sentence for a repository that is not there, with the nearest name that is."""
    try:
        known = transport.ask("GET", ("repositories",), {"amount": 1000})["results"]
    except Refused:
        known = []  # these credentials may not list what there is
    return errors.no_repository(transport.credentials.endpoint, repository, [entry["id"] for entry in known])


def names(transport: Transport, repository: str, kind: str) -> Iterator[str]:
    """Names of "branches" or "tags", as lakeFS sorts them."""
    for page in transport.pages(("repositories", repository, kind), {}):
        for entry in page:
            yield entry["id"]


def _other(transport: Transport, refused: Refused, doing: str, repository: str | None) -> ReprolockError:
    keys, said = transport.credentials, refused.said or f"it answers {refused.status}"
    if refused.status == 403:
        # So it answers for a repository that is read-only, and for a user without the right.
        if repository is not None and _repository(transport, repository).get("read_only"):
            return errors.read_only(repository)
        return errors.forbidden(keys.endpoint, keys.credentials_place, doing, said)
    return errors.refused(keys.endpoint, doing, said)


def _there(transport: Transport, place: Sequence[str]) -> bool:
    try:
        transport.ask("GET", place)
    except Refused:
        return False
    return True


def _ask_commit(transport: Transport, repository: str, ref: str) -> str | None:
    try:
        found = transport.ask("GET", ("repositories", repository, "refs", ref, "commits"), {"amount": 1})["results"]
    except Refused:
        return None
    return found[0]["id"] if found else None


def _is_staged(transport: Transport, repository: str, branch: str) -> bool | None:
    """None where the branch is not there."""
    try:
        return bool(
            transport.ask("GET", ("repositories", repository, "branches", branch, "diff"), {"amount": 1})["results"]
        )
    except Refused:
        return None


def _list_names(transport: Transport, repository: str, kind: str) -> list[str]:
    """`names`, none where these credentials may not list them."""
    try:
        return list(names(transport, repository, kind))
    except Refused:
        return []


def _repository(transport: Transport, repository: str) -> Mapping[str, Any]:
    """What lakeFS says of a repository; nothing where it is not there, or these credentials may not read it."""
    try:
        found: Mapping[str, Any] = transport.ask("GET", ("repositories", repository))
    except Refused:
        return {}
    return found


def _is_protected(transport: Transport, repository: str, branch: str) -> bool:
    try:
        rules = transport.ask("GET", ("repositories", repository, "settings", "branch_protection"))
    except Refused:
        return False
    return any(fnmatchcase(branch, rule["pattern"]) for rule in rules)


def _differences(
    transport: Transport, repository: str, left: str, right: str, kind: str = "two_dot"
) -> Iterator[tuple[str, str]]:
    for page in transport.pages(("repositories", repository, "refs", left, "diff", right), {"type": kind}):
        for entry in page:
            yield entry["type"], entry["path"]
