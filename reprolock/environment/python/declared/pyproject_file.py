"""Read the dependencies of a pyproject.toml: `[project]`, extras, dependency groups, and what `[tool.uv]` adds to them.

What uv would do with a key and a lock cannot repeat is refused by name; a file whose dependencies stand elsewhere is
refused with where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from packaging.dependency_groups import resolve_dependency_groups
from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from reprolock.environment.python.declared.elsewhere import (
    NAME,
    check_poetry,
    dynamic,
    mapping,
    missing_file,
    no_group,
    no_project,
)
from reprolock.environment.python.declared.pyproject_types import load_pyproject
from reprolock.environment.python.declared.requirement_line import Kind, Line
from reprolock.errors import UsageError

_Of = tuple[str, str]
"""Where a requirement stands: ("extra", its name), ("group", its name), or ("", "") for the project's own dependencies."""
_DECLARED = re.compile(r"(?P<folder>[^\[\]]*)(?:\[(?P<extras>[^\[\]]*)\])?")
_BOUNDS: Mapping[str, Kind] = {
    "constraint-dependencies": "-c",
    "override-dependencies": "--override",
    "exclude-dependencies": "--exclude",
    "build-constraint-dependencies": "--build-constraint",
}
"""Keys of `[tool.uv]` that decide versions, and what their lines are called in the lock."""
_BY_CODE = (
    "remove it here, declare what it depends on, and add it to run.code, with its folder in PYTHONPATH of run.env"
)
_SOURCE_HINTS = {
    "workspace": _BY_CODE,
    "path": _BY_CODE,
    "git": 'name an archive of one commit, as "NAME @ https://HOST/OWNER/REPOSITORY/archive/COMMIT.tar.gz"',
}


def folder_of(declared: str) -> str:
    """The folder that environment.pyproject names: "lib" of "lib[extra]"."""
    match = _DECLARED.fullmatch(declared)
    return (match["folder"] if match else declared) or "."


def workspace_of(folder: Path) -> Path | None:
    """The folder of the uv workspace that has `folder` as a member: another one above, in the same repository. Its sources and indexes
    count for its members."""
    inside = folder.absolute()
    while not (inside / ".git").exists() and inside != inside.parent:
        inside = inside.parent
        if (inside / NAME).is_file():
            uv = mapping(mapping(load_pyproject(inside / NAME, NAME).get("tool")).get("uv"))
            workspace = mapping(uv.get("workspace"))
            members, left_out = (workspace.get(key, ()) for key in ("members", "exclude"))
            if _is_among(folder, inside, members) and not _is_among(folder, inside, left_out):
                return inside
    return None


def _is_among(folder: Path, above: Path, patterns: Any) -> bool:
    parts = (
        folder.resolve().relative_to(above.resolve()).parts if folder.resolve().is_relative_to(above.resolve()) else ()
    )
    texts = (
        [text for text in patterns if isinstance(text, str) and text[:1] != "/"] if isinstance(patterns, list) else []
    )
    return any(_matches(parts, [part for part in text.split("/") if part not in ("", ".")]) for text in texts)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a glob of uv's stands for a path; the folders themselves, of which there may be many, are not looked through."""
    ends = {0}
    for each in pattern:
        if each == "**":
            ends = {end for start in ends for end in range(start, len(parts) + 1)}
        else:
            ends = {start + 1 for start in ends if start < len(parts) and fnmatchcase(parts[start], each)}
    return bool(parts) and len(parts) in ends


def read_pyproject(declared: str, groups: Sequence[str], root: Path) -> Iterator[Line]:
    """The lines that "FOLDER[extra,…]" and `groups` ask for. UsageError names the key at fault."""
    match = _DECLARED.fullmatch(declared)
    extras = [extra.strip() for extra in (match["extras"] or "").split(",")] if match else []
    tables = read_tables(root / folder_of(declared), folder_of(declared))
    project = tables.get("project")
    if not isinstance(project, dict):
        if not groups or [extra for extra in extras if extra]:
            raise no_project(tables, root / folder_of(declared))
        project = {}
    if "dependencies" in project.get("dynamic", ()):
        raise dynamic(tables)
    if not groups:
        check_poetry(tables)
    uv = mapping(mapping(tables.get("tool")).get("uv"))
    above = workspace_of(root / folder_of(declared))
    shared = mapping(mapping(load_pyproject(above / NAME, NAME).get("tool")).get("uv")) if above else {}
    sources: dict[str, Any] = {
        canonicalize_name(name): source
        for each in (shared, uv)
        for name, source in mapping(each.get("sources")).items()
    }
    for line, of in _packages(project, [extra for extra in extras if extra], tables, groups):
        yield from _from_source(line, of, sources)
    if isinstance(asked := project.get("requires-python"), str):
        yield Line(f"{NAME}: project.requires-python", asked, "--requires-python")
    for key, kind in _BOUNDS.items():
        for index, text in enumerate(uv.get(key, ())):
            yield Line(f"{NAME}: tool.uv.{key}[{index}]", _text(text, key), kind)


def read_tables(folder: Path, shown: str) -> dict[str, Any]:
    """The whole file. UsageError where it is not there or not TOML."""
    path = folder / NAME
    if not path.is_file():
        raise missing_file(folder, shown)
    return load_pyproject(path, NAME)


def _packages(
    project: Mapping[str, Any], extras: list[str], tables: Mapping[str, Any], groups: Sequence[str]
) -> Iterator[tuple[Line, _Of]]:
    """Each line with where it stands. A requirement of the project itself stands for its own extras, and never for what an index has
    by that name."""
    own = canonicalize_name(project.get("name", ""))
    asked = [(extra, "") for extra in extras]
    for index, text in enumerate(project.get("dependencies", ())):
        if (own_extras := _own_extras(own, str(text), "")) is not None:
            asked += own_extras
        else:
            yield Line(f"{NAME}: project.dependencies[{index}]", str(text)), ("", "")
    known = {canonicalize_name(name): items for name, items in project.get("optional-dependencies", {}).items()}
    seen: set[tuple[str, str]] = set()
    for group in groups:
        for text in _group(tables, group):
            if (own_extras := _own_extras(own, text, "")) is not None:
                asked += own_extras
            else:
                yield Line(f"{NAME}: dependency-groups.{group}", text), ("group", canonicalize_name(group))
    while asked:
        name, marker = asked.pop()
        extra = canonicalize_name(name)
        if (extra, marker) in seen:
            continue
        seen.add((extra, marker))
        if extra not in known and "optional-dependencies" in project.get("dynamic", ()):
            raise UsageError(
                f"{NAME}: project.optional-dependencies is dynamic, and a lock needs it written down",
                hint=f'write the extra "{extra}" into [project.optional-dependencies], or name a requirements file',
            )
        if extra not in known:
            raise UsageError(
                f'{NAME} has no extra "{extra}"', hint=f"it has {', '.join(sorted(known))}" if known else "it has none"
            )
        for index, text in enumerate(known[extra]):
            if (own_extras := _own_extras(own, str(text), marker)) is not None:
                asked += own_extras  # proj[all] = ["proj[train]"]
            else:
                place = f"{NAME}: project.optional-dependencies.{extra}[{index}]"
                yield Line(place, _where(str(text), marker)), ("extra", extra)


def _group(tables: Mapping[str, Any], group: str) -> tuple[str, ...]:
    """The requirements of a dependency group (PEP 735), included groups resolved; `[tool.uv] dev-dependencies` is "dev"."""
    known = dict(mapping(tables.get("dependency-groups")))
    uv = mapping(mapping(tables.get("tool")).get("uv"))
    if "dev-dependencies" in uv:
        known["dev"] = [*known.get("dev", ()), *uv["dev-dependencies"]]
    if canonicalize_name(group) not in {canonicalize_name(name) for name in known}:
        raise no_group(tables, group, known)
    try:
        return resolve_dependency_groups(known, group)
    except (ValueError, TypeError, LookupError, ExceptionGroup) as error:
        reasons = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        found = "; ".join(dict.fromkeys(f"{str(reason)[:1].lower()}{str(reason)[1:]}" for reason in reasons))
        raise UsageError(f"{NAME}: dependency-groups.{group}: {found}", hint="check the group") from None


def _own_extras(own: str, text: str, marker: str) -> list[tuple[str, str]] | None:
    """The extras of the project itself that a requirement asks for, each with the marker where it is asked for; None for
    another package."""
    try:
        requirement = Requirement(_where(text, marker))
    except InvalidRequirement:
        return None
    if not own or canonicalize_name(requirement.name) != own:
        return None
    return [(extra, str(requirement.marker or "")) for extra in sorted(requirement.extras)]


def _where(text: str, marker: str) -> str:
    """A requirement that also has a marker."""
    if not marker:
        return text
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return text  # refused by its line
    both = f"({requirement.marker}) and ({marker})" if requirement.marker else marker
    requirement.marker = Marker(both)
    return str(requirement)


def _from_source(line: Line, of: _Of, sources: Mapping[str, Any]) -> Iterator[Line]:
    """The line as `[tool.uv.sources]` has it: an index is a matter of where files come from, an address is a requirement. An entry may
    be that of one extra or group alone."""
    match = re.match(r"[\w.-]+", line.text)
    name = canonicalize_name(match[0]) if match else ""
    given = sources.get(name)
    tables = [mapping(source) for source in (given if isinstance(given, list) else [given]) if source is not None]
    tables = [table for table in tables if all(_is_of(table, key, of) for key in ("extra", "group"))]
    if not tables:
        yield line
    for table in tables:
        if "index" in table:
            where = f" ; {table['marker']}" if "marker" in table else ""
            yield line
            yield Line(line.place, f"{name} {table['index']}{where}", "--index")
        elif match and isinstance(url := table.get("url"), str) and not {"subdirectory", "marker"} & set(table):
            yield line._replace(text=f"{match[0]} @ {url}")
        else:
            kind = next((key for key in ("git", "path", "workspace", "url") if key in table), "a source of its own")
            raise UsageError(
                f"{line.place}: [tool.uv.sources] gives {match[0] if match else line.text} "
                f"a source of its own ({kind}), which a lock cannot repeat",
                hint=_SOURCE_HINTS.get(kind, "publish it to an index, and name that index in UV_INDEX or uv.toml"),
            )


def _is_of(table: Mapping[str, Any], key: str, of: _Of) -> bool:
    asked = table.get(key)
    return asked is None or (isinstance(asked, str) and of == (key, canonicalize_name(asked)))


def _text(value: Any, key: str) -> str:
    """A requirement of `[tool.uv]`. uv also takes tables in override-dependencies, which a lock does not."""
    if not isinstance(value, str):
        raise UsageError(f"{NAME}: tool.uv.{key} holds {value!r}, which is not a requirement", hint="write it as text")
    return value
