"""Compiled modules (`__pycache__`) of an environment: those that a run left are kept, all others are removed before the next run.

Python takes a module from `__pycache__` without a look at its source, as long as the size and time of the source are those
that the compiled file names. No package lists these files, and Python writes them as it goes; so they are noted
(path, size and time) when a command has ended, in `<store>/bytecode/`, and what is not as noted goes before the next one.
A replay, which is evidence, takes none of them: it compiles anew, in a folder of its own (PYTHONPYCACHEPREFIX).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from reprolock.errors import MachineError
from reprolock.files.atomic_write import write_whole

FOLDER = "bytecode"
_CACHE = "__pycache__"


def remove_unknown_bytecode(environment: Path) -> tuple[str, ...]:
    """Remove what stands in the environment's `__pycache__` folders and is not as noted; the paths that went, sorted."""
    try:
        known = set(_note(environment).read_bytes().splitlines())
    except OSError:
        known = set()
    gone = []
    for path, line in _compiled(environment):
        if line not in known:
            with suppress(OSError):  # another run was as fast; a read-only environment cannot have been changed either
                os.unlink(path)
                gone.append(path)
    return tuple(sorted(gone))


def note_bytecode(environment: Path) -> None:
    """Note what stands there now. Where it cannot be noted, the next run compiles again."""
    note = _note(environment)
    with suppress(OSError, MachineError):
        note.parent.mkdir(parents=True, exist_ok=True)
        write_whole(note, b"\n".join(sorted(line for _, line in _compiled(environment))))
        for other in note.parent.iterdir():
            if not (environment.parent / other.name).exists():
                other.unlink()


def _note(environment: Path) -> Path:
    return environment.parent.parent / FOLDER / environment.name


def _compiled(environment: Path) -> Iterator[tuple[str, bytes]]:
    """(path, "path\\tsize\\ttime" as bytes) of each file in a `__pycache__` folder below the environment."""
    for folder, _, names in os.walk(environment):
        if os.path.basename(folder) == _CACHE:
            for path in (os.path.join(folder, name) for name in names):
                with suppress(FileNotFoundError):
                    status = os.lstat(path)
                    shown = os.fsencode(os.path.relpath(path, environment)).replace(b"\n", b"\\n")
                    yield path, b"%s\t%d\t%d" % (shown, status.st_size, status.st_mtime_ns)
