"""Give Jupyter the run's own kernels: whatever kernel a notebook names, it runs on the run's Python.

In: the run's folder, its Python and the names of kernels that notebooks and the command ask for. Out: Jupyter's
variables. `nbconvert --execute`, papermill and whatever else starts kernels by Jupyter's rules look into
JUPYTER_PATH first, so that a kernel of the same name in the user's folders is never found; settings and
start-up files of the user's are not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from reprolock.files.atomic_write import write_whole
from reprolock.files.os_errors import cannot_write

_OWN_KERNEL = "python3"
"""The name that Jupyter itself falls back to."""
_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""Jupyter's rule for the names of kernels."""
_ARGUMENT = re.compile(r"--(?:kernel|kernel_name|ExecutePreprocessor\.kernel_name)=(.+)")


def write_kernels(folder: Path, python: Path, names: Iterable[str]) -> dict[str, str]:
    """Kernels of these names and `python3` in `folder`, all of them the run's Python; Jupyter's variables."""
    data = folder / "data"
    for name in sorted({_OWN_KERNEL, *(name.lower() for name in names if _NAME.fullmatch(name) and name.strip("."))}):
        spec = {
            "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": f"{name} (the run's Python)",
            "language": "python",
        }
        place = data / "kernels" / name / "kernel.json"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(place.parent, error) from error
        write_whole(place, json.dumps(spec, indent=2).encode())
    own = {"JUPYTER_PATH": data, "JUPYTER_DATA_DIR": data, "JUPYTER_RUNTIME_DIR": folder / "runtime"}
    own |= {"JUPYTER_CONFIG_DIR": folder / "config", "IPYTHONDIR": folder / "ipython"}
    return {name: str(path) for name, path in own.items()}


def kernel_of(notebook: bytes) -> str | None:
    """The name of the Python kernel that a notebook asks for; None where it names none, or another language's."""
    try:
        spec = json.loads(notebook)["metadata"]["kernelspec"]
        name, language = spec["name"], spec.get("language", "python")
    except (ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) and language == "python" else None


def kernels_in(command: Iterable[str]) -> set[str]:
    """The names of kernels that a command line gives: `papermill -k NAME`, `--ExecutePreprocessor.kernel_name=NAME`."""
    words = list(command)
    named = {found[1] for word in words if (found := _ARGUMENT.fullmatch(word))}
    return named | {after for word, after in zip(words, words[1:], strict=False) if word in ("-k", "--kernel")}
