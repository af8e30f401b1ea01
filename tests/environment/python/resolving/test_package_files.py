"""Which files of a locked environment a bundle holds: one wheel a package for this machine, all that suit it for a named platform."""

from __future__ import annotations

from pathlib import Path

import pytest
from wheelhouse import PYTHON, environ, sdist, wheel

from reprolock.environment.python.resolving.lock import resolve
from reprolock.environment.python.resolving.package_files import choose_files
from reprolock.errors import PinError
from reprolock.model.lock import EnvironmentPin
from reprolock.model.spec import EnvironmentSpec

TAG = f"cp{PYTHON.replace('.', '')}"
OLD_LINUX, NEW_LINUX = "manylinux_2_17_x86_64", "manylinux_2_28_x86_64"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """An index with `pure`, `native` for three platforms, `winning` for Windows alone, and `raw` without a wheel."""
    house = tmp_path / "house"
    house.mkdir()
    wheel(house, "pure")
    for tag in (OLD_LINUX, NEW_LINUX, "manylinux_2_17_aarch64", "macosx_11_0_arm64"):
        wheel(house, "native", tag=f"{TAG}-{TAG}-{tag}")
    wheel(house, "winning", tag=f"{TAG}-{TAG}-win_amd64")
    wheel(house, "maker")
    sdist(house, "raw", requires=["maker"])
    return house


def pin(house: Path, *packages: str) -> EnvironmentPin:
    spec = EnvironmentSpec(packages=packages)
    return resolve(spec, house.parent, environ=environ(house.parent, house), python=PYTHON)


def chosen(house: Path, found: EnvironmentPin, *platforms: str) -> list[str]:
    return [file.name for file in choose_files(found, platforms, environ=environ(house.parent, house))]


NATIVE = 'native; sys_platform != "win32"'
WINNING = 'winning; sys_platform == "win32"'


def test_a_named_platform_gets_every_wheel_that_suits_it(house: Path) -> None:
    found = pin(house, "pure", NATIVE, WINNING)
    arm = f"native-1.0-{TAG}-{TAG}-manylinux_2_17_aarch64.whl"
    mac = f"native-1.0-{TAG}-{TAG}-macosx_11_0_arm64.whl"
    pure = "pure-1.0-py3-none-any.whl"
    assert chosen(house, found, "linux-aarch64") == [arm, pure]
    assert chosen(house, found, "linux-x86_64") == [
        f"native-1.0-{TAG}-{TAG}-{OLD_LINUX}.whl",
        f"native-1.0-{TAG}-{TAG}-{NEW_LINUX}.whl",
        pure,
    ]
    assert chosen(house, found, "windows-x86_64") == [pure, f"winning-1.0-{TAG}-{TAG}-win_amd64.whl"]
    assert chosen(house, found, "macos-arm64", "linux-aarch64") == [mac, arm, pure]


def test_a_platform_without_a_wheel_gets_the_sdist_and_what_builds_it(house: Path) -> None:
    found = pin(house, "pure", "raw")
    assert chosen(house, found, "macos-arm64") == [
        "maker-1.0-py3-none-any.whl",
        "pure-1.0-py3-none-any.whl",
        "raw-1.0.tar.gz",
    ]


def test_a_file_that_the_index_no_longer_has(house: Path) -> None:
    found = pin(house, NATIVE)
    for file in house.glob("native-*-macosx_*"):
        file.unlink()
    with pytest.raises(PinError) as caught:
        chosen(house, found, "macos-arm64")
    assert caught.value.message == "the index has no pinned file of native 1.0 for macos-arm64"
    assert caught.value.hint == "name the index that has it in UV_INDEX, or another platform"
