"""Find the programs of a stack on this machine, or get them in their official ways when that is asked for.

In: the machine. Out: a path each for MinIO, lakeFS and the Python that runs MLflow, or one sentence that says
what to install.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reprolock.environment.caches import cache_folder
from reprolock.errors import MachineError
from reprolock.model.secrecy import redacted
from reprolock.parts import missing as missing_part
from reprolock.steps.project.machine import Machine

MINIO_MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
_BY_HAND = {
    "minio": "MinIO (`go install github.com/minio/minio@latest`)",
    "lakefs": "lakeFS (`python -m lakefs.download`, or a release from https://docs.lakefs.io)",
}


def find_programs(
    machine: Machine, *, install: bool = False, tell: Callable[[str], None] = lambda text: None
) -> dict[str, Path]:
    """`minio`, `lakefs` and `python`. MachineError where one is not here; with `install` it is got first.

    `tell` hears what takes long.
    """
    if importlib.util.find_spec("boto3") is None:
        raise missing_part("stack", "boto3", "MLflow's server, which keeps artifacts on MinIO,")
    places = [machine.environ.get("PATH", ""), *(str(folder) for folder in _folders(machine))]
    path = os.pathsep.join(place for place in places if place)
    for name, get in (("minio", _get_minio), ("lakefs", _get_lakefs)):
        if install and shutil.which(name, path=path) is None:
            get(machine, tell)
    found = {name: shutil.which(name, path=path) for name in _BY_HAND}
    missing = [name for name in _BY_HAND if found[name] is None]
    if missing:
        names = " and ".join(f"`{name}`" for name in missing)
        raise MachineError(
            f"{names} {'is' if len(missing) == 1 else 'are'} not on PATH",
            hint=f"install {' and '.join(_BY_HAND[name] for name in missing)}, or let `reprolock stack up --install` do it",
        )
    return {name: Path(program).absolute() for name, program in found.items() if program} | {"python": machine.python}


def _folders(machine: Machine) -> list[Path]:
    """Where the two ways of getting the programs put them."""
    return [_own_folder(machine), Path(sysconfig.get_path("scripts")), machine.home / ".lakefs" / "bin"]


def _own_folder(machine: Machine) -> Path:
    return cache_folder(machine.environ) / "bin"


def _get_minio(machine: Machine, tell: Callable[[str], None]) -> None:
    """MinIO's documented way is to build it."""
    go = shutil.which("go", path=machine.environ.get("PATH"))
    if go is None:
        raise MachineError(
            "MinIO is installed with `go install`, and there is no `go` on PATH",
            hint="install Go from https://go.dev/dl, or MinIO by another way, and try again",
        )
    tell("Building MinIO with `go install` (some minutes, once)")
    _get([go, "install", MINIO_MODULE], {**machine.environ, "GOBIN": str(_own_folder(machine))}, "go install", "minio")


def _get_lakefs(machine: Machine, tell: Callable[[str], None]) -> None:
    """lakeFS's SDK downloads the release of its own version."""
    tell("Getting lakeFS with `python -m lakefs.download`")
    _get([str(machine.python), "-m", "lakefs.download"], machine.environ, "python -m lakefs.download", "lakefs")


def _get(argv: Sequence[str], environ: Mapping[str, str], shown: str, name: str) -> None:
    done = subprocess.run(
        argv, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        said = [line.strip() for line in redacted(done.stdout).splitlines() if line.strip()]
        reason = said[-1].removeprefix("RuntimeError: ") if said else f"exit code {done.returncode}"
        raise MachineError(
            f"`{shown}` failed: {reason}", hint=f"install `{name}` by hand, put it on PATH and try again"
        )
