"""Lock the Python packages of `[environment]` into an `EnvironmentPin`, for every platform at once.

1. the declared requirements are read (`requirements`),
2. uv resolves them, universally, keeping what is pinned already; its pylock.toml (PEP 751) is read by `packaging`,
3. of each package, the SHA-256 of every file that suits the Python is kept, and no address; a file of which the index
   gives another hash or none is fetched and hashed,
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
from typing import Any, Literal, NamedTuple

from packaging.markers import InvalidMarker, Marker
from packaging.pylock import Package, PackageSdist, PackageWheel, Pylock, PylockValidationError
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from reprolock.environment.python.declared.elsewhere import nothing_asked
from reprolock.environment.python.declared.pyproject_file import folder_of, read_tables
from reprolock.environment.python.declared.refusals import locks_beside
from reprolock.environment.python.declared.requirement_line import Kind
from reprolock.environment.python.declared.requirements import Declaration, read_declared, with_other_hashes
from reprolock.environment.python.indexes import Indexes, read_indexes
from reprolock.environment.python.interpreters.find_python import known_python
from reprolock.environment.python.resolving.build_requirements import build_requirements
from reprolock.environment.python.resolving.fetch_hashes import fetch_sha256
from reprolock.environment.python.resolving.resolution_errors import UNDATED, shorten, undated_error, unresolvable_error
from reprolock.environment.python.resolving.wheel_tags import needs_build, suits
from reprolock.environment.python.uv import Uv
from reprolock.errors import PinError, ReprolockError, ServiceError, UsageError
from reprolock.model.lock import EnvironmentPin, PackagePin
from reprolock.model.python_version import accepts_python, is_exact
from reprolock.model.spec import EnvironmentSpec

_OUTPUT = "pylock.toml"


@dataclass(frozen=True)
class _Question:
    """What one resolution is asked, besides the requirements: for which Python, as of when, what is free to move."""

    python: str
    as_of: datetime | None
    upgrade_packages: tuple[str, ...]

    @property
    def free(self) -> frozenset[str]:
        """The normalised names of packages that may move."""
        return frozenset(canonicalize_name(name.partition("==")[0]) for name in self.upgrade_packages)

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
    no_build: bool = False,
    environ: Mapping[str, str] = os.environ,
    indexes: Indexes | None = None,
    remark: Callable[[str], None] | None = None,
    progress: Callable[[str], None] | None = None,
) -> EnvironmentPin:
    """Pin the packages of the project in `root` for a Python of version `python` ("3.11", or one release: "3.11.7").

    What `keep` pins stays as long as it matches, unless `upgrade`, or its name (or NAME==VERSION) is
    among `upgrade_packages`. Of a pin whose seal is broken only the versions are taken, where they still can
    be: two branches that git merged are resolved again, and nothing else moves. `as_of` leaves out what was uploaded later; `no_build` runs no
    package's build code. `indexes` are the project's; by default those in `root`. `remark` is given a sentence for each yanked
    version that is pinned, for what is not recorded, and for build code that was run; `progress` uv's steps. Errors: UsageError (a requirement that cannot be read,
    locked or resolved), ServiceError (the index is down, or offline and not cached), MachineError.
    """
    declaration = read_declared(spec, root, environ)
    _check_requires_python(declaration, python)
    old = keep if keep and keep.python == python and not upgrade else None
    kept = _Kept(old.package, old.intact, with_other_hashes(declaration.lines, old.requirements)) if old else _Kept()
    question = _Question(python, as_of, _parse_upgrades(upgrade_packages, keep))
    builds = _Builds(progress)
    uv = Uv(environ, offline, builds.step, indexes or read_indexes(environ, root, declaration.index_options), no_build)
    tell = remark or (lambda sentence: None)
    for sentence in uv.indexes.remarks:
        tell(sentence)
    if spec.pyproject is not None and not declaration.requirements:
        tell(nothing_asked(read_tables(root / folder_of(spec.pyproject), folder_of(spec.pyproject))))
    if spec.pyproject is not None and keep is None:
        for sentence in locks_beside(root / folder_of(spec.pyproject)):
            tell(sentence)
    with tempfile.TemporaryDirectory(prefix="reprolock-") as temporary:
        resolver = _Resolver(uv, Path(temporary), question)
        packages = resolver.packages(declaration, kept, tell)
        build = _pin_builds(resolver, packages, declaration, old, tell)
    if builds.packages:
        tell(f"build code of {', '.join(builds.packages)} was run on this machine; --no-build forbids that")
    return EnvironmentPin.sealed(
        requirements=declaration.lines, python=python, java=java, package=packages, build=build
    )


def _pin_builds(
    resolver: _Resolver,
    packages: Sequence[PackagePin],
    declaration: Declaration,
    old: EnvironmentPin | None,
    remark: Callable[[str], None],
) -> tuple[PackagePin, ...]:
    """What packages that some platform must build are built with."""
    sources = [package for package in packages if package.source]
    question = resolver.question
    again = {package.name for package in sources} & question.free
    same = old is not None and sources == [package for package in old.package if package.source]
    if old and old.intact and same and not again and (old.build or not sources):
        return old.build
    if sources and resolver.uv.no_build:
        names = ", ".join(f"{package.name} {package.version}" for package in sources)
        remark(
            f"what {names} is built with where it has no wheel is not pinned: asking its build code is what --no-build forbids"
        )
        return ()
    uv, folder = resolver.uv, resolver.folder
    interpreter = known_python(question.python, uv, folder)
    asked = build_requirements(sources, declaration.lines, interpreter, uv, folder, question.as_of)
    bounds = (f"-c {line}" for line in declaration.of_kind("--build-constraint"))
    kept = _Kept(old.build, old.intact) if old else _Kept()
    return resolver.packages(Declaration((*asked, *bounds)), kept, lambda sentence: None) if asked else ()


def _check_requires_python(declaration: Declaration, python: str) -> None:
    asked = str(declaration.requires_python)
    if asked and not accepts_python(asked, python):
        some = not is_exact(python) and any(accepts_python(asked, f"{python}.{release}") for release in range(40))
        told = f"not every release of Python {python} is among these" if some else f"the lock is for Python {python}"
        raise UsageError(
            f'pyproject.toml: project.requires-python is "{asked}", and {told}',
            hint=f'write environment.python = "{asked}" in repro.toml, or change requires-python',
        )


class _Builds:
    """Watches uv's steps for packages whose build code it runs."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self._progress = progress
        self._found: dict[str, None] = {}

    def step(self, sentence: str) -> None:
        """One step of uv's, such as "Building pyspark==4.2.0"."""
        if match := re.match(r"Building ([\w.-]+)(?:==| @ )?(\S*)", sentence):
            self._found[f"{match[1]} {match[2]}".strip() if "/" not in match[2] else match[1]] = None
        if self._progress:
            self._progress(sentence)

    @property
    def packages(self) -> list[str]:
        """Their names and versions, sorted."""
        return sorted(self._found)


class _Kept(NamedTuple):
    """What was pinned before. The versions are preferred; hashes are taken over from an intact pin alone."""

    packages: tuple[PackagePin, ...] = ()
    intact: bool = True
    rehashed: frozenset[str] = frozenset()
    """Packages of which other hashes are declared now: their files are looked at again."""


@dataclass(frozen=True)
class _Resolver:
    uv: Uv
    folder: Path
    question: _Question

    def packages(self, declaration: Declaration, kept: _Kept, remark: Callable[[str], None]) -> tuple[PackagePin, ...]:
        """The whole closure of the requirements, sorted by name and version."""
        if not declaration.requirements:
            return ()
        known = [package for package in kept.packages if kept.intact and package.name not in kept.rehashed]
        pins = {(package.name, package.version): package for package in known}
        free = self.question.free
        if pins and not free and not self.question.as_of and not self.uv.offline:
            # What is pinned often matches already; then no index is asked, and no large sdist fetched again.
            try:
                answer = replace(self, uv=self.uv.near)._resolve(declaration, kept.packages, lambda sentence: None)
            except (ServiceError, UsageError):
                answer = []
            if answer and all((package.name, str(package.version)) in pins for package in answer):
                return self._pinned(answer, pins, declaration, remark)
        answer = self._resolve(declaration, kept.packages, remark)
        pins = {key: pin for key, pin in pins.items() if pin.name not in free}
        return self._pinned(answer, pins, declaration, remark)

    def _resolve(
        self, declaration: Declaration, kept: Sequence[PackagePin], remark: Callable[[str], None]
    ) -> Sequence[Package]:
        output = self.folder / _OUTPUT
        output.write_text(_preferences(kept))
        sources = declaration.sources
        arguments = [
            "pip",
            "compile",
            *self._inputs(declaration, sources),
            "--format",
            "pylock.toml",
            "-o",
            output.name,
        ]
        arguments += ["--universal", "--generate-hashes", "--python-version", self.question.python, "--no-header"]
        # uv reads its user's settings for the index, and these as well; a lock must not depend on them.
        arguments += ["--resolution", "highest", "--prerelease", "if-necessary-or-explicit"]
        arguments += ["--fork-strategy", "requires-python"]
        if self.question.as_of:
            arguments += ["--exclude-newer", self.question.as_of.isoformat()]
        for name in self.question.upgrade_packages:
            arguments += ["--upgrade-package", name]
        settings = {"environments": [self.question.here], **({"sources": sources} if sources else {})}
        project = _project(declaration, self.question.python) if sources else {}
        answer = self.uv.run(arguments, self.folder, settings, project)
        undated = sorted({match[1] for line in answer.warnings if (match := UNDATED.match(line))})
        if answer.complaint:
            raise undated_error(undated) if undated else unresolvable_error(answer.complaint, self.question.python)
        if undated:
            remark(f"--as-of leaves out {shorten(undated)}: the index does not say when it was uploaded")
        for warning in answer.warnings:
            if "is yanked" in warning or "does not have an extra" in warning:
                remark(warning.replace("`", "").replace("==", " "))
        return _read_pylock(output)

    def _inputs(self, declaration: Declaration, sources: Mapping[str, Any]) -> list[str]:
        """The files that uv is given, written. Where some package has one index of its own, uv reads pyproject.toml for it."""
        given: list[str] = ["pyproject.toml"] if sources else ["requirements.in", "--no-sources"]
        (self.folder / "requirements.in").write_text("".join(f"{line}\n" for line in declaration.requirements))
        kinds: tuple[tuple[Kind, str], ...] = (
            ("-c", "--constraints"),
            ("--override", "--overrides"),
            ("--exclude", "--excludes"),
            ("--build-constraint", "--build-constraints"),
        )
        for kind, option in kinds:
            if lines := declaration.of_kind(kind):
                name = f"{option.strip('-')}.in"
                (self.folder / name).write_text("".join(f"{line}\n" for line in lines))
                given += [option, name]
        return given

    def _pinned(
        self,
        answer: Iterable[Package],
        pins: Mapping[tuple[str, str], PackagePin],
        declaration: Declaration,
        remark: Callable[[str], None],
    ) -> tuple[PackagePin, ...]:
        found = [self._pin(package, pins, declaration.hashes, remark) for package in answer]
        return tuple(sorted(found, key=lambda pin: (pin.name, pin.version, pin.marker or "")))

    def _pin(
        self,
        package: Package,
        pins: Mapping[tuple[str, str], PackagePin],
        given: Mapping[str, frozenset[str]],
        remark: Callable[[str], None],
    ) -> PackagePin:
        """One package's pin. What is pinned keeps its hashes, whatever the index has added or removed since."""
        version = str(package.version) if package.version else ""
        marker = without(str(package.marker).replace('"', "'"), self.question.here) if package.marker else None
        if pin := pins.get((package.name, version)):
            return pin.replaced({"marker": marker})
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
            hashes = {file.hashes.get("sha256") or self._fetch(package.name, file, remark) for file in files}
            names = [wheel.filename for wheel in wheels]
            source = "sdist" if package.sdist and needs_build(names, self.question.python, marker) else None
        hashes.discard("")
        if package.name in given and not (hashes := hashes & given[package.name]):
            raise PinError(
                f"no file of {package.name} {version} on the index has a hash that the requirements file gives",
                hint="find out why the files differ; then remove --hash from the file, or correct it",
            )
        if not hashes:
            raise UsageError(
                f"no file of {package.name} {version} on the index suits Python {self.question.python} and has a SHA-256",
                hint=f"ask for another version of {package.name}",
            )
        return PackagePin(
            name=package.name, version=version, marker=marker, source=source, hashes=tuple(sorted(hashes))
        )

    def _fetch(self, name: str, file: PackageWheel | PackageSdist, remark: Callable[[str], None]) -> str:
        """The SHA-256 of a file that the index gives without one, "" where it cannot be had, which is said."""
        found, reason = fetch_sha256(name, file, self.question.python, self.uv, self.folder)
        if reason:
            remark(
                f"{file.filename} is not pinned: the index gives no SHA-256 of it, and it cannot be fetched: {reason}"
            )
        return found


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


def _project(declaration: Declaration, python: str) -> dict[str, Any]:
    """A `[project]` that asks for what is declared."""
    requirements = list(declaration.requirements)
    return {
        "name": "reprolock-environment",
        "version": "0",
        "requires-python": f">={python}",
        "dependencies": requirements,
    }


def _read_pylock(path: Path) -> Sequence[Package]:
    try:
        return Pylock.from_dict(tomllib.loads(path.read_text(encoding="utf-8"))).packages
    except (PylockValidationError, ValueError) as error:
        raise ReprolockError(
            f"uv's answer is not a pylock.toml: {error}", hint="report this, with the version of uv"
        ) from error
