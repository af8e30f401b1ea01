"""Read the declared Python requirements from `[environment]` and the files that it names.

What comes out is what the lock repeats: one normalised line a requirement (PEP 508), `-c LINE` for a
constraint. Whatever could not be pinned by SHA-256, or only on this machine, is refused here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from reprolock.errors import UsageError
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_text
from reprolock.model.secrecy import has_userinfo, looks_secret
from reprolock.model.spec import EnvironmentSpec

_HASH = re.compile(r"\s--hash[= ](\S+)")
_NESTED = re.compile(r"(-r|--requirement|-c|--constraint)[= ]\s*(\S.*)")
_INDEX = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--trusted-host")
_PYPROJECT = re.compile(r"(?P<folder>[^\[\]]*)(?:\[(?P<extras>[^\[\]]*)\])?")
_REPOSITORY = ("git+", "hg+", "svn+", "bzr+")
_NO_HASH = "a lock takes only what has a SHA-256"
_ARCHIVE = 'name an archive of one commit, as "NAME @ https://HOST/OWNER/REPOSITORY/archive/COMMIT.tar.gz"'


class Declaration(NamedTuple):
    """`lines` is what the lock repeats; `hashes` holds those that a requirements file gives, by normalised name."""

    lines: tuple[str, ...]
    hashes: Mapping[str, frozenset[str]]

    @property
    def requirements(self) -> tuple[str, ...]:
        """The lines that ask for a package."""
        return tuple(line for line in self.lines if not line.startswith("-c "))

    @property
    def constraints(self) -> tuple[str, ...]:
        """The lines that only bound versions, without their `-c`."""
        return tuple(line.removeprefix("-c ") for line in self.lines if line.startswith("-c "))


class _Line(NamedTuple):
    place: str
    text: str
    constraint: bool = False


def read_declared(spec: EnvironmentSpec, root: Path) -> Declaration:
    """The requirements of the project in `root`. UsageError names each file, line and requirement at fault."""
    lines: dict[str, None] = {}
    hashes: dict[str, set[str]] = {}
    problems = []
    for line in _lines(spec, root):
        text, given = _HASH.sub("", line.text).strip(), _HASH.findall(line.text)
        problem = _problem(text) or next(
            (f'hash "{value}" is not a SHA-256' for value in given if not value.startswith("sha256:")), None
        )
        if problem:
            problems.append(f"{line.place}: {problem}")
            continue
        requirement = Requirement(text)
        lines["-c " * line.constraint + str(requirement)] = None
        for value in given:
            hashes.setdefault(canonicalize_name(requirement.name), set()).add(value.removeprefix("sha256:"))
    if problems:
        hint = 'write it as pip would take it from an index, such as "pandas>=2,<3"'
        if len(problems) == 1:
            raise UsageError(problems[0], hint=hint)
        raise UsageError(f"{len(problems)} requirements cannot be locked", problems=tuple(problems), hint=hint)
    return Declaration(tuple(lines), {name: frozenset(values) for name, values in hashes.items()})


def _lines(spec: EnvironmentSpec, root: Path) -> Iterator[_Line]:
    if spec.packages is not None:
        for index, text in enumerate(spec.packages):
            yield _Line(_spec_place(root, index), text)
    elif spec.requirements is not None:
        yield from _file_lines(root / spec.requirements, root, constraint=False, above=())
    elif spec.pyproject is not None:
        yield from _pyproject_lines(spec.pyproject, root)


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


def _file_lines(path: Path, root: Path, *, constraint: bool, above: tuple[Path, ...]) -> Iterator[_Line]:
    """The requirement lines of a requirements file and of those it names with -r and -c (pip's format)."""
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    if path.resolve() in above:
        raise UsageError(f"{name} names itself by -r or -c", hint="take out one of the -r lines")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"no requirements file {name}",
            hint="check environment.requirements in repro.toml, and -r and -c in the file",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UsageError(f"{name} cannot be read: {reason}", hint="check the file") from None
    for number, line in _logical_lines(text):
        place = f"{name}:{number}"
        if nested := _NESTED.fullmatch(line):
            bounds = constraint or nested[1] in ("-c", "--constraint")
            yield from _file_lines(path.parent / nested[2], root, constraint=bounds, above=(*above, path.resolve()))
        elif line.startswith("-"):
            raise UsageError(f"{place}: {_option_problem(line)}", hint=f"take the line out of {name}")
        else:
            yield _Line(place, line, constraint)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of the first line, text) with continuations joined, comments and empty lines left out."""
    start = 1
    parts: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not parts:
            start = number
        line = re.sub(r"(^|\s)#.*", "", line)
        parts.append(line.rstrip().removesuffix("\\"))
        if line.rstrip().endswith("\\"):
            continue
        joined = " ".join(parts).strip()
        parts = []
        if joined:
            yield start, joined
    if joined := " ".join(parts).strip():
        yield start, joined


def _option_problem(line: str) -> str:
    option = re.split(r"[= ]", line, maxsplit=1)[0]
    if option in _INDEX:
        return f"{option} names an index, and a lock names none: give it to uv instead, as UV_INDEX or in uv.toml"
    if option in ("-e", "--editable"):
        return f"{option} names a path on this machine, which no other machine has; name code in run.code instead"
    return f"{option} is not understood here; only -r, -c and --hash are"


def _pyproject_lines(declared: str, root: Path) -> Iterator[_Line]:
    """`[project] dependencies`, and those of the extras that "FOLDER[extra,…]" names."""
    match = _PYPROJECT.fullmatch(declared)
    folder = match["folder"] if match else declared
    extras = [extra.strip() for extra in (match["extras"] or "").split(",")] if match else []
    path = root / (folder or ".") / "pyproject.toml"
    try:
        tables = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise UsageError(
            f'no pyproject.toml in "{folder}"',
            hint='name the folder that holds it in environment.pyproject, such as "."',
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"pyproject.toml cannot be read: {_first_line(str(error))}", hint="check the file") from None
    project = tables.get("project", {})
    if "dependencies" in project.get("dynamic", ()):
        raise UsageError(
            "pyproject.toml: project.dependencies is dynamic, and a lock needs it written down",
            hint="write the dependencies into pyproject.toml, or name a requirements file",
        )
    sources = {canonicalize_name(name) for name in tables.get("tool", {}).get("uv", {}).get("sources", {})}
    for line in _of_project(project, [extra for extra in extras if extra], set()):
        name = re.match(r"[\w.-]+", line.text)
        if name and canonicalize_name(name[0]) in sources:
            raise UsageError(
                f"{line.place}: [tool.uv.sources] gives {name[0]} a source of its own, which a lock cannot repeat",
                hint="publish it to an index, and name that index in UV_INDEX or uv.toml",
            )
        yield line


def _of_project(project: dict[str, Any], extras: list[str], seen: set[str]) -> Iterator[_Line]:
    for index, text in enumerate(project.get("dependencies", ())):
        yield _Line(f"pyproject.toml: project.dependencies[{index}]", str(text))
    known = {canonicalize_name(name): items for name, items in project.get("optional-dependencies", {}).items()}
    own = canonicalize_name(project.get("name", ""))
    while extras:
        extra = canonicalize_name(extras.pop())
        if extra in seen:
            continue
        seen.add(extra)
        if extra not in known:
            raise UsageError(
                f'pyproject.toml has no extra "{extra}"',
                hint=f"it has {', '.join(sorted(known))}" if known else "it has none",
            )
        for index, text in enumerate(known[extra]):
            if (own_extras := _extras_of(own, str(text))) is not None:
                extras += own_extras  # proj[all] = ["proj[train]"]
            else:
                yield _Line(f"pyproject.toml: project.optional-dependencies.{extra}[{index}]", str(text))


def _extras_of(own: str, text: str) -> list[str] | None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    return sorted(requirement.extras) if own and canonicalize_name(requirement.name) == own else None


def _first_line(text: str) -> str:
    line = text.splitlines()[0].rstrip(".:") if text else "unreadable"
    return line[:1].lower() + line[1:]
