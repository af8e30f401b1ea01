"""Inspect the Python that runs a command: version, platform, packages. None of its packages is imported."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from reprolock.model.record import EnvironmentRecord

_DIST_INFO = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(?:\.dist-info|(?:-py3\.\d+)?\.egg-info)")


def observe() -> EnvironmentRecord:
    """This interpreter, which is the command's as long as no environment is locked."""
    return EnvironmentRecord(
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        platform=f"{platform.system()} {platform.machine()}",
        cores=usable_cores(),
        isolated=False,
        packages=list_installed(package_folders()),
    )


def usable_cores() -> int | None:
    """Cores that this process and its children may use; of a machine without affinities all of them. None: unknown."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def package_folders() -> tuple[Path, ...]:
    """Where this Python has its packages, in its own order: a virtual environment may show the system's too, and a user has some."""
    return tuple(Path(place) for place in sys.path if Path(place).name in ("site-packages", "dist-packages"))


def list_installed(folders: Sequence[Path]) -> dict[str, str]:
    """Normalised name → version of every distribution, by the names of its metadata (PEP 376, and what distutils wrote), sorted.
    Of one that stands in several folders the first counts, as for Python."""
    found = {}
    for folder in reversed(folders):
        for entry in folder.iterdir() if folder.is_dir() else ():
            if match := _DIST_INFO.fullmatch(entry.name):
                found[re.sub(r"[-_.]+", "-", match["name"]).lower()] = match["version"]
    return dict(sorted(found.items()))


def feature_version() -> str:
    """`3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
