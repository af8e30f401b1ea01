"""The names that every lake accepts: one rule for both, so that data can move from one lake to the other.

In goes a name, out comes nothing, or the error that says which rule it breaks. The rules for
branches and repositories are lakeFS's own; tags follow Git's, less what an address cannot carry.
"""

from __future__ import annotations

import re

from reprolock.errors import UsageError
from reprolock.lake import errors
from reprolock.model.uri import LakeURI, check_path

LONGEST = 1024
"""Bytes of an object's path: the longest key that S3 has."""
_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")


def check_repository(name: str) -> None:
    """LakeRefused unless an address can carry the name."""
    try:
        LakeURI.parse(f"lakefs://{name}/main")
    except ValueError:
        reason = 'it must have 3 to 63 characters of a-z, 0-9 and "-", starting with a letter or digit'
        raise errors.bad_name("repository", name, reason) from None


def check_branch(name: str) -> None:
    """LakeRefused unless both lakes can hold the name. `main/x` is refused: it could not stand beside `main`."""
    if not _BRANCH.fullmatch(name):
        raise errors.bad_name("branch", name, 'it must have letters, digits, "_" and "-" only, and not start with "-"')


def check_tag(name: str) -> None:
    """LakeRefused unless both lakes can hold the name."""
    if not _TAG.fullmatch(name) or name.endswith(".lock"):
        reason = 'it must have letters, digits, "_", "-" and single "." between them only, and not end with ".lock"'
        raise errors.bad_name("tag", name, reason)


def check_object(place: LakeURI) -> None:
    """UsageError unless the address is the whole path of an object, which a folder's or a repository's is not."""
    if not place.path or place.path.endswith("/"):
        raise UsageError(f"{place} names a folder, not an object", hint="write the object's whole path")
    try:
        check_path(place.path)
        size = len(place.path.encode())
    except UnicodeEncodeError:
        raise UsageError(f"{ascii(place.path)} is not UTF-8", hint="rename the object") from None
    except ValueError as error:
        raise UsageError(str(error), hint="rename the object") from None
    if size > LONGEST:
        raise UsageError(f'"{place.path}" is longer than {LONGEST} bytes', hint="rename the object")
