"""Say how a run of the project as it is now would differ from the last run of this folder. Nothing is resolved or run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import ReprolockError
from reprolock.files.containment import read_linked
from reprolock.files.lock_file import NAME as LOCK
from reprolock.files.lock_file import parse_lock
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import parse_spec
from reprolock.model.changes import why
from reprolock.model.lock import EnvironmentPin, Lock
from reprolock.model.record import Record
from reprolock.model.sections import digests, pinned_sections
from reprolock.model.spec import Spec
from reprolock.steps.project.code import look_at_code
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_folders import latest_of_command, runs_folder
from reprolock.steps.recording.build import dataset_record


class Since(NamedTuple):
    """The last run, and a sentence for each thing that differs: data, packages, code, params, seed, command."""

    run_id: str
    name: str | None
    changes: tuple[str, ...]


def since_last_run(root: Path, spec: Spec, lock: Lock, machine: Machine) -> Since | None:
    """None where nothing has run here."""
    record = latest_of_command(root)
    if record is None:
        return None
    before = _as_declared(record, runs_folder(root) / record.run_id)
    code, problems = before.code, []
    try:
        found = look_at_code(root, spec, machine)
        if found.digest != code.digest:
            code = code.replaced({"digest": found.digest, "tree": dict(found.tree)})
    except ReprolockError as error:
        problems.append(f"code: {error.message}")
    now = before.replaced(
        {
            "run_id": "now",
            "params": spec.params,
            "seed": spec.run.seed,
            "command": spec.run.command,
            "env": spec.run.env,
            "pass_env": spec.run.pass_env,
            "code": code,
            "datasets": tuple(dataset_record(spec, pin) for pin in lock.dataset if pin.name in spec.datasets),
            "environment": before.environment.replaced({"packages": _versions(lock.environment)}),
            "pinned": digests(pinned_sections(spec, lock.dataset, lock.environment, lock.jars, code.digest)),
        }
    )
    same = now.pinned == before.pinned
    return Since(record.run_id, record.run_name, (*(() if same else why(now, before)), *problems))


def _as_declared(record: Record, folder: Path) -> Record:
    """The record with the command and the packages as its repro.toml and its repro.lock have them, for what a run would find is
    not known before it runs."""
    with suppress(OSError, ReprolockError):
        declared = parse_spec(read_linked(folder / SPEC).decode())
        record = record.replaced({"command": declared.run.command})
    with suppress(OSError, ReprolockError):
        pinned = parse_lock(read_linked(folder / LOCK)).environment
        record = record.replaced({"environment": record.environment.replaced({"packages": _versions(pinned)})})
    return record


def _versions(pinned: EnvironmentPin | None) -> dict[str, str]:
    """Package → its version; of several, each for some platforms, all of them."""
    found: dict[str, list[str]] = {}
    for package in pinned.package if pinned else ():
        found.setdefault(package.name, []).append(package.version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}
