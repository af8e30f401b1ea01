from __future__ import annotations

import pytest

from reprolock.environment.python.resolving.wheel_tags import needs_build, suits

LINUX = "x-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
ARM = "x-1.0-cp311-cp311-manylinux_2_28_aarch64.whl"
MACOS = "x-1.0-cp311-cp311-macosx_11_0_arm64.whl"
WINDOWS = "x-1.0-cp311-cp311-win_amd64.whl"


@pytest.mark.parametrize(
    ("wheel", "python", "answer"),
    [
        ("x-1.0-py3-none-any.whl", "3.11", True),
        ("x-1.0-py2.py3-none-any.whl", "3.11", True),
        ("x-1.0-py2-none-any.whl", "3.11", False),
        ("x-1.0-py312-none-any.whl", "3.11", False),
        ("x-1.0-py39-none-any.whl", "3.11", True),
        (LINUX, "3.11", True),
        (LINUX, "3.12", False),
        ("x-1.0-cp38-abi3-win_amd64.whl", "3.11", True),
        ("x-1.0-cp312-abi3-win_amd64.whl", "3.11", False),
        ("x-1.0-cp313-cp313t-win_amd64.whl", "3.13", True),
        ("x-1.0-pp311-pypy311_pp73-win_amd64.whl", "3.11", False),
        ("no wheel at all", "3.11", False),
    ],
)
def test_which_wheels_a_python_takes(wheel: str, python: str, answer: bool) -> None:
    assert suits(wheel, python) is answer


@pytest.mark.parametrize(
    ("wheels", "marker", "answer"),
    [
        ([], None, True),
        (["x-1.0-py3-none-any.whl"], None, False),
        ([LINUX, ARM, MACOS, WINDOWS], None, False),
        ([LINUX, ARM, MACOS], None, True),
        ([LINUX, ARM, MACOS], "sys_platform != 'win32'", False),
        ([WINDOWS], "sys_platform == 'win32'", False),
        ([LINUX], "platform_machine == 'x86_64'", False),
        (["x-1.0-cp311-cp311-macosx_10_9_universal2.whl"], "platform_system == 'Darwin'", False),
        ([LINUX.replace("cp311", "cp312"), ARM, MACOS, WINDOWS], None, True),
        ([LINUX, ARM, MACOS], "python_version < '3.11' or platform_system != 'Windows'", False),
    ],
)
def test_a_platform_without_a_wheel_must_build(wheels: list[str], marker: str | None, answer: bool) -> None:
    assert needs_build(wheels, "3.11", marker) is answer
