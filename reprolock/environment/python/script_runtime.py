"""Make the folder that `import reprolock` finds in a locked environment: the few modules that scripts use.

An environment is shared by projects and by versions of reprolock, so reprolock is not installed into
it: the command is given this folder by PYTHONPATH. The modules need the standard library alone, and
what the script itself uses.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import reprolock
from reprolock.files.os_errors import cannot_write
from reprolock.model.digest import digest_of

SCRIPT_MODULES = ("__init__.py", "errors.py", "script.py", "script_pandas.py")
"""The modules that a script can import, as paths below the package; they import one another alone."""


def runtime_folder(store: Path, modules: tuple[str, ...] = SCRIPT_MODULES, source: Path | None = None) -> Path:
    """The folder to put on PYTHONPATH, made in the cache folder `store` where it is not there yet.

    It is named by its content, appears whole, and its bytes are compared each time: MachineError when
    it cannot be written.
    """
    package = source or Path(reprolock.__file__).parent
    contents = {name: (package / name).read_bytes() for name in modules}
    folder = store / "runtime" / digest_of(contents)[:16]
    if _holds(folder, contents):
        return folder
    fresh = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        for name, data in contents.items():
            path = fresh / "reprolock" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if folder.exists() and not _holds(folder, contents):
            os.rename(folder, fresh.with_name(f"{fresh.name}.old"))  # edited since
        try:
            os.rename(fresh, folder)
        except OSError:
            if not _holds(folder, contents):  # else another run was as fast
                raise
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        for leftover in (fresh, fresh.with_name(f"{fresh.name}.old")):
            shutil.rmtree(leftover, ignore_errors=True)
    return folder


def _holds(folder: Path, contents: dict[str, bytes]) -> bool:
    try:
        return all((folder / "reprolock" / name).read_bytes() == data for name, data in contents.items())
    except OSError:
        return False
