"""`LakeURI`: parses `lakefs://repository/ref/path` as lakectl writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

SCHEME = "lakefs://"
_NO_TEXT = re.compile("[\ud800-\udfff]")
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
# lakeFS's rule for branch and tag names, and what its ref expressions add (`~`, `^`).
_REF = re.compile(r"[\w.$@~^/-]+")
_DOTS = {".", ".."}


class LakeURI(NamedTuple):
    """An address in a lake. `ref` is a branch, tag or commit ID; `path` has no leading slash, "" is all.

    The path is taken literally: no percent-decoding, as in lakectl.
    """

    repository: str
    ref: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> LakeURI:
        """Raise ValueError with a sentence saying what is wrong and what to write instead."""
        if not text.startswith(SCHEME):
            raise ValueError(f'"{text}" is not a lake address; write "lakefs://REPOSITORY/REF/PATH"')
        if _NO_TEXT.search(text):
            raise ValueError(f'"{text}" contains bytes that are not UTF-8')
        repository, _, rest = text[len(SCHEME) :].partition("/")
        if "@" in repository:
            raise ValueError(
                "an address must not contain a user name or password; credentials come from LAKECTL_* or ~/.lakectl.yaml"
            )
        if not _REPOSITORY.fullmatch(repository):
            raise ValueError(
                f'"{repository}" is not a repository name: 3 to 63 characters of a-z, 0-9 and "-", starting with a letter or digit'
            )
        ref, _, path = rest.partition("/")
        if not ref:
            raise ValueError(f'"{text}" names no branch, tag or commit; write "lakefs://{repository}/main/{path}"')
        if not _REF.fullmatch(ref):
            raise ValueError(f'"{ref}" is not a branch, tag or commit')
        check_path(path)
        return cls(repository, ref, path)

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}/{self.ref}/{self.path}"

    def at(self, ref: str) -> LakeURI:
        """The same path at another ref."""
        return self._replace(ref=ref)


def check_path(path: str) -> None:
    """Raise ValueError for a path that could leave its folder or that no file system can hold."""
    if path.startswith("/"):
        raise ValueError(f'"{path}" starts with "/"; a path in a lake is relative to its repository')
    if "\0" in path:
        raise ValueError(f'"{path}" contains a NUL character, which no file system holds')
    if "\\" in path:
        raise ValueError(f'"{path}" contains a backslash, which Windows takes for a separator of folders')
    segments = path.removesuffix("/").split("/")
    if not _DOTS.isdisjoint(segments):
        raise ValueError(f'"{path}" contains "." or ".." as a segment, which could lead out of its folder')
    if path and "" in segments:
        raise ValueError(f'"{path}" contains an empty segment ("//")')


def is_under(path: str, folder: str) -> bool:
    """Whole segments: `train/a` is under `train` and `train/`, `training/a` is not; all is under ""."""
    folder = folder.rstrip("/")
    return not folder or path == folder or path.startswith(folder + "/")


def with_folders(path: str) -> Iterator[str]:
    """A path, and each folder that it is in: to look these up is quick where `is_under` would be asked of many.

    >>> list(with_folders("src/data/a.py"))
    ['src/data/a.py', 'src/data', 'src']
    """
    while path:
        yield path
        path = path.rpartition("/")[0]


def percent_encoded(path: str) -> str:
    """The path as it stands in an address that follows RFC 3986 (s3a://, file://)."""
    return quote(path, safe="/-._~!$&'()*+,;=:@")
