"""Put declared outputs at their paths in the project and digest them; what stood there before is moved aside.

In: names and paths as declared, the folder that the command ran in, the project. Out: one `Output`
each. Every output is moved whole or not at all; an output that this run did not write is missing,
and no leftover of an earlier run can be taken for it.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from reprolock.errors import UsageError
from reprolock.files.atomic_write import TEMPORARY, own_folder
from reprolock.files.containment import check_inside
from reprolock.files.os_errors import cannot_write
from reprolock.files.output_tree import LeadsNowhere, links_out, measure_listing
from reprolock.model.outcome import Output

REPLACED = "replaced"
"""Where what stood before is kept: `.reprolock/replaced/<run id>/<path>`."""


def set_aside(outputs: Mapping[str, str], project: Path, run_id: str) -> None:
    """Move what stands at the outputs' paths out of the way, before a command that runs in the project itself."""
    check_inside(project, *outputs.values())
    for path in outputs.values():
        _set_aside(project, path, run_id)


def refuse_standing(outputs: Mapping[str, str], work: Path) -> None:
    """UsageError for an output that is there before the command starts: the code has it, or a link leads to what it has.

    For a run in a folder of its own; where the command runs in the project itself, `set_aside` comes first.
    """
    for name, path in outputs.items():
        link = next((above for above in reversed(Path(path).parents) if (work / above).is_symlink()), None)
        if link is not None:
            why = f"leads through {link.as_posix()}, a link of the code"
        elif os.path.lexists(work / path):
            why = "exists before the command starts, because it is part of the code"
        else:
            continue
        raise UsageError(
            f'outputs.{name}.path: "{path}" {why}',
            hint="name a path that is the output's alone, or leave it out of the code",
        )


def find_outputs(outputs: Mapping[str, str], work: Path) -> tuple[Output, ...]:
    """What the command wrote below `work`, in the given order. Looked at there: at its path in the project another run
    may have put its own by now."""
    answers = []
    for name, path in outputs.items():
        try:
            answers.append(Output(name, path, *(measure_listing(work / path) or (0, 0, None))))
        except LeadsNowhere as wrong:
            shown = os.fsencode(f"{wrong.path.relative_to(work).as_posix()} {wrong.why}")
            answers.append(Output(name, path, 0, 0, None, shown.decode("utf-8", "backslashreplace")))
    return tuple(answers)


def put_in_place(outputs: Mapping[str, str], work: Path, project: Path, run_id: str) -> None:
    """Put what the command wrote below `work` at the same paths in `project`.

    Where both are one folder (`--in-place`) nothing is moved: `set_aside` was called before. A MachineError
    leaves the output at fault in `work`, and what stood in the project where it was.
    """
    if work.resolve() != project.resolve():
        for path in outputs.values():  # all of them first: one may lead into another
            _contain(work, path)
        for path in outputs.values():
            _put(work, project, path, run_id)


def _contain(work: Path, path: str) -> None:
    """Make every link of an output that leads out of it what it leads to; one that leads nowhere stays."""
    output = (work / path).resolve()
    if not output.is_dir() or not output.is_relative_to(work.resolve()):
        return  # a folder that is elsewhere stays there
    try:
        for link in list(links_out(output)):
            copy = link.with_name(f".{link.name}.{secrets.token_hex(4)}{TEMPORARY}")
            try:
                _copy(link, copy, follow=True)
                link.unlink()
                os.rename(copy, link)
            finally:
                if os.path.lexists(copy):
                    remove(copy)
    except OSError as error:
        raise cannot_write(work / path, error) from error


def _put(work: Path, project: Path, path: str, run_id: str) -> None:
    """Move one output into the project: made ready beside its path, then exchanged for what stands there."""
    check_inside(project, path)
    source, target = work / path, project / path
    ready = target.with_name(f".{target.name}.{secrets.token_hex(4)}{TEMPORARY}")
    written = source.exists()  # a link that leads nowhere is not an output
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
            remove(partial)
            raise
        remove(source)


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


def _copy(source: Path, target: Path, *, follow: bool = False) -> None:
    """Up to the first failure; `shutil.copytree` would go on with a full disk and report a list. `follow`: no link is copied as one."""
    if not source.is_dir() or source.is_symlink() and not follow:
        shutil.copy2(source, target, follow_symlinks=follow)
        return
    target.mkdir()
    for entry in source.iterdir():
        _copy(entry, target / entry.name, follow=follow)
    shutil.copystat(source, target)  # last, for the folder may be read-only


def remove(path: Path) -> None:
    """Remove a file or a tree, read-only folders included."""
    if path.is_dir() and not path.is_symlink():
        for folder, _, _ in os.walk(path):
            os.chmod(folder, stat.S_IRWXU)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
