"""What `environment.python` may say: a feature version ("3.11"), an exact one ("3.11.7") or a range (">=3.11,<3.13").

A lock pins a feature version, or an exact one where only that is accepted. A feature version stands for every release
of it, so a range accepts one only when it accepts all of them.
"""

from __future__ import annotations

import re

_VERSION = re.compile(r"3\.\d+(?:\.\d+)?")
_LAST = 99
"""A release that no feature version comes to."""


def is_python(declared: str) -> bool:
    """Whether this can be read at all."""
    if _VERSION.fullmatch(declared):
        return True
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # only where a range is written

    try:
        return bool(declared.strip()) and bool(SpecifierSet(declared))
    except InvalidSpecifier:
        return False


def is_range(declared: str) -> bool:
    """Whether several versions are accepted, so that one has to be chosen."""
    return not _VERSION.fullmatch(declared)


def is_exact(pinned: str) -> bool:
    """Whether this is one release, "3.11.7"."""
    return pinned.count(".") == 2


def feature_of(version: str) -> str:
    """ "3.11" of "3.11.7"."""
    return ".".join(version.split(".")[:2])


def accepts_python(declared: str, pinned: str) -> bool:
    """Whether what is declared accepts a version that is pinned, or found ("3.11.7")."""
    if not is_range(declared):
        return declared == pinned
    from packaging.specifiers import SpecifierSet

    versions = [pinned] if is_exact(pinned) else [f"{pinned}.0", f"{pinned}.{_LAST}"]
    return all(version in SpecifierSet(declared, prereleases=True) for version in versions)


def to_pin(declared: str, found: str) -> str:
    """What a lock pins for an interpreter of version `found`: its feature version where all of it is accepted, else itself."""
    feature = feature_of(found)
    return feature if not is_range(declared) or accepts_python(declared, feature) else found
