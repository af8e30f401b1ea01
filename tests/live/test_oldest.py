"""The oldest MLflow that pyproject.toml allows, in an environment of its own with reprolock beside it."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest
import services
from other_versions import environment, version
from packaging.requirements import Requirement
from project import Project

pytestmark = [pytest.mark.live, pytest.mark.long]
ROOT = Path(__file__).parents[2]


def oldest(package: str, part: str) -> str:
    """The lowest release that a part of the project asks for, and its patches."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][part]
    [found] = (item for item in map(Requirement, declared) if item.name == package)
    [lowest] = (item.version for item in found.specifier if item.operator == ">=")
    return f"{package}=={lowest}.*"


def test_run_and_replay_with_the_oldest_mlflow(project: Project) -> None:
    programs = environment("--editable", f"{ROOT}[mlflow]", oldest("mlflow", "mlflow"))
    services.used["oldest MLflow"] = version(programs, "mlflow")
    (project.root / "mlflow.db").unlink()  # of the MLflow that the other tests have
    project.script("""
        import mlflow
        with mlflow.start_run():
            mlflow.log_metric("loss", 0.5)
        with mlflow.start_run(run_name="again"):
            mlflow.log_metric("loss", 0.25)
    """)
    project.add('[metrics]\nloss = "exact"\n')

    def reprolock(*arguments: str) -> subprocess.CompletedProcess[str]:
        path = {"PATH": f"{programs}:{os.environ['PATH']}"}
        argv = [programs / "reprolock", *arguments]
        return subprocess.run(argv, cwd=project.root, env=dict(os.environ) | path, capture_output=True, text=True)

    for command in (("lock",), ("run",)):
        said = reprolock(*command)
        assert (said.returncode, "warning" in said.stderr) == (0, False), said.stderr
    record = project.record
    assert (record.metrics, [child.name for child in record.children]) == ({"loss": 0.5}, ["again"])
    said = reprolock("replay", record.run_id)
    assert said.returncode == 0, said.stderr
    assert "REPRODUCED   2 of 2 compared" in said.stdout
