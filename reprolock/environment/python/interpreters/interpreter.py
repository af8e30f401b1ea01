"""Inspect the Python that runs a command: version, platform, packages. None of its packages is imported."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path
from sysconfig import get_path

from reprolock.model.record import EnvironmentRecord

_DIST_INFO = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)\.(?:dist-info|egg-info)")


def observe() -> EnvironmentRecord:
    """This interpreter, which is the command's as long as no environment is locked."""
    return EnvironmentRecord(
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        platform=f"{platform.system()} {platform.machine()}",
        cores=usable_cores(),
        isolated=False,
        packages=list_installed({Path(get_path("purelib")), Path(get_path("platlib"))}),
    )


def usable_cores() -> int | None:
    """Cores that this process and its children may use; of a machine without affinities all of them. None: unknown."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def list_installed(folders: set[Path]) -> dict[str, str]:
    """Normalised name → version of every distribution, by the names of its metadata folders (PEP 376), sorted."""
    found = {}
    for folder in folders:
        for entry in folder.iterdir() if folder.is_dir() else ():
            if match := _DIST_INFO.fullmatch(entry.name):
                found[re.sub(r"[-_.]+", "-", match["name"]).lower()] = match["version"]
    return dict(sorted(found.items()))


def feature_version() -> str:
    """`3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"
