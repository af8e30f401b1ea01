"""Load a recorded run and check that its record agrees with its artifacts.

Takes the folder of a run's artifacts and gives a `Recorded`, of which every section digest was computed again. Records
are foreign input: nothing in the folder is trusted, and what does not agree makes the run NOT REPLAYABLE, by name.

Three things are compared: record.json with its own seal, the artifacts with record.json, and, where the run is in
MLflow, its tags with both. The limit: an author who rewrites record.json with a new seal, in a folder alone, or in
MLflow with the tags too, leaves nothing that disagrees. The replay still runs what the record says, so invented inputs
and outputs are detected; a rule of comparison that was loosened is not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from reprolock.environment.code.archive import unarchive
from reprolock.environment.code.snapshot import Snapshot
from reprolock.errors import NotReplayable, ReprolockError
from reprolock.files.containment import read_regular
from reprolock.files.lock_file import NAME as LOCK
from reprolock.files.lock_file import parse_lock
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import parse_spec
from reprolock.model.changes import flattened
from reprolock.model.digest import sha256
from reprolock.model.json_compare import unique_keys
from reprolock.model.lock import DatasetPin, Lock
from reprolock.model.placeholders import expand, names_in
from reprolock.model.record import DatasetRecord, Digests, Record
from reprolock.model.sections import SECTIONS, digests, observed_sections, pinned_sections
from reprolock.model.spec import Spec
from reprolock.model.uri import check_path, is_under
from reprolock.steps.locking.overrides import parse_param, with_params
from reprolock.tracker.encoding.tags import tags_of
from reprolock.tracker.protocol import RECORD

CODE = "code.tar.gz"


class Recorded(NamedTuple):
    """A record that agrees with its artifacts. `spec` has the run's params, `lock` its pins, what-ifs included;
    `code` is the unpacked tree and `snapshot` what is in it. `vouched`: MLflow's tags repeat the record's seal."""

    record: Record
    spec: Spec
    lock: Lock
    folder: Path
    code: Path
    snapshot: Snapshot
    vouched: bool


def read_recorded(folder: Path, code: Path, tags: Mapping[str, str] | None) -> Recorded:
    """Read the artifacts in `folder`, unpack the code to `code`, and compare all of it with the record.

    `tags` are those of the run in MLflow, None where it is in none that is known here.
    NotReplayable (exit 7) names what is missing, what differs, or why the run cannot serve: it failed, or was killed.
    """
    data = _bytes(folder / RECORD)
    record = _parse_record(data)
    _require_unique_keys(data)
    check_seal(record, tags)
    if record.mode == "interactive":
        raise NotReplayable(
            f"run {record.run_id[:8]} was recorded interactively: its block ran in a session whose state was not recorded",
            hint="move the code into a script, and record that with `reprolock run`",
        )
    if record.status != "FINISHED":
        ending = f": {record.ending.reason}" if record.ending else ""
        raise NotReplayable(
            f"run {record.run_id[:8]} is {record.status}{ending}",
            hint="only a run that finished has a result to compare with",
        )
    changed = tuple(_changed_artifacts(record, folder))
    try:
        declared = parse_spec(_text(folder / SPEC), f"{SPEC} of run {record.run_id[:8]}")
        spec = with_params(declared, _what_if(record, declared))
        lock = parse_lock(_text(folder / LOCK).encode(), f"{LOCK} of run {record.run_id[:8]}")
    except NotReplayable:
        raise
    except ReprolockError as error:
        raise NotReplayable(error.message, problems=(*error.problems, *changed), hint=_HINT) from None
    taken = unarchive(_bytes(folder / CODE), code)
    digest = taken.state.digest
    whole = lock.replaced({"dataset": tuple(_pin(item) for item in record.datasets)})
    problems = (*changed, *_disagreements(record, spec, lock, taken))
    if spec.datasets.keys() == {item.name for item in record.datasets}:
        problems += tuple(_broken_sections(record, spec, whole, digest))
    if problems:
        raise NotReplayable(
            f"the record of run {record.run_id[:8]} does not agree with its artifacts", problems=problems, hint=_HINT
        )
    state = taken.state._replace(
        commit=record.code.commit, remote=record.code.remote, branch=record.code.branch, dirty=record.code.dirty
    )
    return Recorded(record, spec, whole, folder, code, taken._replace(state=state), tags is not None)


def check_seal(record: Record, tags: Mapping[str, str] | None) -> None:
    """NotReplayable, with the fields at fault, for a record that is not as it was written, or that MLflow's tags,
    where they are given, do not repeat."""
    problems = tuple(f"{name}: not as it was when record.json was written" for name in record.broken)
    if tags is not None:
        try:
            # What the command's own MLflow may have set is not ours to judge.
            ours = {name: value for name, value in tags_of(record).items() if name.startswith("reprolock.")}
        except ValueError as error:  # an address that is none
            raise NotReplayable(f"record.json of run {record.run_id[:8]}: {error}", hint=_HINT) from None
        problems += tuple(
            f"{name}: record.json says {_brief(value)}, MLflow's tag {_brief(tags.get(name, 'nothing'))}"
            for name, value in ours.items()
            if tags.get(name) != value
        )
    if problems:
        raise NotReplayable(
            f"the record of run {record.run_id[:8]} was changed after the run", problems=problems, hint=_HINT
        )


_NO_NUMBERS = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
"""How record.json writes what JSON has no number for, and how TOML does."""
_HINT = "the record or an artifact was changed after the run; take them from where the run was first recorded"


def artifacts_in(folder: Path) -> Path | None:
    """Where a run's artifacts are in a folder: there, or in its `reprolock`, as MLflow downloads them. None where they are not."""
    return next((place for place in (folder, folder / "reprolock") if os.path.isfile(place / RECORD)), None)


def read_record(path: Path) -> Record:
    """record.json, as it is in that file. NotReplayable for one that is missing, damaged or of a newer reprolock."""
    return _parse_record(_bytes(path))


def _parse_record(data: bytes) -> Record:
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        if any(detail["loc"] == ("version",) for detail in error.errors()):
            raise NotReplayable(
                f"{RECORD} was written by a newer reprolock", hint="install the newest reprolock and try again"
            ) from None
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        sentence = (
            f"{RECORD} is not a record that this reprolock reads: {where}: {first['msg'][:1].lower()}{first['msg'][1:]}"
        )
        raise NotReplayable(sentence, hint=_HINT) from None


def _require_unique_keys(data: bytes) -> None:
    """NotReplayable for a record in which a key is given twice: others read the first value, and this reprolock the last."""
    try:
        json.loads(data, object_pairs_hook=unique_keys)
    except ValueError as error:
        raise NotReplayable(f"{RECORD} is {error}", hint=_HINT) from None


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        hint = "a run that reprolock recorded has it under the artifact folder reprolock/"
        raise NotReplayable(
            f"the run has no {path.name}: {(error.strerror or str(error)).lower()}", hint=hint
        ) from None


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode()
    except UnicodeDecodeError:
        raise NotReplayable(f"{path.name} is not UTF-8", hint=_HINT) from None


def _pin(item: DatasetRecord) -> DatasetPin:
    try:
        return DatasetPin.sealed(
            name=item.name,
            kind=item.kind,
            uri=item.uri,
            glob=item.glob,
            commit=item.commit,
            time=item.commit_time,
            resolved=item.resolved,
            objects=item.objects,
            bytes=item.bytes,
            digest=item.digest,
        )
    except ValidationError as error:
        raise NotReplayable(f"record.json: dataset {item.name}: {error.errors()[0]['msg']}", hint=_HINT) from None


def _what_if(record: Record, declared: Spec) -> dict[str, Any]:
    """The run's --set values with their types: in record.json a date is a text, and so is a NaN or an infinity."""
    flat = flattened(declared.params)
    return {
        name: parse_param(f"{name}={_NO_NUMBERS.get(value, value)}")[1]
        if isinstance(value, str) and not isinstance(flat.get(name), str)
        else value
        for name, value in record.what_if.items()
    }


def _changed_artifacts(record: Record, folder: Path) -> Iterator[str]:
    """Artifacts that are not the bytes that were logged. NotReplayable for one that is not there."""
    kept = {output.kept for output in record.outputs if output.kept}
    for name in sorted({SPEC, LOCK, CODE, *kept, *record.artifacts}):
        try:
            check_path(name)
        except ValueError:
            yield f'artifacts: record.json names "{name}", which would lead out of the folder'
            continue
        found = sha256(_bytes(folder / name))
        if found != record.artifacts.get(name):
            yield f"{name}: its SHA-256 is {found[:12]}, recorded {record.artifacts.get(name, 'none')[:12]}"


def _disagreements(record: Record, spec: Spec, lock: Lock, taken: Snapshot) -> Iterator[str]:
    """Where record.json and an artifact say different things: `PART: …`."""
    code_digest = taken.state.digest
    if record.ending is None or record.ending.exit_code != 0 or record.ending.signal is not None:
        yield f"status: FINISHED, though the command ended otherwise: {record.ending.reason if record.ending else 'not at all'}"
    pins = {pin.name: pin for pin in lock.dataset}
    if sorted(spec.datasets) != sorted(item.name for item in record.datasets):
        yield "data: record.json and repro.toml name different datasets"
        return
    for item in record.datasets:
        declared = spec.datasets[item.name]
        if not item.what_if and _pin(item) != pins.get(item.name):
            yield f"data: dataset {item.name} in record.json is not that of repro.lock"
        if (item.format, item.options, item.glob) != (declared.format, declared.options, declared.glob):
            yield f"data: dataset {item.name} is not read as repro.toml says"
    for name, closure in (("packages", lock.environment), ("jars", lock.jars)):
        if closure is not None and not closure.intact:
            yield f"{name}: the seal in repro.lock is broken"
    if record.code.digest != code_digest:
        yield f"code: {CODE} has digest {code_digest[:12]}, record.json says {record.code.digest[:12]}"
    elif record.code.tree != taken.tree:
        yield f"code: {CODE} does not hold the files that record.json lists"
    if record.environment.isolated != (spec.environment.isolated and lock.environment is not None):
        yield "packages: record.json and repro.toml disagree on whether the environment was isolated"
    if _plain(record) != _plain(record.replaced({"params": spec.params})):
        yield "params: record.json and repro.toml differ"
    if record.seed != spec.run.seed:
        yield f"seed: record.json says {record.seed}, repro.toml {spec.run.seed}"
    if not _same_command(record, spec):
        yield "command: record.json and repro.toml differ"
    if sorted((name, output.path, output.compare) for name, output in spec.outputs.items()) != sorted(
        (output.name, output.path, output.compare) for output in record.outputs
    ):
        yield "outputs: those of record.json are not those of repro.toml"
    for name in sorted(record.rules.keys() | spec.rules.keys()):
        if record.rules.get(name) != spec.rules.get(name):
            yield f"{name}: record.json and repro.toml disagree on how it is compared"
    for name, output in spec.outputs.items():
        if any(is_under(path, output.path) or is_under(output.path, path) for path in taken.state.files):
            yield f"code: {CODE} holds {output.path}, which is the output {name}"


def _broken_sections(record: Record, spec: Spec, lock: Lock, code_digest: str) -> Iterator[str]:
    """Sections whose digest, computed again, is not the recorded one."""
    pinned = digests(pinned_sections(spec, lock.dataset, lock.environment, lock.jars, code_digest))
    observed = digests(
        observed_sections(
            spec,
            lock.dataset,
            record.environment,
            lock.jars,
            code_digest,
            java=record.spark.java if record.spark else None,
            master=record.spark.master if record.spark else None,
            conf=record.spark.conf if record.spark else {},
        )
    )
    for kind, recorded, again in (("pinned", record.pinned, pinned), ("observed", record.observed, observed)):
        yield from _differing(kind, recorded, again)


def _differing(kind: str, recorded: Digests, again: Digests) -> Iterator[str]:
    names = [name for name in SECTIONS if recorded.sections.get(name) != again.sections[name]]
    for name in names:
        yield f"{name}: its {kind} digest is {again.sections[name][:12]}, recorded {recorded.sections.get(name, 'none')[:12]}"
    if not names and recorded != again:
        yield f"the {kind} digest over all sections is {again.total[:12]}, recorded {recorded.total[:12]}"


def _same_command(record: Record, spec: Spec) -> bool:
    """Arguments that name a path on a machine differ between machines; all others are as declared."""
    values = spec.placeholder_names()
    values["seed"] = spec.run.seed
    if (
        len(record.command) != len(spec.run.command)
        or record.pass_env != spec.run.pass_env
        or record.env != spec.run.env
    ):
        return False
    return all(
        given == expand(declared, values)
        for given, declared in zip(record.command, spec.run.command, strict=True)
        if not any(name.startswith(("datasets.", "outputs.")) for name in names_in(declared))
    )


def _plain(record: Record) -> str:
    """The params as record.json has them, in which 1 and 1.0 differ."""
    return json.dumps(json.loads(record.model_dump_json(include={"params"})), sort_keys=True)


def _brief(value: str) -> str:
    """A digest by its beginning."""
    return value if len(value) < 60 else f"{value[:12]}…"
