"""The manifest of a built environment, and the two lists beside it, by which later changes are detected.

The manifest names the interpreter and every distribution with a digest of its own files. The listing
holds path, size and time of every file; comparing it costs one look at each file and reads none. The
digests are those of every file when the environment had been built: a file whose time alone has changed is
read and compared with them. Other bytes of the same size and time are not detected so: a replay, which is
evidence, has every file hashed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from pydantic import Field, Strict, ValidationError

from reprolock.environment.python.installed.wheel_records import (
    digest_of_file,
    owners_by_path,
    parse_info_name,
    recorded_files,
)
from reprolock.files.atomic_write import TEMPORARY, write_whole
from reprolock.model.digest import sha256
from reprolock.model.value import Value

MANIFEST, LISTING, DIGESTS = "reprolock-manifest.json", "reprolock-listing.txt", "reprolock-digests.txt"
_UNLISTED = (MANIFEST, LISTING, DIGESTS, ".lock")
"""At the top of an environment: our own three files, and uv's guard."""
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
        name, version = parse_info_name(info)
        found.append(Installed(name=name, version=version, digest=_digest(info), built=(info / _BUILT).exists()))
    return tuple(sorted(found, key=lambda item: item.name))


def _digest(info: Path) -> str:
    """Of the files below site-packages that the wheel brought: scripts and notes are the installer's."""
    lines = []
    for path, value in recorded_files(info):
        if not path.startswith(("../", "/")) and Path(path).name not in _BY_THE_INSTALLER:
            lines.append(f"{path}\0{value or digest_of_file(info.parent / path)}\n")
    return sha256("".join(sorted(lines)).encode("utf-8", "surrogateescape"))


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


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Note what stands in `folder`. The manifest comes last: where it stands, the environment is whole."""
    listed = listing(folder)
    lines = (f"{path}\t{digest}\n" for path, digest in _hash_files(folder, sorted(_parse_lines(listed))).items())
    write_whole(folder / DIGESTS, "".join(lines).encode("utf-8", "surrogateescape"))
    write_whole(folder / LISTING, listed)
    write_whole(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest, None where there is none that can be read: such an environment is not whole."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None


def changes(folder: Path, packages: Path, manifest: Manifest, *, hashing: bool = False) -> tuple[str, ...]:
    """What is not as it was built, such as "six 1.17.0 was installed"; empty for nothing.

    A file whose time has changed over the bytes that it was built with is noted again and is not a change. `hashing`:
    every file is read and compared with what it was, though no size and no time has changed.
    """
    try:
        noted, digests = ((folder / name).read_bytes() for name in (LISTING, DIGESTS))
    except OSError as error:
        return (f"{Path(error.filename).name} is gone",)
    found = listing(folder)
    if found == noted and not hashing:
        return ()
    moved = _find_changed_versions(manifest, packages)
    before, after = _parse_lines(noted), _parse_lines(found)
    suspects = {path for path in before.keys() | after.keys() if hashing or before.get(path) != after.get(path)}
    edited = _find_edits(folder, packages, suspects, _parse_lines(digests), moved.keys())
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
    folder: Path, packages: Path, suspects: Collection[str], digests: Mapping[str, str], moved: Collection[str]
) -> list[str]:
    """Which of the files in doubt were added, removed or edited, save those that go with a distribution in `moved`."""
    owners = {
        os.path.relpath(packages / path, folder).replace(os.sep, "/"): tuple(names)
        for path, names in owners_by_path(packages).items()
    }
    doubted = sorted(path for path in suspects if not _is_the_installers(path))
    sentences = []
    for path, digest in _hash_files(folder, doubted).items():
        names = owners.get(path, ())
        if digest == digests.get(path) or set(moved) & set(names) or (moved and not names):
            continue
        what = "added" if path not in digests else "removed" if digest is None else "edited"
        sentences.append(f"{path} was {what}{_name_packages(path, owners)}")
    return sentences


def _is_the_installers(path: str) -> bool:
    """Notes in a folder of metadata, which the installer writes again when it installs the same wheel again."""
    return Path(path).name in _BY_THE_INSTALLER and Path(path).parent.suffix == ".dist-info"


def _name_packages(path: str, owners: Mapping[str, tuple[str, ...]]) -> str:
    """ " (package six)": the packages that list the file, or else those that have files in the nearest folder."""
    names = set(owners.get(path, ()))
    for parent in Path(path).parents:
        if names or parent.name in ("site-packages", "bin", "Scripts", "lib", ""):
            break
        names = {
            name for other, all_names in owners.items() if Path(other).is_relative_to(parent) for name in all_names
        }
    return f" (package {', '.join(sorted(names))})" if names else ""


def _hash_files(folder: Path, paths: Collection[str]) -> dict[str, str | None]:
    """A digest for each path below `folder`, None for one that is gone; of a link what it points to is meant."""

    def one(path: str) -> str | None:
        place = folder / path
        if place.is_symlink():
            return f"link={os.readlink(place)}"
        return digest_of_file(place) if place.exists() else None

    with ThreadPoolExecutor() as pool:
        return dict(zip(paths, pool.map(one, paths, chunksize=64), strict=True))


def _parse_lines(lines: bytes) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in lines.decode("utf-8", "surrogateescape").split("\n") if line)
