"""A record as an RO-Crate: a folder with the run's artifacts and a description by the profile "Process Run Crate".

The crate holds what is needed to replay the run; data stays in its lake and is named by address, commit and digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from reprolock.files.os_errors import cannot_write
from reprolock.model.record import Record

_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_FILES = {
    "record.json": ("The record of the run", "application/json"),
    "repro.toml": ("What the run needs, as declared", "application/toml"),
    "repro.lock": ("Exactly which bytes that was", "application/toml"),
    "code.tar.gz": ("The code that ran", "application/gzip"),
}


def write_crate(record: Record, artifacts: Path, target: Path, folders: Mapping[str, str] = {}) -> None:
    """`artifacts` is the folder of the run's artifacts; `target` is made. `folders` are names of folders of the crate, each
    with what is in it. MachineError where it cannot be written."""
    crate = ROCrate(version="1.1")
    crate.name = f"Run {record.run_id[:8]} of {record.project}"
    crate.description = f"A machine-learning run that reprolock {record.reprolock} recorded; `reprolock replay` runs it again from this folder."
    crate.datePublished = record.ended or record.started
    crate.license = "not stated: it is that of the code and the data"
    profile = _entity(crate, _PROFILE, "CreativeWork", {"name": "Process Run Crate", "version": "0.5"})
    crate.root_dataset["conformsTo"] = profile
    for name, (description, media) in _FILES.items():
        if (artifacts / name).is_file():
            crate.add_file(
                artifacts / name, name, properties={"name": name, "description": description, "encodingFormat": media}
            )
    for name, description in folders.items():
        crate.add_dataset(dest_path=name, properties={"name": name, "description": description})
    inputs = [
        _value(crate, f"#data-{index}", item.name, item.resolved, item.digest)
        for index, item in enumerate(record.datasets)
    ]
    params = [
        _value(crate, f"#param-{index}", name, str(value), "")
        for index, (name, value) in enumerate(record.params.items())
    ]
    written = [item for item in record.outputs if item.digest is not None]
    results = [
        _value(crate, f"#output-{index}", item.name, item.path, item.decisive or "")
        for index, item in enumerate(written)
    ]
    results += [
        _value(crate, f"#metric-{index}", name, repr(value), "")
        for index, (name, value) in enumerate(record.metrics.items())
    ]
    program = {"name": " ".join(record.command), "softwareVersion": record.code.commit or record.code.digest}
    action = {
        "name": f"Run {record.run_id}",
        "startTime": record.started.isoformat(),
        "actionStatus": {
            "@id": f"http://schema.org/{'CompletedActionStatus' if record.status == 'FINISHED' else 'FailedActionStatus'}"
        },
        **({"endTime": record.ended.isoformat()} if record.ended else {}),
        **({"error": record.ending.reason} if record.ending and record.status != "FINISHED" else {}),
    }
    action["instrument"] = _entity(crate, "#program", "SoftwareApplication", program)
    action["object"] = [*inputs, *params]
    action["result"] = results
    crate.root_dataset["mentions"] = [_entity(crate, f"#run-{record.run_id}", "CreateAction", action)]
    try:
        crate.write(target)
    except OSError as error:
        raise cannot_write(target, error) from error


def _value(crate: ROCrate, identity: str, name: str, value: str, digest: str) -> ContextEntity:
    """Something that is named, and whose bytes are not in the crate."""
    return _entity(
        crate, identity, "PropertyValue", {"name": name, "value": value, **({"description": digest} if digest else {})}
    )


def _entity(crate: ROCrate, identity: str, kind: str, properties: dict[str, Any]) -> ContextEntity:
    entity: ContextEntity = crate.add(ContextEntity(crate, identity, properties={"@type": kind}))
    for name, value in properties.items():
        entity[name] = value
    return entity
