"""Name a command that is a script of the project itself (`[project.scripts]`): pip makes it where the project is installed, and a run installs no project."""

from __future__ import annotations

from pathlib import Path

from reprolock.environment.python.declared.elsewhere import mapping
from reprolock.environment.python.declared.pyproject_types import load_pyproject
from reprolock.errors import ReprolockError, UsageError

_NAME = "pyproject.toml"


def own_script_error(name: str, root: Path) -> UsageError | None:
    """The error for a command that the project's pyproject.toml declares as a script; None for any other."""
    try:
        tables = load_pyproject(root / _NAME, _NAME)
    except (OSError, ReprolockError):
        return None
    poetry = mapping(mapping(tables.get("tool")).get("poetry"))
    declared = {**mapping(poetry.get("scripts")), **mapping(mapping(tables.get("project")).get("scripts"))}
    target = declared.get(name)
    module, _, function = target.partition(":") if isinstance(target, str) else ("", "", "")
    if not module or not function:
        return None
    code = f"import sys, {module}; sys.exit({module}.{function}())"
    return UsageError(
        f'run.command names "{name}", which {_NAME} declares as a script of this project, and a run installs no project',
        hint=f'write command = ["python", "-c", "{code}", …]',
    )
