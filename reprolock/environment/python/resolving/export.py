"""Write the locked packages in other tools' formats.

Hashed requirements (pip, uv and most else read them) come from the lock alone. A pylock.toml (PEP 751)
needs the files' names, which the lock leaves out; uv looks them up, in its cache where it is offline.
Neither holds an address.
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel, Pylock
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from reprolock.environment.python.declared.requirement_line import without_hashes
from reprolock.environment.python.indexes import Indexes, read_indexes
from reprolock.environment.python.uv import Uv
from reprolock.errors import PinError
from reprolock.model.lock import EnvironmentPin, PackagePin
from reprolock.model.python_version import is_exact


def requirement_lines(packages: Iterable[PackagePin], declared: Sequence[str]) -> Iterator[str]:
    """One requirement with its hashes a package, each ending in a newline.

    `declared` is what the project asks for: a package that it names by address is named so here too.
    """
    addresses = _addresses(declared)
    for package in packages:
        name = (
            f"{package.name} @ {addresses[package.name]}"
            if package.name in addresses
            else f"{package.name}=={package.version}"
        )
        marker = f" ; {package.marker}" if package.marker else ""
        yield f"{name}{marker}" + "".join(f" \\\n    --hash=sha256:{value}" for value in package.hashes) + "\n"


def hashed_requirements(pin: EnvironmentPin) -> str:
    """A requirements file with every package, its marker and its hashes, for pip's and uv's --require-hashes."""
    return "".join(requirement_lines(pin.package, pin.requirements))


def pylock(
    pin: EnvironmentPin,
    *,
    offline: bool = False,
    environ: Mapping[str, str] = os.environ,
    indexes: Indexes | None = None,
) -> str:
    """A pylock.toml whose files are named by `path`, so that they stand beside it and no index is named.

    PinError when the index no longer has a pinned version or one of its files; ServiceError when it is down.
    """
    import tomlkit  # only where a file of this format is written

    pins = {(package.name, package.version): package for package in pin.package}
    packages = []
    uv = Uv(environ, offline, indexes=(indexes or read_indexes(environ)).for_pinned)
    for found in look_up(pin.package, pin.requirements, pin.python, uv) if pins else ():
        pinned = pins.get((found.name, str(found.version)))
        if pinned is not None:
            packages.append(_package(found, pinned, _addresses(pin.requirements).get(found.name)))
    document = Pylock(
        lock_version=Version("1.0"),
        requires_python=SpecifierSet(f"=={pin.python}" if is_exact(pin.python) else f"=={pin.python}.*"),
        created_by="reprolock",
        packages=packages,
    )
    document.validate()
    return tomlkit.dumps(document.to_dict())


def look_up(pins: Iterable[PackagePin], declared: Sequence[str], python: str, uv: Uv) -> Sequence[Package]:
    """The pinned versions as the index lists them, with file names and addresses. Errors as of `pylock`."""
    with tempfile.TemporaryDirectory(prefix="reprolock-") as temporary:
        folder = Path(temporary)
        (folder / "requirements.in").write_text("".join(requirement_lines(pins, declared)))
        arguments = [
            "pip",
            "compile",
            "requirements.in",
            "--format",
            "pylock.toml",
            "-o",
            "pylock.toml",
            "--universal",
            "--no-deps",
        ]
        answer = uv.run([*arguments, "--python-version", python, "--no-header", "--no-sources"], folder)
        if answer.complaint:
            raise PinError(
                "a pinned package is not on the index any more",
                problems=answer.complaint.lines,
                owner_hint="run `reprolock lock --upgrade`",
            )
        return Pylock.from_dict(tomllib.loads((folder / "pylock.toml").read_text(encoding="utf-8"))).packages


def _package(found: Package, pinned: PackagePin, address: str | None) -> Package:
    fields: dict[str, Any] = {"name": found.name, "version": found.version}
    fields["marker"] = Marker(pinned.marker) if pinned.marker else None
    if found.archive:
        fields["archive"] = PackageArchive(url=address, hashes={"sha256": pinned.hashes[0]})
        return Package(**fields)
    files: list[PackageWheel | PackageSdist] = [*(found.wheels or ()), *([found.sdist] if found.sdist else [])]
    listed = {file.hashes.get("sha256"): file for file in files}
    if missing := [value for value in pinned.hashes if value not in listed]:
        raise PinError(
            f"the index no longer has the file of {pinned.name} {pinned.version} with SHA-256 {missing[0]}",
            owner_hint=f"run `reprolock lock --upgrade-package {pinned.name}`",
        )
    kept = [file for value, file in listed.items() if value in pinned.hashes]
    wheels = [
        PackageWheel(path=file.filename, size=file.size, hashes={"sha256": file.hashes["sha256"]})
        for file in kept
        if isinstance(file, PackageWheel)
    ]
    sdists = [
        PackageSdist(path=file.filename, size=file.size, hashes={"sha256": file.hashes["sha256"]})
        for file in kept
        if isinstance(file, PackageSdist)
    ]
    return Package(**fields, wheels=wheels or None, sdist=sdists[0] if sdists else None)


def _addresses(declared: Sequence[str]) -> dict[str, str]:
    """Normalised name → address of the requirements that name one."""
    found: dict[str, str] = {}
    for line in declared:
        try:
            requirement = Requirement(without_hashes((line.removeprefix("-c "),))[0])
        except InvalidRequirement:
            continue  # a build requirement of a form of its own; it names no address
        if requirement.url:
            found[canonicalize_name(requirement.name)] = requirement.url
    return found
