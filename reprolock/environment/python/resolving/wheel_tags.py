"""Tell from file names which wheels of a package suit a Python, and for which platforms there is none. No IO."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.markers import Marker
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from reprolock.model.python_version import feature_of, is_exact

PLATFORMS = {
    "Linux on x86-64": (re.compile(r"(?:many)?linux\w*_x86_64"), "linux", "x86_64"),
    "Linux on ARM": (re.compile(r"(?:many)?linux\w*_aarch64"), "linux", "aarch64"),
    "macOS on ARM": (re.compile(r"macosx_\w+_(?:arm64|universal2)"), "darwin", "arm64"),
    "Windows on x86-64": (re.compile(r"win_amd64"), "win32", "AMD64"),
}
"""The platforms that a lock promises to install on: what their wheels are called, sys.platform, the machine."""
_SYSTEMS = {"linux": ("posix", "Linux"), "darwin": ("posix", "Darwin"), "win32": ("nt", "Windows")}


def suits(wheel: str, python: str) -> bool:
    """Whether a wheel, by its file name, runs under CPython of a feature version ("3.11") on some platform."""
    return any(_suits(tag, int(python.split(".")[1])) for tag in _tags(wheel))


def needs_build(wheels: Iterable[str], python: str, marker: str | None) -> bool:
    """True when a platform on which `marker` holds has no wheel among these files, and must build one."""
    minor = int(python.split(".")[1])
    tags = {tag for wheel in wheels for tag in _tags(wheel) if _suits(tag, minor)}
    if any(tag.platform == "any" for tag in tags):
        return False
    for pattern, system, machine in PLATFORMS.values():
        if marker is not None and not Marker(marker).evaluate(_meaning(python, system, machine)):
            continue
        if not any(pattern.fullmatch(tag.platform) for tag in tags):
            return True
    return False


def suits_platform(wheel: str, python: str, platform: str) -> bool:
    """Whether a wheel, by its file name, runs under CPython of a feature version on one of PLATFORMS."""
    pattern = PLATFORMS[platform][0]
    minor = int(python.split(".")[1])
    return any(
        _suits(tag, minor) and (tag.platform == "any" or pattern.fullmatch(tag.platform)) for tag in _tags(wheel)
    )


def meaning_of(python: str, platform: str) -> dict[str, str]:
    """What environment markers mean under CPython of a version on one of PLATFORMS."""
    return _meaning(python, *PLATFORMS[platform][1:])


def _tags(wheel: str) -> Iterable[Tag]:
    try:
        return parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:
        return ()  # uv takes no such file either


def _suits(tag: Tag, minor: int) -> bool:
    """The interpreters that CPython 3.MINOR takes (PEP 425): its own, an older stable ABI's, and plain Python's."""
    match = re.fullmatch(r"(cp|py)3(\d*)", tag.interpreter)
    if not match:
        return False
    asked = int(match[2] or 0)
    if match[1] == "py":
        return asked <= minor
    return asked == minor or (asked < minor and tag.abi == "abi3")


def _meaning(python: str, system: str, machine: str) -> dict[str, str]:
    os_name, platform_system = _SYSTEMS[system]
    full = python if is_exact(python) else f"{python}.0"
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": os_name,
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": platform_system,
        "platform_version": "",
        "python_full_version": full,
        "python_version": feature_of(python),
        "sys_platform": system,
        "extra": "",
    }
