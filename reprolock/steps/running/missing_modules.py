"""Modules of the project that a failed command could not import: they are among the code, in a folder where Python does not look,
or not among it at all.

Where people work, an editable install (`pip install -e .`) leads to them; a run's own folder has the code alone.
"""

from __future__ import annotations

import os
import posixpath
import sys
from collections.abc import Collection, Iterator
from importlib.util import find_spec
from pathlib import Path

from reprolock.environment.code.snapshot import Snapshot
from reprolock.model.spec import Spec
from reprolock.model.uri import with_folders
from reprolock.steps.project.code import scripts_of
from reprolock.steps.project.script_arguments import read_script


def missing_modules(spec: Spec, code: Snapshot, root: Path, packages: Path | None) -> Iterator[str]:
    """A sentence for each that the command's script imports. `root` is where the code is, `packages` the locked environment's
    (None: the command has the packages of this Python)."""
    files = set(code.state.files)
    there = {place for path in files if path.endswith(".py") for place in with_folders(path)}
    looked = [posixpath.normpath(folder) for folder in spec.run.env.get("PYTHONPATH", "").split(os.pathsep) if folder]
    for text, places in scripts_of(spec.run.command):
        script = next((place for place in map(posixpath.normpath, places) if place in files), None)
        if script is None:
            names, where = frozenset({text.partition(".")[0]} if len(places) > 1 else ()), "."
        else:
            names, where = _imported(root / script), "." if len(places) > 1 else posixpath.dirname(script) or "."
        for name in sorted(names - sys.stdlib_module_names):
            if any(_holds(there, folder, name) for folder in (where, *looked)) or _is_installed(name, packages):
                continue
            sentence = f"{script or 'run.command'} imports {name}, which is in"
            if folder := min(_folders_with(there, name), default=None):
                shown = "the project's folder" if folder == "." else f"{folder}/"
                hint = f'write env = {{ PYTHONPATH = "{folder}" }} below [run]'
                yield f"{sentence} {shown}, where Python does not look for it: {hint}"
            elif any((root / folder / each).exists() for folder in (where, *looked) for each in (f"{name}.py", name)):
                hint = "name it in run.code" if spec.run.code is not None else "have git track it, or name run.code"
                yield f"{sentence} the project and not among the code: {hint}"


def _imported(script: Path) -> frozenset[str]:
    """The first names of what a script imports; none where it cannot be read, or looks after its path itself."""
    try:
        text = script.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return frozenset()
    return frozenset() if "sys.path" in text else read_script(text).imports


def _holds(there: Collection[str], folder: str, name: str) -> bool:
    place = name if folder == "." else f"{folder}/{name}"
    return place in there or f"{place}.py" in there


def _folders_with(there: Collection[str], name: str) -> Iterator[str]:
    return (posixpath.dirname(place) or "." for place in there if posixpath.basename(place) in (name, f"{name}.py"))


def _is_installed(name: str, packages: Path | None) -> bool:
    return find_spec(name) is not None if packages is None else any(packages.glob(f"{name}*"))
