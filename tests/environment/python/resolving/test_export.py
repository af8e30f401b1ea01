"""The lock in other tools' formats, read by those tools."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.pylock import Pylock
from wheelhouse import PYTHON, environ, sdist, wheel

from reprolock.environment.python.resolving.export import hashed_requirements, pylock
from reprolock.environment.python.resolving.lock import resolve
from reprolock.errors import PinError
from reprolock.model.lock import EnvironmentPin, PackagePin
from reprolock.model.spec import EnvironmentSpec

HASHES = ("1" * 64, "2" * 64)


def uv(folder: Path, variables: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments], cwd=folder, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture
def house(tmp_path: Path) -> Path:
    folder = tmp_path / "house"
    folder.mkdir()
    wheel(folder, "tool", needs=['winlib; sys_platform == "win32"']), wheel(folder, "winlib")
    wheel(folder, "native", tag="cp39-abi3-win_amd64"), wheel(folder, "native")
    wheel(folder, "maker"), sdist(folder, "raw", requires=["maker"])
    return folder


@pytest.fixture
def pin(tmp_path: Path, house: Path) -> EnvironmentPin:
    spec = EnvironmentSpec(packages=("tool", "native", "raw"))
    return resolve(spec, tmp_path, python=PYTHON, environ=environ(tmp_path, house))


def test_hashed_requirements_are_every_package_with_its_marker_and_hashes() -> None:
    packages = (
        PackagePin(name="six", version="1.17.0", hashes=HASHES),
        PackagePin(name="tool", version="2.0", marker="sys_platform == 'win32'", hashes=HASHES[:1]),
        PackagePin(name="model", version="3.7.1", hashes=HASHES[1:]),
    )
    declared = ("six", "Model @ https://example.com/model-3.7.1-py3-none-any.whl")
    pin = EnvironmentPin.sealed(requirements=declared, python="3.11", package=packages)
    assert hashed_requirements(pin) == (
        f"six==1.17.0 \\\n    --hash=sha256:{HASHES[0]} \\\n    --hash=sha256:{HASHES[1]}\n"
        f"tool==2.0 ; sys_platform == 'win32' \\\n    --hash=sha256:{HASHES[0]}\n"
        f"model @ https://example.com/model-3.7.1-py3-none-any.whl \\\n    --hash=sha256:{HASHES[1]}\n"
    )


def test_uv_installs_the_exported_requirements(tmp_path: Path, house: Path, pin: EnvironmentPin) -> None:
    variables = environ(tmp_path, house)
    (tmp_path / "requirements.txt").write_text(hashed_requirements(pin))
    uv(tmp_path, variables, "venv", "--python", sys.executable, "there")
    uv(tmp_path, variables, "pip", "install", "--python", "there", "--require-hashes", "-r", "requirements.txt")
    listed = subprocess.run(
        [tmp_path / "there/bin/python", "-c", "import tool, native, raw"], cwd=tmp_path, check=False
    )
    assert listed.returncode == 0


def test_a_pylock_names_files_and_no_address(tmp_path: Path, house: Path, pin: EnvironmentPin) -> None:
    text = pylock(pin, environ=environ(tmp_path, house))
    assert "://" not in text and str(tmp_path) not in text
    document = Pylock.from_dict(tomllib.loads(text))
    assert str(document.requires_python) == f"=={PYTHON}.*"
    files = {
        package.name: sorted(
            file.filename for file in [*(package.wheels or ()), *([package.sdist] if package.sdist else [])]
        )
        for package in document.packages
    }
    assert files == {
        "native": ["native-1.0-cp39-abi3-win_amd64.whl", "native-1.0-py3-none-any.whl"],
        "raw": ["raw-1.0.tar.gz"],
        "tool": ["tool-1.0-py3-none-any.whl"],
        "winlib": ["winlib-1.0-py3-none-any.whl"],
    }
    assert {package.name: str(package.marker) for package in document.packages if package.marker} == {
        "winlib": 'sys_platform == "win32"'
    }


def test_uv_installs_from_the_exported_pylock_with_the_files_beside_it(
    tmp_path: Path, house: Path, pin: EnvironmentPin
) -> None:
    variables = environ(tmp_path, house)
    there = tmp_path / "there"
    there.mkdir()
    (there / "pylock.toml").write_text(pylock(pin, environ=variables))
    for file in house.iterdir():
        shutil.copy(file, there)
    (tmp_path / "config" / "uv" / "uv.toml").write_text(f'no-index = true\nfind-links = ["{house}"]\n')
    uv(there, variables, "venv", "--python", sys.executable, "venv")
    told = uv(there, variables, "pip", "sync", "--python", "venv", "pylock.toml")
    assert re.findall(r"\+ (\w+)==", told) == ["native", "raw", "tool"]


def test_a_file_that_the_index_no_longer_has(tmp_path: Path, house: Path, pin: EnvironmentPin) -> None:
    (house / "native-1.0-py3-none-any.whl").unlink()
    with pytest.raises(PinError) as caught:
        pylock(pin, environ=environ(tmp_path, house))
    gone = next(package for package in pin.package if package.name == "native")
    assert (
        re.fullmatch(r"the index no longer has the file of native 1\.0 with SHA-256 ([0-9a-f]{64})", str(caught.value))[
            1
        ]
        in gone.hashes
    )  # type: ignore[index]
    assert caught.value.hints == "run `reprolock lock --upgrade-package native`"


def test_no_packages_are_an_empty_file(tmp_path: Path) -> None:
    pin = EnvironmentPin.sealed(requirements=(), python="3.11")
    assert hashed_requirements(pin) == ""
    assert Pylock.from_dict(tomllib.loads(pylock(pin, environ=environ(tmp_path)))).packages == []
