"""Make the folder that `import reprolock` finds in a locked environment: the few modules that scripts use.

An environment is shared by projects and by versions of reprolock, so reprolock is not installed into
it: the command is given this folder by PYTHONPATH. It is the run's own, written when the run is made ready, so
that no file of an earlier time can stand in it: it is searched before the locked packages. The modules need the standard library alone, and what the script itself uses.
"""

from __future__ import annotations

from pathlib import Path

import reprolock
from reprolock.files.os_errors import cannot_write

_PACKAGE = Path(reprolock.__file__).parent
SCRIPT_MODULES = (
    *("__init__.py", "errors.py", "script.py", "model/__init__.py", "model/glob.py"),
    *sorted(f"readers/{path.name}" for path in (_PACKAGE / "readers").glob("*.py")),
)
"""The modules that a script can import, as paths below the package; they import one another alone."""


def write_runtime(folder: Path) -> Path:
    """The folder to put on PYTHONPATH, which must not exist yet. MachineError where it cannot be written."""
    try:
        for name in SCRIPT_MODULES:
            path = folder / "reprolock" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((_PACKAGE / name).read_bytes())
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder
