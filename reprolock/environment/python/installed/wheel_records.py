"""Compare installed files with the RECORDs of their packages (PEP 376).

A RECORD is a wheel's own word: it may use any hash, pad it, or be wrong, and two packages may list one file.
The pinned hash of the wheel stays the truth; what differs here is a reason to install that wheel again
(`env_build`), never a reason to refuse it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from packaging.utils import canonicalize_name

NOTHING = "nothing"
"""What stands for the digest of a file that is not there."""


class Overlap(NamedTuple):
    """One file that several packages bring with other bytes each. `path` is relative to site-packages."""

    path: str
    packages: tuple[str, ...]


class Doubts(NamedTuple):
    """Where installed files are not what RECORDs list.

    `edited` gives the packages of each file whose bytes no package lists, by path; `overlaps` are files of several
    packages, of which at most one is what stands there; `losing` names those to install again, in this order: those
    whose bytes are not there though they come last by name, and each whose file one of these would take.
    """

    edited: Mapping[str, tuple[str, ...]]
    overlaps: tuple[Overlap, ...]
    losing: tuple[str, ...]


def parse_info_name(info: Path) -> tuple[str, str]:
    """The normalised name and the version that a folder of metadata is called by (PEP 376)."""
    raw, version = info.name.removesuffix(".dist-info").rsplit("-", 1)
    return canonicalize_name(raw), version


def recorded_files(info: Path) -> Iterator[tuple[str, str]]:
    """(path, "ALGORITHM=DIGEST" or "") of each line of a RECORD; nothing where there is none."""
    try:
        with open(info / "RECORD", encoding="utf-8", errors="surrogateescape", newline="") as file:
            for row in csv.reader(file):
                if row:
                    yield row[0], row[1] if len(row) > 1 else ""
    except FileNotFoundError:
        return


def owners_by_path(packages: Path) -> dict[str, dict[str, str]]:
    """Path as RECORDs list it → (package → what its RECORD says), of every package below `packages`."""
    found: dict[str, dict[str, str]] = {}
    for info in sorted(packages.glob("*.dist-info")):
        name = parse_info_name(info)[0]
        for path, value in recorded_files(info):
            found.setdefault(path, {})[name] = value
    return found


def digest_of_file(path: Path, algorithm: str = "sha256") -> str:
    """A file's digest as a RECORD writes it: URL-safe base 64 without padding; `NOTHING` where there is none, or a pipe or a
    device, for a RECORD may name any path."""
    try:
        if not path.is_file():
            return NOTHING
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, algorithm).digest()
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    return f"{algorithm}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def agrees(path: Path, value: str) -> bool:
    """Whether a file has the digest that a RECORD gives it. False for a hash that no Python knows."""
    algorithm, _, digest = value.partition("=")
    try:
        return digest_of_file(path, algorithm.lower()) == f"{algorithm.lower()}={digest.rstrip('=')}"
    except (ValueError, TypeError):  # an unknown algorithm, or one of no fixed length
        return False


def find_doubts(packages: Path) -> Doubts:
    """Hash every installed file that a RECORD gives a digest for."""
    listed = {path: values for path, owners in owners_by_path(packages).items() if (values := _with_digest(owners))}
    with ThreadPoolExecutor() as pool:
        agreeing = pool.map(lambda item: _find_agreeing(packages / item[0], item[1]), listed.items(), chunksize=64)
    edited, overlaps, losing = {}, [], set()
    for (path, values), agree in zip(listed.items(), agreeing, strict=True):
        names = tuple(sorted(values))
        if not agree:
            edited[path] = names
        elif len(agree) < len(names):
            overlaps.append(Overlap(path, names))
            losing |= {names[-1]} - agree
    return Doubts(edited, tuple(sorted(overlaps)), _with_later_owners(losing, overlaps))


def _with_later_owners(losing: Iterable[str], overlaps: Sequence[Overlap]) -> tuple[str, ...]:
    """A package that is installed again writes all of its files, also those that a later one by name has to have."""
    again = set(losing)
    for name in sorted({name for overlap in overlaps for name in overlap.packages}):
        if any(
            name in packages and any(other in again and other < name for other in packages) for _, packages in overlaps
        ):
            again.add(name)
    return tuple(sorted(again))


def _with_digest(owners: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in owners.items() if value}


def _find_agreeing(path: Path, values: Mapping[str, str]) -> set[str]:
    return {name for name, value in values.items() if agrees(path, value)}
