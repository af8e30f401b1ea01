"""The manifest of a built environment, by which later changes are detected.

The manifest names the interpreter and every distribution with a digest of its own files. The listing
holds path, size and time of every file; comparing it costs one look at each file and reads none.
A file whose time alone has changed is read and compared with its distribution's RECORD. Other bytes of the same size
and time are not detected so: a replay, which is evidence, has every RECORD and all that it lists hashed.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from packaging.utils import canonicalize_name
from pydantic import Field, Strict, ValidationError

from reprolock.files.atomic_write import TEMPORARY, write_whole
from reprolock.model.digest import sha256
from reprolock.model.value import Value

MANIFEST, LISTING = "reprolock-manifest.json", "reprolock-listing.txt"
_UNLISTED = (MANIFEST, LISTING, ".lock")
"""At the top of an environment: our own two files, and uv's guard."""
_CACHES = ("__pycache__",)
_BUILT = "uv_build.json"
"""uv leaves this in what it built with variables of ours (see `env_build`)."""
_BY_THE_INSTALLER = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json", _BUILT)


class Installed(Value):
    """One distribution as it was installed."""

    name: str = Field(description="The normalised name.")
    version: str
    digest: str = Field(description="SHA-256 over path and SHA-256 of the wheel's own files, as its RECORD lists them.")
    built: bool = Field(False, description="True for a wheel that was built here, from an sdist.")


class Manifest(Value):
    """What the environment was built of."""

    python: str = Field(description="The interpreter's exact version.")
    implementation: str
    platform: str
    distribution: Annotated[tuple[Installed, ...], Strict(False)] = ()


def distributions(packages: Path) -> tuple[Installed, ...]:
    """Every distribution in a site-packages folder, sorted by name."""
    found = []
    for info in sorted(packages.glob("*.dist-info")):
        name, version = _parse_info_name(info)
        found.append(Installed(name=name, version=version, digest=_digest(info), built=(info / _BUILT).exists()))
    return tuple(sorted(found, key=lambda item: item.name))


def _parse_info_name(info: Path) -> tuple[str, str]:
    """The normalised name and the version that a folder of metadata is called by (PEP 376)."""
    raw, version = info.name.removesuffix(".dist-info").rsplit("-", 1)
    return canonicalize_name(raw), version


def _digest(info: Path) -> str:
    """Of the files below site-packages that the wheel brought: scripts and notes are the installer's."""
    lines = []
    for path, value in _record(info):
        if not path.startswith(("../", "/")) and Path(path).name not in _BY_THE_INSTALLER:
            lines.append(f"{path}\0{value or _recorded_form(info.parent / path)}\n")
    return sha256("".join(sorted(lines)).encode())


def _record(info: Path) -> Iterator[tuple[str, str]]:
    """(path, "sha256=…") of each line of a RECORD."""
    try:
        with open(info / "RECORD", encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                if row:
                    yield row[0], row[1] if len(row) > 1 else ""
    except FileNotFoundError:
        return


def listing(folder: Path) -> bytes:
    """Path, size and time of every file below `folder`, sorted; caches of bytecode are left out."""
    lines: list[str] = []
    stack = [(str(folder), "")]
    while stack:
        path, above = stack.pop()
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _CACHES:
                        stack.append((entry.path, f"{above}{entry.name}/"))
                elif above or not (entry.name in _UNLISTED or entry.name.endswith(TEMPORARY)):
                    stat = entry.stat(follow_symlinks=False)
                    lines.append(f"{above}{entry.name}\t{stat.st_size}\t{stat.st_mtime_ns}\n")
    return "".join(sorted(lines)).encode("utf-8", "surrogateescape")


def corrupt(packages: Path) -> tuple[str, ...]:
    """Installed files whose bytes are not those that their RECORD lists, by path below `packages`.

    uv links files out of its cache, so that an edit of such a file in an environment edits the cache too.
    """
    listed = [(path, value) for info in packages.glob("*.dist-info") for path, value in _record(info) if value]
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda item: _recorded_form(packages / item[0]), listed, chunksize=64)
        return tuple(sorted(path for (path, value), real in zip(listed, found, strict=True) if real != value))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Note what stands in `folder`. The manifest comes last: where it stands, the environment is whole."""
    write_whole(folder / LISTING, listing(folder))
    write_whole(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest, None where there is none that can be read: such an environment is not whole."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None


def owners(packages: Path, paths: Collection[str]) -> tuple[str, ...]:
    """The distributions, sorted by name, whose RECORDs list any of these paths (as `corrupt` gives them)."""
    found = {info for info in packages.glob("*.dist-info") for path, _ in _record(info) if path in paths}
    return tuple(sorted(_parse_info_name(info)[0] for info in found))


def changes(folder: Path, packages: Path, manifest: Manifest, *, hashing: bool = False) -> tuple[str, ...]:
    """What is not as it was built, such as "six 1.17.0 was installed"; empty for nothing.

    A file whose time has changed over the bytes that its RECORD lists is noted anew and is not a change. `hashing`:
    the RECORDs are compared with the manifest, and their files with them, though no size and no time has changed.
    """
    try:
        noted = (folder / LISTING).read_bytes()
    except OSError:
        return (f"{LISTING} is gone",)
    found = listing(folder)
    if found == noted and not hashing:
        return ()
    moved = _find_changed_versions(manifest, packages)
    before, after = _parse_listing(noted), _parse_listing(found)
    edited = _find_edits(folder, packages, before, after, moved.keys())
    if hashing:
        places = [os.path.relpath(packages / path, folder).replace(os.sep, "/") for path in corrupt(packages)]
        # Bytecode, which is not listed, is Python's own to write anew, also where a wheel brought it.
        edited += [f"{place} was edited" for place in places if place in after and before.get(place) == after[place]]
    if not moved and not edited and found != noted:
        write_whole(folder / LISTING, found)
    return (*moved.values(), *edited)


def _find_changed_versions(manifest: Manifest, packages: Path) -> dict[str, str]:
    """Distributions that came, went or were replaced: normalised name → sentence."""
    before = {item.name: item for item in manifest.distribution}
    after = {item.name: item for item in distributions(packages)}
    sentences = {}
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None and new is not None:
            sentences[name] = f"{name} {new.version} was installed"
        elif old is not None and new is None:
            sentences[name] = f"{name} {old.version} was removed"
        elif old and new and old.version != new.version:
            sentences[name] = f"{name} {old.version} became {new.version}"
        elif old and new and old.digest != new.digest:
            sentences[name] = f"{name} {old.version} was replaced by other files"
    return sentences


def _find_edits(
    folder: Path, packages: Path, before: Mapping[str, str], after: Mapping[str, str], moved: Collection[str]
) -> list[str]:
    """Files that were added, removed or edited, save those that go with a distribution in `moved`."""
    owners: dict[str, tuple[str, str]] = {}
    for info in packages.glob("*.dist-info"):
        name, _ = _parse_info_name(info)
        for listed, digest in _record(info):
            place = os.path.relpath(packages / listed, folder).replace(os.sep, "/")
            owners[place] = (name, "" if Path(listed).name in _BY_THE_INSTALLER else digest)
    sentences = []
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) == after.get(path):
            continue
        owner, value = owners.get(path) or (None, None)
        if owner in moved or (owner is None and moved) or value == "":
            continue
        if path not in after:
            sentences.append(f"{path} was removed")
        elif value is None and path not in before:
            sentences.append(f"{path} was added")
        elif value is None or value != _recorded_form(folder / path):
            sentences.append(f"{path} was edited")
    return sentences


def _recorded_form(path: Path) -> str:
    """A file's digest as a RECORD writes it: "sha256=" and URL-safe base 64 without padding."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        return "nothing"
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _parse_listing(lines: bytes) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in lines.decode("utf-8", "surrogateescape").splitlines())
