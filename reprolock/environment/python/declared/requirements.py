"""Read the declared Python requirements from `[environment]` and the files that it names.

What comes out is what the lock repeats: one normalised line a requirement (PEP 508), `-c LINE` for a
constraint. Whatever could not be pinned by SHA-256, or only on this machine, is refused here.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from reprolock.environment.python.declared.pyproject_file import read_pyproject
from reprolock.environment.python.declared.refusals import AS_PIP, line_refusal
from reprolock.environment.python.declared.requirement_line import HASHES, IndexOption, Kind, Line, Refused
from reprolock.environment.python.declared.requirements_file import read_requirements_file
from reprolock.errors import UsageError
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_text
from reprolock.model.spec import EnvironmentSpec


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
    def sources(self) -> dict[str, list[dict[str, str]]]:
        """The indexes that packages come from, as `[tool.uv.sources]` has them."""
        found: dict[str, list[dict[str, str]]] = {}
        for line in self.of_kind("--index"):
            source, _, marker = line.partition(" ; ")
            name, _, index = source.partition(" ")
            found.setdefault(name, []).append({"index": index} | ({"marker": marker} if marker else {}))
        return found

    @property
    def requires_python(self) -> SpecifierSet:
        """What the pyproject.toml says of Python; empty for nothing."""
        return SpecifierSet(",".join(self.of_kind("--requires-python")))


def with_other_hashes(lines: tuple[str, ...], others: tuple[str, ...]) -> frozenset[str]:
    """The normalised names of packages whose hashes, or whose index, as two declarations give them, are not the same."""
    changed = {line for line in {*lines} ^ {*others} if HASHES in line or line.startswith("--index ")}
    return frozenset(
        canonicalize_name(re.split(r"[^\w.-]", re.sub("^(?:-c|--index) ", "", line), maxsplit=1)[0]) for line in changed
    )


def _kind_of(line: str) -> str:
    return line.split(" ", 1)[0] if line.startswith("-") else ""


def read_declared(spec: EnvironmentSpec, root: Path, environ: Mapping[str, str] = os.environ) -> Declaration:
    """The requirements of the project in `root`. UsageError names each file, line and requirement at fault.

    `environ` is what a requirements file means by ${NAME}.
    """
    lines: dict[str, None] = {}
    hashes: dict[str, set[str]] = {}
    options, refusals = list[IndexOption](), list[Refused]()
    for line in _lines(spec, root, environ):
        if isinstance(line, IndexOption):
            options.append(line)
            continue
        if isinstance(line, Refused):
            refusals.append(line)
            continue
        if refused := line_refusal(line):
            refusals.append(refused)
            continue
        lines[_to_lock_line(line)] = None
        for value in line.hashes:
            name = canonicalize_name(Requirement(line.text).name)
            hashes.setdefault(name, set()).add(value.removeprefix("sha256:").lower())
    if refusals:
        raise _refusal_error(refusals)
    given = {name: frozenset(values) for name, values in hashes.items()}
    return Declaration(tuple(lines), given, tuple(options))


def _to_lock_line(line: Line) -> str:
    """The line as the lock repeats it. Many hashes are a digest over them: what counts is that they change."""
    if line.kind == "--index":
        return f"{line.kind} {line.text}"
    normal = str(SpecifierSet(line.text)) if line.kind == "--requires-python" else str(Requirement(line.text))
    digest = hashlib.sha256("\n".join(sorted(set(line.hashes))).encode()).hexdigest()[:16]
    return f"{line.kind} {normal}".strip() + (f"{HASHES}{digest}" if line.hashes else "")


def _refusal_error(refusals: Sequence[Refused]) -> UsageError:
    """All that is wrong at once."""
    told = tuple(f"{refused.place}: {refused.problem}" for refused in refusals)
    hints = list(dict.fromkeys(refused.hint for refused in refusals))
    if len(told) == 1:
        return UsageError(told[0], hint=hints[0])
    hint = (
        hints[0]
        if len(hints) == 1
        else f"change or remove these lines; {AS_PIP.replace('write it', 'write a package')}"
    )
    return UsageError(f"{len(told)} requirements cannot be locked", problems=told, hint=hint)


def _lines(spec: EnvironmentSpec, root: Path, environ: Mapping[str, str]) -> Iterator[Line | IndexOption | Refused]:
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
