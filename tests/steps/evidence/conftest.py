"""A signed run of a project, made once a module, and copies of its artifacts."""

from __future__ import annotations

from pathlib import Path

import pytest
from evidence import Case, make_case


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Case:
    return make_case(tmp_path_factory.mktemp("case"), empty_mlflow)


@pytest.fixture
def folder(case: Case, tmp_path: Path) -> Path:
    """A copy of the artifacts, to be changed."""
    return case.copy(tmp_path / "artifacts")
