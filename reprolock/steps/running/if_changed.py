"""`--if-changed`: find a finished run that a new one would only repeat. Asks no lake and no MLflow, reads no input.

In: the project as it stands. Out: the record of that run, or None as soon as anything is not as it was then:
1. the environment and Java, which a run would refuse where they are not what the lock says,
2. what is pinned, by its digest; a finished run is noted under it,
3. what is found here: wheels, exact Java, Spark's settings and N,
4. the outputs' bytes, and where they were published.
The values of `pass_env` are written down nowhere, and so compared nowhere.
"""

from __future__ import annotations

from pathlib import Path

from reprolock.engine.spark import effective_settings
from reprolock.files.atomic_write import OWN_FOLDER, own_folder, write_whole
from reprolock.files.output_tree import measure
from reprolock.model.lock import Lock
from reprolock.model.record import Digests, Record
from reprolock.model.sections import digests, observed_sections, pinned_sections
from reprolock.model.spec import Spec
from reprolock.steps.project.code import project_code
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_folders import read_record, runs_folder
from reprolock.steps.publishing.addresses import fill_run_id
from reprolock.steps.running.interpreter import built_environment
from reprolock.steps.running.prepare import ready_java
from reprolock.tracker.protocol import RECORD

_FOLDER = "finished"


def note_finished(root: Path, record: Record) -> None:
    """Remember a finished run under its pinned digest; of equal ones the last."""
    folder = own_folder(root) / _FOLDER
    folder.mkdir(exist_ok=True)
    write_whole(folder / record.pinned.total, record.run_id.encode())


def equal_run(root: Path, spec: Spec, locked: Lock, machine: Machine, *, in_place: bool) -> Record | None:
    """The finished run that a run of `spec` on what is locked would repeat. Errors as `ready_environment` and `ready_java`."""
    expected = expected_digests(root, spec, locked, machine)
    record = noted_run(root, *expected, in_place=in_place) if expected else None
    if record is None:
        return None
    return (
        record
        if _list_published(record)
        == {name: str(uri) for name, uri in fill_run_id(spec, record.run_id).published.items()}
        and _matches(root, record)
        else None
    )


def noted_run(root: Path, pinned: Digests, observed: Digests, *, in_place: bool = False) -> Record | None:
    """The finished run of this folder with these digests, wherever its outputs are now."""
    record = _read_note(root, pinned)
    return record if record is not None and is_repeated(record, pinned, observed, in_place=in_place) else None


def is_repeated(record: Record, pinned: Digests, observed: Digests, *, in_place: bool = False) -> bool:
    """Whether a run with these digests would only repeat a recorded one."""
    mode = "in-place" if in_place else "isolated"  # in the project's folder it may have read what is not code
    return (record.status, record.pinned, record.observed, record.mode) == ("FINISHED", pinned, observed, mode)


def expected_digests(root: Path, spec: Spec, locked: Lock, machine: Machine) -> tuple[Digests, Digests] | None:
    """What a run would have pinned and observed; None where its environment is not built. Errors as of `equal_run`."""
    if spec.spark is not None and spec.spark.remote is not None:
        return None  # only the server knows what it is now
    interpreter = built_environment(spec, locked.environment, machine)
    java = ready_java(spec, locked, machine)
    if interpreter is None:
        return None
    user_conf = machine.environ.get("SPARK_CONF_DIR")
    spark = (
        effective_settings(spec.spark, machine.cores, Path(user_conf) if user_conf else None) if spec.spark else None
    )
    code = project_code(root, spec, machine).state.digest
    pinned = digests(pinned_sections(spec, locked.dataset, locked.environment, locked.jars, code))
    observed = digests(
        observed_sections(
            spec,
            locked.dataset,
            interpreter.record,
            locked.jars,
            code,
            java=str(java) if java else None,
            master=spark.master if spark else None,
            conf=spark.conf if spark else {},
        )
    )
    return pinned, observed


def _read_note(root: Path, pinned: Digests) -> Record | None:
    try:
        run_id = (root / OWN_FOLDER / _FOLDER / pinned.total).read_text()
    except OSError:
        return None
    return read_record(runs_folder(root) / run_id / RECORD)


def _list_published(record: Record) -> dict[str, str]:
    """Where outputs stand in the lake, by name."""
    return {item.name: item.uri for item in record.published if item.problem is None}


def _matches(root: Path, record: Record) -> bool:
    """Whether every output is at its path with the bytes that the run left. One that went to the lake alone is not."""
    for output in record.outputs:
        found = measure(root / output.path)
        if found is None or found.digest != output.digest:
            return False
    return True
