"""Find a Python of a feature version, an exact version or a range on this machine: reprolock's own, one that uv knows, or one of pyenv's."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from packaging.markers import default_environment

from reprolock.environment.caches import cache_folder
from reprolock.environment.python.uv import Uv
from reprolock.errors import MachineError, ServiceError
from reprolock.files.atomic_write import write_whole
from reprolock.model.python_version import accepts_python, feature_of, is_exact, is_range, to_pin

_ASK = "import json, platform, sys; print(json.dumps([platform.python_version(), platform.python_implementation(), sys.executable]))"


class Python(NamedTuple):
    """One interpreter, never a virtual environment's: `version` "3.11.7", `implementation` "CPython"."""

    executable: Path
    version: str
    implementation: str

    @property
    def feature(self) -> str:
        """ "3.11"."""
        return feature_of(self.version)

    def markers(self) -> dict[str, str]:
        """What environment markers (PEP 508) mean under it, on this machine."""
        same = self.implementation == platform.python_implementation()
        here = {name: str(value) for name, value in default_environment().items()}
        here |= {"python_version": self.feature, "python_full_version": self.version}
        here |= {"implementation_version": self.version} if same else {}
        return here | {
            "platform_python_implementation": self.implementation,
            "implementation_name": self.implementation.lower(),
        }


def find_python(pinned: str, uv: Uv, folder: Path) -> Python:
    """A Python of the feature version or exact version that a lock pins, downloaded by uv where there is none and the network
    may be used.

    `folder` is where uv runs. MachineError (exit 8) when there is none to be had.
    """
    if found := _known_or_installed(pinned, uv, folder):
        return found
    raise MachineError(
        f"no Python {pinned} on this machine, which repro.lock pins",
        hint=install_hint(pinned),
        owner_hint="or let environment.python take another one and run `reprolock lock --upgrade`",
    )


def choose_python(declared: str, uv: Uv, folder: Path) -> str:
    """What a lock pins for a range: by reprolock's own interpreter, or else the one that uv takes or fetches for it."""
    own = platform.python_version()
    for version in (feature_of(own), own):
        if accepts_python(declared, version):
            return version
    found = _known_or_installed(declared, uv, folder)
    if found is None:
        raise MachineError(
            f"no Python {declared} on this machine, which environment.python asks for",
            hint=f"{install_hint(declared)}, or change environment.python",
        )
    return to_pin(declared, found.version)


def _known_or_installed(asked: str, uv: Uv, folder: Path) -> Python | None:
    if (found := known_python(asked, uv, folder)) or uv.offline:
        return found
    with suppress(ServiceError):  # what counts is that there is none; the hint says how to get one
        uv.run(["python", "install", "--quiet", asked], folder)
    return known_python(asked, uv, folder)


def install_hint(feature: str, platform: str = sys.platform) -> str:
    """How to get that Python here, as an imperative. `platform` is `sys.platform`'s."""
    if is_range(feature) or is_exact(feature):
        return f'install one, for example by `uv python install "{feature}"` or pyenv'
    own = {
        "darwin": f"`brew install python@{feature}`",
        "win32": f"`winget install Python.Python.{feature}`",
    }.get(platform, f"`apt install python{feature}` (Debian, Ubuntu)")
    return f"install Python {feature}: {own}, `uv python install {feature}` or pyenv"


def known_python(asked: str, uv: Uv, folder: Path) -> Python | None:
    """A Python that is on this machine already and answers to a feature version, an exact version or a range; None when there is none."""
    if _answers(asked, platform.python_version()):
        # A virtual environment is built upon the interpreter that it stands on itself.
        own = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
        return Python(own, platform.python_version(), platform.python_implementation())
    memory = None if is_range(asked) else cache_folder(uv.environ) / f"python-{asked}.json"
    if memory and (python := _load_memory(memory)):
        return python
    answer = uv.run(["python", "find", "--no-project", "--system", "--no-python-downloads", asked], folder)
    candidates = [Path(answer.output.strip())] if answer.complaint is None else []
    for candidate in (*candidates, *_of_pyenv(asked, uv)):
        if (python := _ask(candidate)) and _answers(asked, python.version):
            if memory:
                _remember(memory, python)
            return python
    return None


def _load_memory(memory: Path) -> Python | None:
    """What was found before, as long as that program is the same file: looking for it takes up to a second."""
    try:
        program, stamp, version, implementation = json.loads(memory.read_bytes())
        return Python(Path(program), version, implementation) if _stamp(Path(program)) == stamp else None
    except (OSError, TypeError, ValueError):
        return None


def _remember(memory: Path, python: Python) -> None:
    noted = [str(python.executable), _stamp(python.executable), python.version, python.implementation]
    with suppress(OSError, MachineError):  # a cache that cannot be written is reported by the code that needs it
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_whole(memory, json.dumps(noted).encode())


def _stamp(program: Path) -> list[int]:
    stat = program.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _answers(asked: str, version: str) -> bool:
    return accepts_python(asked, version) or asked == feature_of(version)


def _of_pyenv(asked: str, uv: Uv) -> Iterator[Path]:
    """pyenv's installations, newest first. uv finds only the one that pyenv's settings choose at the moment."""
    root = Path(uv.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [path for path in root.glob("versions/3.*") if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
    folders = [path for path in folders if _answers(asked, path.name)]
    for folder in sorted(folders, key=lambda path: [int(part) for part in path.name.split(".")], reverse=True):
        yield folder / "bin" / "python"


def _ask(program: Path) -> Python | None:
    """What a program says of itself, None for one that does not start."""
    try:
        done = subprocess.run([program, "-I", "-c", _ASK], capture_output=True, text=True, timeout=30, check=True)
        version, implementation, executable = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Python(Path(os.path.realpath(executable)), version, implementation)
