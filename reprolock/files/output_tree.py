"""List what an output consists of, and compute its digest. Nothing is changed.

A link that stays inside the output is a part of it, as the name of its target: it means the same wherever the
output is. One that leads elsewhere is what it leads to, for its name says nothing of that. What is
below such a link is elsewhere too, so that every link there is followed. A pipe, a socket or a device is
no part of an output: a reader of it may see anything.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from reprolock.files.os_errors import cannot_read
from reprolock.model.digest import ListingSummary

_NEITHER = "is neither a file nor a folder"


class LeadsNowhere(Exception):
    """A part of an output that has no bytes: `path` is where it stands, `why` the rest of a sentence on it."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}")
        self.path = path
        self.why = why


Kind = Literal["file", "executable", "folder", "link"]


class _Part(NamedTuple):
    """A part of an output, by its path through the output's folders and links. A "folder" is an empty one."""

    path: Path
    kind: Kind


def measure(path: Path) -> ListingSummary | None:
    """Files, bytes and digest of an output, None where there is nothing, or a link that leads nowhere.

    `folder:` is SHA-256 over all that is below, hidden parts too, sorted by path: path to the byte, kind (file,
    executable, link, empty folder) and SHA-256 of the bytes or of a link's target. `file:` is the SHA-256 of one file,
    `executable:` that of one that its owner may execute.
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
            return _summarise(path)
        if not stat.S_ISREG(mode):
            raise LeadsNowhere(path, _NEITHER)
        return ListingSummary(1, path.stat().st_size, f"{_file_kind(mode)}:{_sha256(path)}")
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
    """Each file, link and empty folder below a folder. LeadsNowhere; OSError.

    `root` is the output's own folder, None below a link that is followed; `above` are the folders on the way.
    """
    real = os.path.realpath(folder)
    if real in above:
        raise LeadsNowhere(folder, "is a link to a folder that contains it")
    empty = True
    with os.scandir(folder) as entries:
        for entry in entries:
            empty = False
            path = Path(entry)
            if entry.is_symlink() and root is not None and _stays(path, root):
                yield _Part(path, "link")
            elif entry.is_dir():
                yield from _parts(path, None if entry.is_symlink() else root, above | {real})
            elif entry.is_file():
                yield _Part(path, _file_kind(entry.stat().st_mode))
            else:
                raise LeadsNowhere(path, _leads(path) if entry.is_symlink() else _NEITHER)
    if empty and above:
        yield _Part(folder, "folder")


def _stays(link: Path, root: str) -> bool:
    """Whether a link means the same wherever the output is: at every step, and in the end, it is inside."""
    target = os.readlink(link)
    step = os.path.normpath(os.path.join(os.path.realpath(link.parent), target))
    return not os.path.isabs(target) and all(
        Path(place).is_relative_to(root) for place in (step, os.path.realpath(link))
    )


def _summarise(folder: Path) -> ListingSummary:
    """Count, sizes and digest of a folder's parts. Each enters by fields that carry their length: none can imitate another."""
    parts = sorted(
        (os.fsencode(part.path.relative_to(folder)), part)
        for part in _parts(folder, os.path.realpath(folder), frozenset())
    )
    state = hashlib.sha256()
    files = size = 0
    for name, part in parts:
        length, checksum = _content(part)
        for field in (part.kind.encode(), name, checksum.encode()):
            state.update(b"%d:%s" % (len(field), field))
        files += part.kind != "folder"
        size += length
    return ListingSummary(files, size, f"folder:{state.hexdigest()}")


def _content(part: _Part) -> tuple[int, str]:
    """Size and SHA-256 of a file's bytes or of the name that a link leads to."""
    if part.kind == "folder":
        return 0, ""
    if part.kind == "link":
        target = os.fsencode(os.readlink(part.path))
        return len(target), hashlib.sha256(target).hexdigest()
    return part.path.stat().st_size, _sha256(part.path)


def _file_kind(mode: int) -> Literal["file", "executable"]:
    return "executable" if mode & stat.S_IXUSR else "file"


def _leads(link: Path) -> str:
    return f"is a link to {os.readlink(link)}, which does not exist"


def _raise(error: OSError) -> None:
    raise error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
