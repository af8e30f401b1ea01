"""Find the programs of a stack on this machine, or get them in their official ways when that is asked for.

In: the machine, and the object store. Out: a path each for the store, lakeFS and the Python that runs MLflow, or one
sentence that says what to install.
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
from reprolock.stack.servers import STORES
from reprolock.steps.project.machine import Machine

MODULES = {
    "minio": "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",
    "versitygw": "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
}
"""Of the object stores, what `go install` builds: the documented way of those two."""
_RELEASES = {"seaweedfs": "https://github.com/seaweedfs/seaweedfs/releases"}
"""Where the others are downloaded: `go install` refuses a module with replacements of its own."""


def find_programs(
    store: str, machine: Machine, *, install: bool = False, tell: Callable[[str], None] = lambda text: None
) -> dict[str, Path]:
    """Programs by server name; `python` runs MLflow. MachineError where one is not here; with `install` it is got first.

    `tell` hears what takes long.
    """
    if importlib.util.find_spec("boto3") is None:
        raise missing_part("stack", "boto3", "MLflow's server, which keeps artifacts in an object store,")
    places = [machine.environ.get("PATH", ""), *(str(folder) for folder in _folders(machine))]
    path = os.pathsep.join(place for place in places if place)
    program = STORES[store].program
    if install and store in MODULES and shutil.which(program, path=path) is None:
        _get_store(store, machine, tell)
    if install and shutil.which("lakefs", path=path) is None:
        _get_lakefs(machine, tell)
    found = {name: shutil.which(name, path=path) for name in (program, "lakefs")}
    missing = [name for name in found if found[name] is None]
    if missing:
        by_hand = {
            program: f"{STORES[store].title} ({_by_hand(store)})",
            "lakefs": "lakeFS (`python -m lakefs.download`, or a release from https://docs.lakefs.io)",
        }
        names = " and ".join(f"`{name}`" for name in missing)
        installed = (
            ", or let `reprolock stack up --install` do it" if program not in missing or store in MODULES else ""
        )
        raise MachineError(
            f"{names} {'is' if len(missing) == 1 else 'are'} not on PATH",
            hint=f"install {' and '.join(by_hand[name] for name in missing)}{installed}",
        )
    programs = {"store": found[program], "lakefs": found["lakefs"]}
    return {name: Path(program).absolute() for name, program in programs.items() if program} | {
        "python": machine.python
    }


def _by_hand(store: str) -> str:
    if store in _RELEASES:
        return f"a release from {_RELEASES[store]}"
    return f"`go install {MODULES[store].partition('@')[0]}@latest`"


def _folders(machine: Machine) -> list[Path]:
    """Where the two ways of getting the programs put them."""
    return [_own_folder(machine), Path(sysconfig.get_path("scripts")), machine.home / ".lakefs" / "bin"]


def _own_folder(machine: Machine) -> Path:
    return cache_folder(machine.environ) / "bin"


def _get_store(store: str, machine: Machine, tell: Callable[[str], None]) -> None:
    go, title = shutil.which("go", path=machine.environ.get("PATH")), STORES[store].title
    if go is None:
        raise MachineError(
            f"{title} is installed with `go install`, and there is no `go` on PATH",
            hint=f"install Go from https://go.dev/dl, or {title} by another way, and try again",
        )
    tell(f"Building {title} with `go install` (some minutes, once)")
    _get(
        [go, "install", MODULES[store]],
        {**machine.environ, "GOBIN": str(_own_folder(machine))},
        "go install",
        STORES[store].program,
    )


def _get_lakefs(machine: Machine, tell: Callable[[str], None]) -> None:
    """lakeFS's SDK downloads the release of its own version."""
    tell("Getting lakeFS with `python -m lakefs.download`")
    # Not from the folder where this is called (-P): a repository may have a `lakefs.py`.
    _get([str(machine.python), "-P", "-m", "lakefs.download"], machine.environ, "python -m lakefs.download", "lakefs")


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
