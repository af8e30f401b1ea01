"""The core alone, from the wheel in an environment of its own: what it can do, and the sentence about what it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
LARGEST = 200_000_000
"""Bytes that the core may take, all it depends on included."""

Reprolock = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and what it depends on, in the versions of the lock."""
    folder = tmp_path_factory.mktemp("core")
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(REPOSITORY)], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], check=True)
    pins = folder / "pins.txt"
    lines = (REPOSITORY / ".ci" / "requirements.lock").read_text().splitlines()
    pins.write_text("\n".join(line.rstrip(" \\") for line in lines if "==" in line and not line.startswith(" ")))
    install = [uv, "pip", "install", "--quiet", "--python", str(folder / "venv"), "--constraint", str(pins), str(wheel)]
    subprocess.run(install, check=True)
    return folder / "venv"


@pytest.fixture
def reprolock(environment: Path, tmp_path: Path) -> Reprolock:
    home = tmp_path / "home"
    home.mkdir()
    project = tmp_path / "project"
    project.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    variables = {**kept, "HOME": str(home), "REPROLOCK_CACHE_DIR": str(tmp_path / "cache")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = environment / ("Scripts" if os.name == "nt" else "bin") / "reprolock"
        return subprocess.run(
            [program, "-C", str(project), *arguments], env=variables, capture_output=True, text=True, timeout=60
        )

    return run


def test_it_is_small(environment: Path) -> None:
    files = [path for path in environment.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < LARGEST
    installed = {path.name.partition("-")[0] for path in environment.rglob("*.dist-info")}
    assert not installed & {"mlflow", "mlflow_skinny", "pyspark", "pandas", "pyarrow", "duckdb", "deltalake", "boto3"}
    assert (next(environment.rglob("reprolock/py.typed"))).is_file()


def test_a_project_is_made_locked_and_looked_at(reprolock: Reprolock, tmp_path: Path) -> None:
    data = tmp_path / "a.csv"
    data.write_text("x,y\n1,2\n")
    for arguments in (
        ["--version"],
        ["data", "create", "lakefs://flights"],
        ["data", "put", str(data), "lakefs://flights/main/train/a.csv"],
        ["data", "commit", "lakefs://flights/main", "-m", "First rows"],
        ["init", "lakefs://flights/main/train/"],
    ):
        done = reprolock(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
    spec = tmp_path / "project" / "repro.toml"
    spec.write_text(spec.read_text().replace("[spark]\n", ""))
    for arguments in (["lock"], ["lock", "--check"], ["status"], ["show"], ["diff", "repro.lock", "repro.lock"]):
        done = reprolock(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    found = reprolock("data", "ls", "-r", "lakefs://flights/main/", "--json")
    assert json.loads(found.stdout) and "train/a.csv" in found.stdout


def test_what_needs_a_part_names_the_command_that_brings_it(reprolock: Reprolock, tmp_path: Path) -> None:
    assert reprolock("init").returncode == 0
    spec = tmp_path / "project" / "repro.toml"
    (tmp_path / "project" / "train.py").write_text("")
    assert reprolock("lock").returncode == 0
    done = reprolock("run")
    database = tmp_path / "project" / "mlflow.db"
    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr.endswith(
        f"error: MLflow at sqlite:///{database} needs mlflow, which is not installed beside reprolock\n"
        'hint: run `pip install "reprolock[mlflow]"`, or with uv `uv pip install "reprolock[mlflow]"`\n'
    )
    spec.write_text(spec.read_text().replace("[params]", "[spark]\n\n[params]"))
    done = reprolock("lock")
    assert (done.returncode, done.stderr) == (
        8,
        "error: [spark] needs pyspark, which is not installed beside reprolock\n"
        'hint: run `pip install "reprolock[spark]"`, or with uv `uv pip install "reprolock[spark]"`\n',
    )
