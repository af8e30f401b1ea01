"""Say where a project's dependencies are if pyproject.toml does not have them in its standard tables: in those
of Poetry, PDM, Hatch or setuptools, or in another file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reprolock.errors import UsageError

NAME = "pyproject.toml"
_WRITE = "write them into [project] dependencies"
_SETUP = ("setup.cfg", "setup.py")
_FILES = ("Pipfile", "environment.yml", "environment.yaml", "requirements.txt", "requirements.in")


_IN_POETRY = "dependencies are in [tool.poetry.dependencies], which is Poetry's own format"
_FROM_POETRY = (
    "run `poetry export -f requirements.txt -o requirements.txt` (plugin poetry-plugin-export) and declare "
    f'requirements = "requirements.txt", or {_WRITE}, which Poetry 2 reads, too'
)


def mapping(value: Any) -> Mapping[str, Any]:
    """A table as it is; an empty one for what is none."""
    return value if isinstance(value, Mapping) else {}


def missing_file(folder: Path, shown: str) -> UsageError:
    """There is no pyproject.toml: which other file has dependencies."""
    if shown.endswith(NAME) and folder.is_file():
        named = shown.removesuffix(NAME).rstrip("/") or "."
        return UsageError(
            f'environment.pyproject names the file "{shown}"; it must name the folder that contains it',
            hint=f'write pyproject = "{named}"',
        )
    message = f'no {NAME} in "{shown}"'
    if found := _file_in(folder, (*_SETUP, *_FILES)):
        where, hint = _of_file(found)
        return UsageError(f"{message}: {where}", hint=hint)
    return UsageError(message, hint='name the folder that contains it in environment.pyproject, such as "."')


def no_project(tables: Mapping[str, Any], folder: Path) -> UsageError:
    """A file without `[project]`: where its dependencies stand, and what to do."""
    tool = mapping(tables.get("tool"))
    if "poetry" in tool:
        where, hint = f"its {_IN_POETRY}", _FROM_POETRY
    elif "flit" in tool or "dependencies" in mapping(tool.get("pdm")):
        where, hint = f"its dependencies are in [tool.{'flit' if 'flit' in tool else 'pdm'}]", _WRITE
    elif found := _file_in(folder, (*_SETUP, *_FILES)):
        where, hint = _of_file(found)
    else:
        only = "only [build-system]" if set(tables) == {"build-system"} else "no dependencies"
        where, hint = f"it has {only}", f'{_WRITE}, or declare packages = ["…"] in repro.toml'
    return UsageError(f"{NAME} has no [project] table: {where}", hint=hint)


def check_poetry(tables: Mapping[str, Any]) -> None:
    """UsageError where `[project]` says nothing of dependencies and Poetry's table has some: Poetry then takes those."""
    known = mapping(mapping(mapping(tables.get("tool")).get("poetry")).get("dependencies"))
    if "dependencies" not in mapping(tables.get("project")) and known.keys() - {"python"}:
        raise UsageError(f"{NAME}: [project] has no dependencies: the {_IN_POETRY}", hint=_FROM_POETRY)


def nothing_asked(tables: Mapping[str, Any]) -> str:
    """A remark that the file asks for no package, with what it has beside."""
    hatch = mapping(mapping(mapping(tables.get("tool")).get("hatch")).get("envs"))
    names = {
        "group": mapping(tables.get("dependency-groups")),
        "extra": mapping(mapping(tables.get("project")).get("optional-dependencies")),
        "Hatch environment": [name for name, env in hatch.items() if mapping(env).get("dependencies")],
    }
    found = [f"{kind} {name}" for kind, known in names.items() for name in sorted(known)]
    told = f"; it has the {', the '.join(found)}" if found else ""
    return f"{NAME}: what is declared of it asks for no package, and none is locked{told}"


def no_group(tables: Mapping[str, Any], group: str, known: Mapping[str, Any]) -> UsageError:
    """No such group among `[dependency-groups]`: the table of another tool that has it, else what there is."""
    tool = mapping(tables.get("tool"))
    pdm, hatch = mapping(tool.get("pdm")), mapping(tool.get("hatch"))
    elsewhere = {
        f"[tool.poetry.group.{group}.dependencies]": mapping(mapping(tool.get("poetry")).get("group")),
        f"[tool.pdm.dev-dependencies] {group}": mapping(pdm.get("dev-dependencies")),
        f"[tool.hatch.envs.{group}]": mapping(hatch.get("envs")),
    }
    message = f'{NAME} has no dependency group "{group}"'
    for table, groups in elsewhere.items():
        if group in groups:
            return UsageError(
                f"{message} in [dependency-groups]: it is in {table}, which is not the standard table",
                hint=f'write it as `{group} = ["…"]` below [dependency-groups], which Poetry 2, PDM and Hatch read, too',
            )
    return UsageError(message, hint=f"it has {', '.join(sorted(known))}" if known else "it has none")


def dynamic(tables: Mapping[str, Any]) -> UsageError:
    """`dynamic = ["dependencies"]`: the build backend says them, often from a file."""
    tool = mapping(tables.get("tool"))
    told = mapping(mapping(mapping(tool.get("setuptools")).get("dynamic")).get("dependencies")).get("file")
    files = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    hint = "write the dependencies into pyproject.toml, or name a requirements file"
    if files:
        hint = f'declare requirements = "{files[0]}" in repro.toml, which [tool.setuptools.dynamic] names'
    elif "poetry" in tool:
        hint = f"{_WRITE} in place of [tool.poetry.dependencies], and take them out of dynamic"
    return UsageError(f"{NAME}: project.dependencies is dynamic, and a lock needs it written down", hint=hint)


def _file_in(folder: Path, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if (folder / name).is_file()), None)


def _of_file(name: str) -> tuple[str, str]:
    """Where dependencies are, and what to do."""
    if name in _SETUP:
        return (
            f"its dependencies are in {name} (install_requires), which only running it would show",
            f'{_WRITE}, or into a requirements file and declare requirements = "requirements.txt"',
        )
    listed = name.startswith("requirements")
    return f"its dependencies seem to be in {name}", f'declare requirements = "{name}"' if listed else _WRITE
