"""List what an output consists of, and compute its digest. Nothing is changed.

A link that stays inside the output is a part of it, as the name of its target: it means the same wherever the
output is. One that leads elsewhere is what it leads to, for its name says nothing of that. What is
below such a link is elsewhere too, so that every link there is followed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from reprolock.files.os_errors import cannot_read
from reprolock.model.digest import ListingSummary, summarise


class LeadsNowhere(Exception):
    """A part of an output that has no bytes: `path` is where it stands, `why` the rest of a sentence on it."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}")
        self.path = path
        self.why = why


class _Part(NamedTuple):
    """A file of an output, by its path through the output's folders and links. `link`: it counts as a link."""

    path: Path
    link: bool


def measure(path: Path) -> ListingSummary | None:
    """Files, bytes and digest of an output, None where there is nothing, or a link that leads nowhere.

    `tree:` is SHA-256 over sorted paths, sizes and SHA-256 of all files below, hidden ones too; `file:`
    is the SHA-256 of one file.
    """
    try:
        return measure_listing(path)
    except LeadsNowhere:
        return None


def measure_listing(path: Path) -> ListingSummary | None:
    """As `measure`, but LeadsNowhere tells which link it is."""
    try:
        if path.is_symlink() and not path.exists():
            raise LeadsNowhere(path, _leads(path))
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return summarise(sorted(_listing(path), key=lambda entry: entry[0].encode()), "tree")
        if not stat.S_ISREG(mode):
            raise LeadsNowhere(path, "is neither a file nor a folder")
        return ListingSummary(1, path.stat().st_size, f"file:{_sha256(path)}")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_read(Path(error.filename or path), error) from error


def links_out(folder: Path) -> Iterator[Path]:
    """The links of an output that is a folder that lead to something elsewhere. OSError."""
    root = os.path.realpath(folder)
    for here, folders, names in os.walk(root, onerror=_raise):
        for path in (Path(here, name) for name in (*names, *folders)):
            if path.is_symlink() and not _stays(path, root) and _is_whole(path, root):
                yield path


def _is_whole(link: Path, root: str) -> bool:
    """Whether all that a link leads to has bytes."""
    way = frozenset(str(place) for place in link.parents if place.is_relative_to(root))
    try:
        return link.is_file() or (link.is_dir() and all(_parts(link, None, way)))
    except LeadsNowhere:
        return False


def _parts(folder: Path, root: str | None, above: frozenset[str]) -> Iterator[_Part]:
    """Each file and link of a folder. LeadsNowhere; OSError.

    `root` is the output's own folder, None below a link that is followed; `above` are the folders on the way.
    """
    real = os.path.realpath(folder)
    if real in above:
        raise LeadsNowhere(folder, "is a link to a folder that it stands in")
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry)
            if entry.is_symlink() and root is not None and _stays(path, root):
                yield _Part(path, True)
            elif entry.is_dir():
                yield from _parts(path, None if entry.is_symlink() else root, above | {real})
            elif entry.is_file():
                yield _Part(path, False)
            elif entry.is_symlink():
                raise LeadsNowhere(path, _leads(path))


def _stays(link: Path, root: str) -> bool:
    """Whether a link means the same wherever the output is: at every step, and in the end, it is inside."""
    target = os.readlink(link)
    step = os.path.normpath(os.path.join(os.path.realpath(link.parent), target))
    return not os.path.isabs(target) and all(
        Path(place).is_relative_to(root) for place in (step, os.path.realpath(link))
    )


def _listing(folder: Path) -> Iterator[tuple[str, int, str]]:
    """(path, size, checksum) of each file and link below a folder; names that are not UTF-8 enter escaped."""
    for path, link in _parts(folder, os.path.realpath(folder), frozenset()):
        shown = os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")
        if link:
            target = os.fsencode(os.readlink(path))
            yield shown, len(target), f"link:{hashlib.sha256(target).hexdigest()}"
        else:
            yield shown, path.stat().st_size, _sha256(path)


def _leads(link: Path) -> str:
    return f"is a link to {os.readlink(link)}, where no file is"


def _raise(error: OSError) -> None:
    raise error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
