"""Loose objects of a Git repository, read here: libgit2 1.9 never returns from one that was cut short.

In: an object's ID. Out: its bytes, verified; `CutShort` where the file is not whole.
"""

from __future__ import annotations

import hashlib
import zlib

import pygit2


class CutShort(Exception):
    """The file is there and does not hold the object. Never leaves the lake."""


def read_loose(repository: str, oid: pygit2.Oid) -> bytes | None:
    """The bytes of a loose object; None where it is not loose, but packed or not there. `repository` is its folder."""
    name = str(oid)
    try:
        with open(f"{repository}/objects/{name[:2]}/{name[2:]}", "rb") as file:
            packed = file.read()
    except FileNotFoundError:
        return None
    try:
        data = zlib.decompress(packed)
    except zlib.error:
        raise CutShort from None
    if hashlib.sha1(data, usedforsecurity=False).hexdigest() != name:
        raise CutShort
    return data[data.index(b"\0") + 1 :]
