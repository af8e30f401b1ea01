"""Declared outputs: what stood at their paths is kept aside, what the run wrote is put there and digested.

In: names and paths as declared, the folder that the command ran in, the project. Out: one `Output`
each. Every output is moved whole or not at all; an output that this run did not write is missing,
and no leftover of an earlier run can be taken for it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from reprolock.files.failures import cannot_read, cannot_write
from reprolock.files.whole import TEMPORARY, own_folder
from reprolock.model.digest import ListingSummary, summarise
from reprolock.model.outcome import Output

REPLACED = "replaced"
"""Where what stood before is kept: `.reprolock/replaced/<run id>/<path>`."""


def set_aside(outputs: Mapping[str, str], project: Path, run_id: str) -> None:
    """Move what stands at the outputs' paths out of the way, before a command that runs in the project itself."""
    for path in outputs.values():
        _set_aside(project, path, run_id)


def found(outputs: Mapping[str, str], work: Path) -> tuple[Output, ...]:
    """What the command wrote below `work`, in the given order. Looked at there: at its place in the project another run
    may have put its own by now."""
    answers = []
    for name, path in outputs.items():
        files, size, digest = measure(work / path) or (0, 0, None)
        answers.append(Output(name, path, files, size, digest))
    return tuple(answers)


def put_in_place(outputs: Mapping[str, str], work: Path, project: Path, run_id: str) -> None:
    """Put what the command wrote below `work` at the same paths in `project`.

    Where both are one folder (`--in-place`) nothing is moved: `set_aside` was called before. A MachineError
    leaves the output at fault in `work`, and what stood in the project where it was.
    """
    if work.resolve() != project.resolve():
        for path in outputs.values():
            _put(work, project, path, run_id)


def measure(path: Path) -> ListingSummary | None:
    """Files, bytes and digest of an output, None where there is nothing.

    `tree:` is SHA-256 over sorted paths, sizes and SHA-256 of all files below, hidden ones too; `file:`
    is the SHA-256 of one file. A symbolic link inside counts as its target's name.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return summarise(sorted(_listing(path), key=lambda entry: entry[0].encode()), "tree")
        return ListingSummary(1, path.stat().st_size, f"file:{_sha256(path)}")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_read(Path(error.filename or path), error) from error


def _listing(folder: Path) -> Iterator[tuple[str, int, str]]:
    """(path, size, checksum) of each file and link below a folder; names that are not UTF-8 enter escaped."""
    for here, folders, names in os.walk(folder, onerror=_raise):
        links = [name for name in folders if os.path.islink(os.path.join(here, name))]
        for name in (*names, *links):
            path = Path(here, name)
            shown = os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                target = os.fsencode(os.readlink(path))
                yield shown, len(target), f"link:{hashlib.sha256(target).hexdigest()}"
            elif stat.S_ISREG(status.st_mode):
                yield shown, status.st_size, _sha256(path)


def _raise(error: OSError) -> None:
    raise error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _put(work: Path, project: Path, path: str, run_id: str) -> None:
    """Move one output into the project: made ready beside its place, then exchanged for what stands there."""
    source, target = work / path, project / path
    ready = target.with_name(f".{target.name}.{secrets.token_hex(4)}{TEMPORARY}")
    written = source.exists()  # a link that leads nowhere is no output
    if written and source.resolve().is_relative_to(work.resolve()):
        source = source.resolve()  # a link between the run's own files would lead nowhere afterwards
    try:
        if written:
            target.parent.mkdir(parents=True, exist_ok=True)
            _move(source, ready)
        aside = _set_aside(project, path, run_id)
        if written:
            try:
                os.replace(ready, target)
            except OSError:
                if aside:
                    _move(aside, target)
                raise
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        if os.path.lexists(ready) and not os.path.lexists(source):
            _move(ready, source)


def _set_aside(project: Path, path: str, run_id: str) -> Path | None:
    """Where it went; None where nothing stood."""
    if not os.path.lexists(project / path):
        return None
    aside = own_folder(project) / REPLACED / run_id / path
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        _move(project / path, aside)
    except OSError as error:
        raise cannot_write(aside, error) from error
    return aside


def _move(source: Path, target: Path) -> None:
    """Move a file or tree to a name that is free, whole or not at all, also to another disk."""
    try:
        _rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}{TEMPORARY}")
        try:
            _copy(source, partial)
            _rename(partial, target)
        except BaseException:
            _remove(partial)
            raise
        _remove(source)


def _rename(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except PermissionError:
        # A folder's own entry `..` changes with its parent, so a read-only folder cannot be moved as it is.
        if source.is_symlink() or not source.is_dir():
            raise
        mode = source.stat().st_mode
        source.chmod(mode | stat.S_IWUSR)
        try:
            os.rename(source, target)
        except OSError:
            source.chmod(mode)
            raise
        target.chmod(mode)


def _copy(source: Path, target: Path) -> None:
    """Up to the first failure; `shutil.copytree` would go on with a full disk and report a list."""
    if source.is_symlink() or not source.is_dir():
        shutil.copy2(source, target, follow_symlinks=False)
        return
    target.mkdir()
    for entry in source.iterdir():
        _copy(entry, target / entry.name)
    shutil.copystat(source, target)  # last, for the folder may be read-only


def _remove(path: Path) -> None:
    """Remove a file or a tree, read-only folders included."""
    if path.is_dir() and not path.is_symlink():
        for folder, _, _ in os.walk(path):
            os.chmod(folder, stat.S_IRWXU)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
