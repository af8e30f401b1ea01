"""Turn an OSError into one of reprolock's errors, with a sentence that names the path."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

from reprolock.errors import MachineError
from reprolock.model.secrecy import redacted

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_DENIED = (errno.EACCES, errno.EPERM)


def cannot_write(path: Path, error: OSError) -> MachineError:
    """The sentence for a file or folder that could not be written, made or moved."""
    if error.errno in _FULL:
        reason, hint = "the disk is full", f"free space on the disk that holds {path.parent} and try again"
    elif error.errno == errno.EFBIG:
        reason, hint = "it is larger than files may be here", "raise the limit (`ulimit -f`) and try again"
    elif error.errno in _DENIED:
        reason, hint = "permission denied", f"allow yourself to write in {path.parent} and try again"
    elif error.errno == errno.EROFS:
        reason, hint = "the file system is read-only", "use a folder on a disk that can be written"
    elif error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        reason, hint = "another file or folder has its name", f"move away what is at {_in_the_way(path)} and try again"
    elif error.errno == errno.ENOENT and not path.parent.exists():
        reason, hint = (
            f"there is no folder {path.parent}",
            f"make it (`mkdir -p {shlex.quote(str(path.parent))}`) and try again",
        )
    else:
        reason, hint = (error.strerror or str(error)).lower(), f"look at {path.parent} and try again"
    return MachineError(f"{path} cannot be written: {reason}", hint=hint)


def _in_the_way(path: Path) -> Path:
    """The first folder on the way to `path` that is none; `path` itself where all of them are folders."""
    return next(
        (folder for folder in reversed(path.parents) if os.path.lexists(folder) and not os.path.isdir(folder)), path
    )


def of_the_machine(error: OSError | MemoryError) -> MachineError:
    """The message for an error of the system that no other code handles."""
    if isinstance(error, MemoryError):
        return MachineError("there is not enough memory", hint="end other programs and try again")
    reason = (error.strerror or type(error).__name__).lower()
    where = f"{error.filename}: " if error.filename is not None else ""
    return MachineError(
        f"{where}{redacted(reason)}", hint="check that path and the limits of the system, and try again"
    )


def cannot_read(path: Path, error: OSError) -> MachineError:
    """The sentence for a file or folder that is there, or was a moment ago, and could not be read."""
    if error.errno in _DENIED:
        return MachineError(f"{path} cannot be read: permission denied", hint="allow yourself to read it and try again")
    reason = "it is gone" if error.errno == errno.ENOENT else (error.strerror or str(error)).lower()
    return MachineError(f"{path} cannot be read: {reason}", hint=f"look at {path} and try again")
