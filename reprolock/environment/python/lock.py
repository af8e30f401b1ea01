"""Lock the Python packages of `[environment]` into an `EnvironmentPin`, for every platform at once.

1. the declared requirements are read (`requirements`),
2. uv resolves them, universally, keeping what is pinned already; its pylock.toml (PEP 751) is read by `packaging`,
3. of each package, the SHA-256 of every file that suits the Python is kept, and no address,
4. for packages that some platform must build, what they are built with is pinned the same way (`build_requirements`),
5. all of it is sealed.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from packaging.markers import InvalidMarker, Marker
from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock, PylockValidationError
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from reprolock.environment.python.build_requirements import build_requirements
from reprolock.environment.python.find_python import known_python
from reprolock.environment.python.requirements import Declaration, read_declared
from reprolock.environment.python.uv import Complaint, Uv
from reprolock.environment.python.wheel_tags import needs_build, suits
from reprolock.errors import PinError, ReprolockError, ServiceError, UsageError
from reprolock.model.lock import EnvironmentPin, PackagePin
from reprolock.model.spec import EnvironmentSpec

_OUTPUT = "pylock.toml"
_LONG = 240
"""Longer explanations of uv are shortened to their first and their last reason."""


@dataclass(frozen=True)
class _Question:
    """What one resolution is asked, besides the requirements: for which Python, as of when, what is free to move."""

    python: str
    as_of: datetime | None
    upgrade_packages: tuple[str, ...]

    @property
    def here(self) -> str:
        """The marker that holds under this Python; uv adds it to every package's own, and the lock needs it nowhere."""
        return f"python_full_version < '3.{int(self.python.split('.')[1]) + 1}'"


def resolve(
    spec: EnvironmentSpec,
    root: Path,
    *,
    python: str,
    java: str | None = None,
    keep: EnvironmentPin | None = None,
    upgrade: bool = False,
    upgrade_packages: tuple[str, ...] = (),
    as_of: datetime | None = None,
    offline: bool = False,
    environ: Mapping[str, str] = os.environ,
    remark: Callable[[str], None] | None = None,
    progress: Callable[[str], None] | None = None,
) -> EnvironmentPin:
    """Pin the packages of the project in `root` for a Python of feature version `python` ("3.11").

    What `keep` pins stays as long as it matches, unless `upgrade`, or its name (or NAME==VERSION) is
    among `upgrade_packages`. Of a pin whose seal is broken only the versions are taken, where they still can
    be: two branches that git merged are resolved again, and nothing else moves. `as_of` leaves out what was uploaded later. `remark` is given a sentence
    for each yanked version that is pinned, `progress` uv's steps. Errors: UsageError (a requirement that cannot be read,
    locked or resolved), ServiceError (the index is down, or offline and not cached), MachineError.
    """
    declaration = read_declared(spec, root)
    old = keep if keep and keep.python == python and not upgrade else None
    kept = _Kept(old.package, old.intact) if old else _Kept()
    question = _Question(python, as_of, _parse_upgrades(upgrade_packages, keep))
    uv = Uv(environ, offline=offline, progress=progress)
    with tempfile.TemporaryDirectory(prefix="reprolock-") as temporary:
        resolver = _Resolver(uv, Path(temporary), question)
        packages = resolver.packages(declaration, kept, remark)
        sources = [package for package in packages if package.source]
        if old and old.intact and sources == [package for package in old.package if package.source]:
            build = old.build
        else:
            interpreter = known_python(python, uv, Path(temporary))
            asked = build_requirements(sources, declaration.lines, interpreter, uv, Path(temporary), as_of)
            kept = _Kept(old.build, old.intact) if old else _Kept()
            build = resolver.packages(Declaration(asked, {}), kept, None) if asked else ()
    return EnvironmentPin.sealed(
        requirements=declaration.lines, python=python, java=java, package=tuple(packages), build=tuple(build)
    )


class _Kept(NamedTuple):
    """What was pinned before. The versions are preferred; hashes are taken over from an intact pin alone."""

    packages: tuple[PackagePin, ...] = ()
    intact: bool = True


@dataclass(frozen=True)
class _Resolver:
    uv: Uv
    folder: Path
    question: _Question

    def packages(
        self, declaration: Declaration, kept: _Kept, remark: Callable[[str], None] | None
    ) -> tuple[PackagePin, ...]:
        """The whole closure of the requirements, sorted by name and version."""
        if not declaration.requirements:
            return ()
        pins = {(package.name, package.version): package for package in kept.packages if kept.intact}
        free = {canonicalize_name(re.split("==", name)[0]) for name in self.question.upgrade_packages}
        if pins and not free and not self.question.as_of and not self.uv.offline:
            # What is pinned often still matches; then no index need be asked, and no large sdist fetched again.
            try:
                answer = replace(self, uv=self.uv.near)._resolve(declaration, kept.packages, None)
            except (ServiceError, UsageError):
                answer = []
            if answer and all((package.name, str(package.version)) in pins for package in answer):
                return self._pinned(answer, pins, declaration)
        answer = self._resolve(declaration, kept.packages, remark)
        return self._pinned(answer, {key: pin for key, pin in pins.items() if pin.name not in free}, declaration)

    def _resolve(
        self, declaration: Declaration, kept: Sequence[PackagePin], remark: Callable[[str], None] | None
    ) -> Sequence[Package]:
        asked, bounds, output = self.folder / "requirements.in", self.folder / "constraints.in", self.folder / _OUTPUT
        (self.folder / "pyproject.toml").write_text(f'[tool.uv]\nenvironments = ["{self.question.here}"]\n')
        asked.write_text("".join(f"{line}\n" for line in declaration.requirements))
        bounds.write_text("".join(f"{line}\n" for line in declaration.constraints))
        output.write_text(_preferences(kept))
        arguments = [
            "pip",
            "compile",
            asked.name,
            "--format",
            "pylock.toml",
            "-o",
            output.name,
            "--universal",
            "--generate-hashes",
        ]
        arguments += ["--python-version", self.question.python, "--no-header", "--no-sources"]
        arguments += ["-c", bounds.name] if declaration.constraints else []
        # uv reads its user's settings for the index, and these as well; a lock must not depend on them.
        arguments += [
            "--resolution",
            "highest",
            "--prerelease",
            "if-necessary-or-explicit",
            "--fork-strategy",
            "requires-python",
        ]
        if self.question.as_of:
            arguments += ["--exclude-newer", self.question.as_of.isoformat()]
        for name in self.question.upgrade_packages:
            arguments += ["--upgrade-package", name]
        answer = self.uv.run(arguments, self.folder)
        if answer.complaint:
            raise _unresolvable_error(answer.complaint)
        for warning in answer.warnings:
            if remark and "is yanked" in warning:
                remark(warning.replace("`", "").replace("==", " "))
        try:
            return Pylock.from_dict(tomllib.loads(output.read_text(encoding="utf-8"))).packages
        except (PylockValidationError, tomllib.TOMLDecodeError) as error:
            raise ReprolockError(
                f"uv's answer is not pylock.toml: {error}", hint="report this, with the version of uv"
            ) from error

    def _pinned(
        self, answer: Iterable[Package], pins: Mapping[tuple[str, str], PackagePin], declaration: Declaration
    ) -> tuple[PackagePin, ...]:
        found = [self._pin(package, pins, declaration.hashes) for package in answer]
        return tuple(sorted(found, key=lambda pin: (pin.name, pin.version, pin.marker or "")))

    def _pin(
        self, package: Package, pins: Mapping[tuple[str, str], PackagePin], given: Mapping[str, frozenset[str]]
    ) -> PackagePin:
        """One package's pin. What is pinned keeps its hashes, whatever the index has added or removed since."""
        version = str(package.version) if package.version else ""
        marker = without(str(package.marker).replace('"', "'"), self.question.here) if package.marker else None
        if pin := pins.get((package.name, version)):
            return pin.model_copy(update={"marker": marker})
        if package.directory or package.vcs or not version:
            raise UsageError(
                f"{package.name} comes from a folder or a repository, and a lock takes only what has a SHA-256",
                hint="ask for a released version of it",
            )
        if package.archive:
            hashes = {package.archive.hashes.get("sha256", "")}
            source: Literal["sdist"] | None = (
                "sdist"
                if not re.search(r"\.whl(?:[?#]|$)", package.archive.url or package.archive.path or "")
                else None
            )
        else:
            wheels = [wheel for wheel in package.wheels or () if suits(wheel.filename, self.question.python)]
            files: list[PackageWheel | PackageSdist] = [*wheels, *([package.sdist] if package.sdist else [])]
            hashes = {file.hashes.get("sha256", "") for file in files}
            names = [wheel.filename for wheel in wheels]
            source = "sdist" if package.sdist and needs_build(names, self.question.python, marker) else None
        hashes.discard("")
        if package.name in given and not (hashes := hashes & given[package.name]):
            raise PinError(
                f"no file of {package.name} {version} on the index has a hash that the requirements file gives",
                hint="find out why the files differ; then take --hash out of the file, or correct it",
            )
        if not hashes:
            raise UsageError(
                f"no file of {package.name} {version} on the index suits Python {self.question.python} and has a SHA-256",
                hint=f"ask for another version of {package.name}",
            )
        return PackagePin(
            name=package.name, version=version, marker=marker, source=source, hashes=tuple(sorted(hashes))
        )


def without(marker: str, atom: str) -> str | None:
    """`marker` without a condition that always holds; None when nothing is left of it.

    uv writes alternatives of conjunctions; a marker of any other form stays as it is, true and longer.
    """
    clauses = []
    for clause in marker.split(" or "):
        inner = clause[1:-1] if clause.startswith("(") and clause.endswith(")") else clause
        if "(" in inner or ")" in inner:
            return marker
        rest = [part for part in inner.split(" and ") if part != atom]
        if not rest:
            return None
        clauses.append(" and ".join(rest))
    shorter = (
        clauses[0]
        if len(clauses) == 1
        else " or ".join(f"({clause})" if " and " in clause else clause for clause in clauses)
    )
    try:
        Marker(shorter)
    except InvalidMarker:
        return marker
    return shorter


def _parse_upgrades(upgrade_packages: tuple[str, ...], keep: EnvironmentPin | None) -> tuple[str, ...]:
    """--upgrade-package's values, checked: NAME or NAME==VERSION, of a package that is pinned."""
    for text in upgrade_packages:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            requirement = None
        exact = requirement and all(part.operator == "==" for part in requirement.specifier)
        if not requirement or not exact or requirement.url or requirement.marker or requirement.extras:
            raise UsageError(
                f'--upgrade-package "{text}" is neither NAME nor NAME==VERSION',
                hint='write "pandas" or "pandas==2.2.3"',
            )
        name = canonicalize_name(requirement.name)
        if keep and not any(package.name == name for package in keep.package):
            raise UsageError(
                f"--upgrade-package {text}: repro.lock pins no {name}",
                hint="name a [[package]] of repro.lock, or add it to repro.toml",
            )
    return upgrade_packages


def _preferences(kept: Sequence[PackagePin]) -> str:
    """What is pinned, as an earlier output that uv then keeps to. It needs names and versions alone."""
    lines = ['lock-version = "1.0"', 'created-by = "reprolock"', *([] if kept else ["packages = []"])]
    for package in kept:
        lines += ["[[packages]]", f'name = "{package.name}"', f'version = "{package.version}"']
    return "".join(f"{line}\n" for line in lines)


def _unresolvable_error(complaint: Complaint) -> UsageError:
    """uv's explanation: what contradicts what as the sentence, uv's whole reasoning as further lines."""
    lines = tuple(_plain(line) for line in complaint.lines[1:])
    if by_address := re.search(r"[Pp]ackage (\S+) was included as a URL dependency", complaint.text.replace("`", "")):
        return UsageError(
            f"{by_address[1]} is named by address in another package's metadata, and a lock takes only what has a SHA-256",
            hint=f"leave out what needs {by_address[1]} in this way, or ask for a version of it that does not",
        )
    if "No solution found" not in complaint.head:
        sentence = f"uv cannot resolve the requirements: {_plain(complaint.innermost)}"
    else:
        grounds = re.findall(r"\b[Bb]ecause (.+?),? we can conclude", " ".join(lines))
        if sum(map(len, grounds)) > _LONG:
            grounds = [f"{grounds[0]} …", grounds[-1]]
        sentence = f"the requirements cannot be resolved: {'; '.join(grounds) or _plain(complaint.innermost)}"
    return UsageError(
        sentence, problems=lines if len(lines) > 1 else (), hint="loosen or change the requirements of [environment]"
    )


def _plain(line: str) -> str:
    """A line of uv's without the markup, and without the marker of this Python."""
    return re.sub(r"\{python_full_version < '[\d.]+'\}", "", line.replace("`", "")).strip()
