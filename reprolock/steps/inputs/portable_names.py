"""Check that a folder on this machine can hold files of the listed names; one error names all that it cannot.

A lake may be written by others, and is foreign input: a name may point out of the folder, and two names may
be one on a file system that ignores case.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from reprolock.errors import UsageError
from reprolock.model.uri import LakeURI, check_path

_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))}


def refuse_names(names: Sequence[str], uri: LakeURI, folder: Path) -> None:
    """UsageError unless a file of each name can be made in `folder`, which must exist and be empty."""
    windows = os.name == "nt"
    problems = [f"{name!r}: {reason}" for name in names if (reason := unsafe(name, windows=windows))]
    problems += (
        f"{one!r} and {other!r} are the same name here" for one, other in collisions(names, fold=ignores_case(folder))
    )
    if problems:
        raise UsageError(
            f"{uri} has names that a folder here cannot hold: {len(problems)}",
            hint="get the objects one by one under names of your own",
            problems=tuple(problems),
        )


def refuse_name(name: str, uri: LakeURI) -> None:
    """UsageError unless a file of that one name can be made below any folder."""
    if reason := unsafe(name, windows=os.name == "nt"):
        raise UsageError(
            f"{name!r} of {uri} cannot be the name of a file here: {reason}",
            hint="get the object under a name of your own",
        )


def unsafe(name: str, *, windows: bool) -> str | None:
    """Why a file of that name must not be made; None when it may."""
    try:
        check_path(name)
    except ValueError:
        return "it could leave the folder"
    if not name or name.endswith("/"):
        return "it is not a file's name"
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return "it is not text"
    segments = name.split("/")
    if len(name.encode()) > 255 and any(len(segment.encode()) > 255 for segment in segments):
        return "a part of it is longer than 255 bytes"
    if windows and any(_unknown_to_windows(segment) for segment in segments):
        return "Windows does not allow such a name"
    return None


def _unknown_to_windows(segment: str) -> bool:
    device = segment.partition(".")[0].rstrip().upper() in _DEVICES
    return device or segment[-1] in ". " or any(character in '<>:"|?*' or character < " " for character in segment)


def collisions(names: Iterable[str], *, fold: bool) -> list[tuple[str, str]]:
    """Pairs that cannot live side by side: a file and a folder of one name; with `fold`, names that differ in
    case or in Unicode's normal form only, folders included."""
    files: set[str] = set()
    folders: dict[str, str] = {}
    seen: dict[str, str] = {}
    pairs: dict[tuple[str, str], None] = {}
    for name in names:
        files.add(name)
        end = -1
        while (end := name.find("/", end + 1)) >= 0:
            folders.setdefault(name[:end], name)
            if fold:
                _meet(name[:end], seen, pairs)
        if fold:
            _meet(name, seen, pairs)
    pairs.update(dict.fromkeys((name, folders[name]) for name in sorted(files & folders.keys())))
    return list(pairs)


def _meet(name: str, seen: dict[str, str], pairs: dict[tuple[str, str], None]) -> None:
    key = unicodedata.normalize("NFC", name).casefold()
    if (other := seen.setdefault(key, name)) != name:
        pairs[other, name] = None


def ignores_case(folder: Path) -> bool:
    """Whether the file system takes "a" for "A", found by trying in an empty folder."""
    probe = folder / "reprolock-case"
    probe.touch()
    try:
        return (folder / "REPROLOCK-CASE").exists()
    finally:
        probe.unlink()
