"""The project's code, and the script that its command names, which must be a part of it.

In: the project's folder and its spec. Out: a `Snapshot`, or a UsageError that names what would be missing in the
run's own folder. `lock` asks for the script too: what cannot run should not be pinned first.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from reprolock.environment.code.choose import chosen_paths
from reprolock.environment.code.look import Look, look
from reprolock.environment.code.snapshot import Snapshot, snapshot
from reprolock.errors import UsageError
from reprolock.files.atomic_write import own_folder
from reprolock.model.spec import Spec
from reprolock.model.spec_rules import OWN_FILES
from reprolock.model.uri import is_under
from reprolock.steps.project.machine import Machine
from reprolock.tracker.tracking_uri import find_place

_PYTHON = re.compile(r"(?:python|pypy|graalpy)w?[\d.]*t?(?:\.exe)?", re.IGNORECASE)
_SCRIPT = re.compile(r".\.(?:py|ipynb|sh|bash|R|r|Rmd|qmd|jl|js|pl|rb|scala)$")
"""What ends so is the script of a command whose program is no Python: `bash train.sh`, `papermill nb.ipynb`."""
_MEMORY = "code.json"
"""What was read of the code, in `.reprolock`, and when."""
_FLAG_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")


def project_code(root: Path, spec: Spec, machine: Machine, *, filters: bool = False) -> Snapshot:
    """The project's code now. `filters`: git's clean filters may be run to see what has changed. UsageError where
    `run.command` names a script that is no part of it."""
    taken = snapshot(
        root,
        spec.run.code,
        exclude=never_code(root, spec, machine),
        scanner=machine.scanner(spec.run.pass_env),
        filters=filters,
    )
    refuse_missing_script(root, spec, taken.state.files, may_be_absent=False)
    return taken


def look_at_code(root: Path, spec: Spec, machine: Machine) -> Look:
    """What the code holds now, for a question: files that did not change since the last look are not read. UsageError as of
    `project_code`."""
    never = never_code(root, spec, machine)
    found = look(root, spec.run.code, never, machine.scanner(spec.run.pass_env), own_folder(root) / _MEMORY)
    refuse_missing_script(root, spec, found.tree, may_be_absent=False)
    return found


def check_script(root: Path, spec: Spec, machine: Machine) -> None:
    """UsageError where `run.command` names a script that is there and is no part of the code."""
    if any(scripts_of(spec.run.command)):
        paths = chosen_paths(root, spec.run.code, never_code(root, spec, machine))
        refuse_missing_script(root, spec, paths, may_be_absent=True)


def never_code(root: Path, spec: Spec, machine: Machine) -> tuple[str, ...]:
    """Never code: reprolock's own files, the lake, MLflow's database and artifacts, what runs write."""
    never = [*OWN_FILES, "mlruns", "mlartifacts", *(output.path for output in spec.outputs.values())]
    if spec.lake.kind == "git":
        never.append((spec.lake.endpoint or "").removeprefix("file:").removeprefix("./").rstrip("/"))
    database = find_place(spec.mlflow.tracking_uri, root, machine.environ).file
    if database is not None and database.is_relative_to(root):
        name = database.relative_to(root).as_posix()
        never += [name, *(f"{name}-{part}" for part in ("wal", "shm", "journal"))]
    return tuple(never)


def refuse_missing_script(root: Path, spec: Spec, code: Collection[str], *, may_be_absent: bool) -> None:
    """UsageError for a script that `code` does not hold. `may_be_absent`: one that is not there at all may yet be written."""
    for text, places in scripts_of(spec.run.command):
        if any(_holds(root, code, place) for place in places):
            continue
        there = any(os.path.lexists(root / place) for place in places)
        if there:
            hint = f'name "{text}" in run.code' if spec.run.code is not None else "have git track it, or name run.code"
            reason = "which is not among the code"
        elif may_be_absent or len(places) > 1:  # a module that is not here is a package's
            continue
        else:
            reason, hint = (
                "which is not there",
                "a script must be part of the code: have git track it, or name it in run.code",
            )
        raise UsageError(f'run.command names "{text}", {reason}', hint=hint)


def _holds(root: Path, code: Collection[str], place: str) -> bool:
    """Whether a file, or a folder with some file in it, is a part of the code, be it by way of a link."""
    if os.path.isabs(place):
        return False
    real = Path(os.path.realpath(root / place))
    names = {posixpath.normpath(place), os.path.relpath(real, os.path.realpath(root)).replace(os.sep, "/")}
    return any(name in code for name in names) or any(is_under(path, name) for path in code for name in names)


def scripts_of(command: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each script that a command names, with the paths where it may stand; none where a placeholder fills it in."""
    program = command[0]
    if "/" in program and not os.path.isabs(program) and "{" not in program:
        yield program, (program,)
    start = next((index for index, word in enumerate(command) if _PYTHON.fullmatch(os.path.basename(word))), None)
    found = _of_python(command[start + 1 :]) if start is not None else _by_suffix(command[1:])
    if found is not None and "{" not in found[0]:
        yield found


def _of_python(arguments: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """What Python is told to run: the first word that is no option, or the module of `-m`."""
    words = iter(arguments)
    for word in words:
        if word in _FLAG_WITH_VALUE:
            next(words, None)
        elif re.fullmatch(r"-[a-zA-Z]*m", word):
            module = next(words, "")
            stem = module.replace(".", "/")
            return module, (f"{stem}.py", f"{stem}/__main__.py", f"{stem}/__init__.py")
        elif word == "-" or re.match(r"-[a-zA-Z]*c", word) and not word.startswith("--"):
            return None
        elif not word.startswith("-"):
            return word, (word,)
    return None


def _by_suffix(arguments: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """The first word that ends like a script."""
    word = next((word for word in arguments if _SCRIPT.search(word) and not word.startswith("-")), None)
    return None if word is None or "://" in word or " " in word else (word, (word,))
