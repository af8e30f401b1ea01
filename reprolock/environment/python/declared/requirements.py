"""Read the declared Python requirements from `[environment]` and the files that it names.

What comes out is what the lock repeats: one normalised line a requirement (PEP 508), `-c LINE` for a
constraint. Whatever could not be pinned by SHA-256, or only on this machine, is refused here.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from reprolock.environment.python.declared.pyproject_file import read_pyproject
from reprolock.environment.python.declared.requirement_line import HASHES, IndexOption, Kind, Line
from reprolock.environment.python.declared.requirements_file import read_requirements_file
from reprolock.errors import UsageError
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_text
from reprolock.model.secrecy import has_userinfo, looks_secret
from reprolock.model.spec import EnvironmentSpec

_REPOSITORY = ("git+", "hg+", "svn+", "bzr+")
_NO_HASH = "a lock takes only what has a SHA-256"
_ARCHIVE = 'name an archive of one commit, as "NAME @ https://HOST/OWNER/REPOSITORY/archive/COMMIT.tar.gz"'


class Declaration(NamedTuple):
    """What is declared. `lines` is what the lock repeats; `hashes` holds those that a requirements file gives, by
    normalised name; `index_options` are those of requirements files, which no lock repeats."""

    lines: tuple[str, ...]
    hashes: Mapping[str, frozenset[str]] = {}
    index_options: tuple[IndexOption, ...] = ()

    def of_kind(self, kind: Kind) -> tuple[str, ...]:
        """The lines of one kind, without the word that names it and without the digest of hashes."""
        found = (line for line in self.lines if _kind_of(line) == kind)
        return tuple(line.partition(HASHES)[0].removeprefix(f"{kind} " if kind else "") for line in found)

    @property
    def requirements(self) -> tuple[str, ...]:
        """The lines that ask for a package."""
        return self.of_kind("")

    @property
    def constraints(self) -> tuple[str, ...]:
        """The lines that only bound versions, without their `-c`."""
        return self.of_kind("-c")

    @property
    def requires_python(self) -> SpecifierSet:
        """What the pyproject.toml says of Python; empty for nothing."""
        return SpecifierSet(",".join(self.of_kind("--requires-python")))


def with_other_hashes(lines: tuple[str, ...], others: tuple[str, ...]) -> frozenset[str]:
    """The normalised names of packages whose hashes, as two declarations give them, are not the same."""
    changed = {line for line in {*lines} ^ {*others} if HASHES in line}
    return frozenset(
        canonicalize_name(re.split(r"[^\w.-]", line.removeprefix("-c "), maxsplit=1)[0]) for line in changed
    )


def _kind_of(line: str) -> str:
    return line.split(" ", 1)[0] if line.startswith("-") else ""


def read_declared(spec: EnvironmentSpec, root: Path, environ: Mapping[str, str] = os.environ) -> Declaration:
    """The requirements of the project in `root`. UsageError names each file, line and requirement at fault.

    `environ` is what a requirements file means by ${NAME}.
    """
    lines: dict[str, None] = {}
    hashes: dict[str, set[str]] = {}
    options, problems = [], []
    for line in _lines(spec, root, environ):
        if isinstance(line, IndexOption):
            options.append(line)
            continue
        if problem := _line_problem(line):
            problems.append(f"{line.place}: {problem}")
            continue
        lines[_to_lock_line(line)] = None
        for value in line.hashes:
            name = canonicalize_name(Requirement(line.text).name)
            hashes.setdefault(name, set()).add(value.removeprefix("sha256:").lower())
    if problems:
        hint = 'write it as pip would take it from an index, such as "pandas>=2,<3"'
        if len(problems) == 1:
            raise UsageError(problems[0], hint=hint)
        raise UsageError(f"{len(problems)} requirements cannot be locked", problems=tuple(problems), hint=hint)
    given = {name: frozenset(values) for name, values in hashes.items()}
    return Declaration(tuple(lines), given, tuple(options))


def _to_lock_line(line: Line) -> str:
    """The line as the lock repeats it. Many hashes are a digest over them: what counts is that they change."""
    normal = str(SpecifierSet(line.text)) if line.kind == "--requires-python" else str(Requirement(line.text))
    digest = hashlib.sha256("\n".join(sorted(set(line.hashes))).encode()).hexdigest()[:16]
    return f"{line.kind} {normal}".strip() + (f"{HASHES}{digest}" if line.hashes else "")


def _line_problem(line: Line) -> str | None:
    if line.kind == "--requires-python":
        try:
            SpecifierSet(line.text)
        except InvalidSpecifier:
            return f'"{line.text}" is not a set of versions'
        return None
    wrong = (f'hash "{value}" is not a SHA-256' for value in line.hashes if not value.startswith("sha256:"))
    return _problem(line.text) or next(wrong, None)


def _lines(spec: EnvironmentSpec, root: Path, environ: Mapping[str, str]) -> Iterator[Line | IndexOption]:
    if spec.packages is not None:
        for index, text in enumerate(spec.packages):
            yield Line(_spec_place(root, index), text)
    elif spec.requirements is not None:
        yield from read_requirements_file(root / spec.requirements, root, environ)
    elif spec.pyproject is not None:
        yield from read_pyproject(spec.pyproject, spec.groups, root)


def _spec_place(root: Path, index: int) -> str:
    key = f"environment.packages[{index}]"
    try:
        text = read_text(root / SPEC)
    except UsageError:
        return f"{SPEC}: {key}"
    from reprolock.files.toml_positions import line_of  # a parser with positions: this module is small without it

    return f"{SPEC}:{line_of(text, ('environment', 'packages', index))}: {key}"


def _problem(text: str) -> str | None:
    """Why a requirement cannot be locked, None when it can. A sentence without file and line."""
    if looks_secret(text) or any(
        has_userinfo(word) or has_userinfo(word.removeprefix("git+")) for word in text.split()
    ):
        return "an address must not contain a user name or password; credentials come from the environment"
    if re.match(r"(\.{0,2}/|\.\.?$|file:|[A-Za-z]:\\)", text):
        return f'"{text}" is a path on this machine, which no other machine has; build a wheel, publish it, and name it by version'
    if text.startswith(_REPOSITORY):
        return f'"{text}" is a repository, and {_NO_HASH}; {_ARCHIVE}'
    if re.match(r"https?:", text):
        return f'"{text}" names no package; write "NAME @ {text}"'
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        return f'"{text}" is not a requirement: {_first_line(str(error))}'
    url = requirement.url or ""
    if url.startswith(_REPOSITORY):
        return f"{requirement.name} comes from a repository, and {_NO_HASH}; {_ARCHIVE}"
    if url.startswith("file:") or (url and "://" not in url):
        return f"{requirement.name} is a path on this machine, which no other machine has; publish it and name it by version"
    return None


def _first_line(text: str) -> str:
    line = text.splitlines()[0].rstrip(".:") if text else "unreadable"
    return line[:1].lower() + line[1:]
