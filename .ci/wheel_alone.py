"""Install a wheel into a fresh environment by pip, as a user would, and run reprolock from it. Prints what that took."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main(wheel: Path) -> None:
    """CalledProcessError where anything of it fails."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        programs = environment / ("Scripts" if sys.platform == "win32" else "bin")
        before, started = _size(environment), time.monotonic()
        subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", str(wheel)], check=True)
        seconds, size = time.monotonic() - started, _size(environment) - before
        version = subprocess.run([programs / "reprolock", "--version"], check=True, capture_output=True, text=True)
        expected = f"reprolock {wheel.name.split('-')[1]}\n"
        assert version.stdout == expected, f"{version.stdout!r} is not {expected!r}"
        subprocess.run([programs / "reprolock", "--help"], check=True, capture_output=True, cwd=folder)
        print(f"{wheel.name} alone: {size / 1e6:.0f} MB in {seconds:.0f} s; {version.stdout}", end="")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
