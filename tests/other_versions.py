"""Environments with other versions of what people have: made by uv once, and kept below the project's cache folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".cache" / "environments"


def environment(*packages: str) -> Path:
    """The folder of programs of an environment with these packages, as uv resolves them when it is made."""
    folder = FOLDER / hashlib.sha256(f"{sys.version} {packages}".encode()).hexdigest()[:16]
    if not (folder / ".whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(folder)], check=True)
        python = ["--python", str(folder / "bin" / "python")]
        subprocess.run(["uv", "pip", "install", "-q", "--compile-bytecode", *python, *packages], check=True)
        (folder / ".whole").touch()
    return folder / "bin"


def version(programs: Path, package: str) -> str:
    """The version of a package in it."""
    asked = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return subprocess.run([programs / "python", "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
