"""Find the database schema that an installed MLflow wants, from its site-packages folder. Nothing is imported.

MLflow opens a database of its own revision alone. The revision is the last of its Alembic scripts,
which name themselves and the one before.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

_SCRIPTS = "mlflow/store/db_migrations/versions"
_REVISION = re.compile(r"""^(down_)?revision\s*(?::[^=]+)?=\s*["'](\w+)["']""", re.MULTILINE)
_OF_A_DATABASE = ("sqlalchemy", "alembic")
"""What mlflow-skinny leaves out, and MLflow needs to open a database."""


class MlflowSchema(NamedTuple):
    """`revision` is what it wants of a database; None where it can open none, for `lacking` is not installed."""

    revision: str | None
    lacking: tuple[str, ...] = ()


def schema_in(packages: Path) -> MlflowSchema | None:
    """What the MLflow in a site-packages folder wants; None where there is no MLflow, or its scripts are of an unknown kind."""
    named: set[str] = set()
    followed: set[str] = set()
    for script in (packages / _SCRIPTS).glob("*.py"):
        for down, revision in _REVISION.findall(script.read_text(encoding="utf-8")):
            (followed if down else named).add(revision)
    last = named - followed
    if len(last) != 1:
        return None
    lacking = tuple(name for name in _OF_A_DATABASE if not (packages / name).is_dir())
    return MlflowSchema(None if lacking else last.pop(), lacking)


def own_schema() -> MlflowSchema | None:
    """What the MLflow beside reprolock wants, without loading it."""
    spec = find_spec("mlflow")
    folders = spec.submodule_search_locations if spec else None
    return schema_in(Path(folders[0]).parent) if folders else None
