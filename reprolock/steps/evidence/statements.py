"""What each statement about a run says, made from the record and the lock alone. No keys, no files.

An audit makes the intent and the run statement again from the artifacts and compares: whatever differs was changed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from reprolock.files.lock_file import NAME as LOCK
from reprolock.files.spec_file import NAME as SPEC
from reprolock.model.lock import EnvironmentPin, JarsPin
from reprolock.model.record import DatasetRecord, OutputRecord, Record
from reprolock.model.statement import BUILD_TYPE, PROVENANCE, Intent, Link, encode, statement
from reprolock.tracker.protocol import RECORD

DECLARED = (SPEC, LOCK, "code.tar.gz")

Digests = dict[str, dict[str, str]]


def intent(record: Record, link: Link) -> bytes:
    """Before the command: subjects are repro.toml, repro.lock and the code."""
    return statement(
        {name: {"sha256": record.artifacts.get(name, "")} for name in DECLARED},
        Intent(**link.model_dump(), project=record.project, pinned=record.pinned, rules=record.rules),
    )


def run(
    record: Record, record_sha256: str, environment: EnvironmentPin | None, jars: JarsPin | None, link: Link
) -> bytes:
    """After the command: SLSA provenance v1, over record.json and every output that was written."""
    subjects: Digests = {RECORD: {"sha256": record_sha256}}
    subjects |= {f"outputs/{output.name}": digest for output in record.outputs if (digest := _output(output))}
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "spec": {"sha256": record.artifacts.get(SPEC)},
                "params": _written(record, "params"),
                "command": list(record.command),
            },
            "internalParameters": {"reprolock": link.model_dump(mode="json")},
            "resolvedDependencies": [
                *map(_dataset, record.datasets),
                _code(record),
                *_packages(environment),
                *_jars(jars),
            ],
        },
        "runDetails": {
            "builder": {"id": "urn:reprolock:run", "version": {"reprolock": record.reprolock}},
            "metadata": _metadata(record),
            "byproducts": [_metric(name, value) for name, value in _metrics(record).items()],
        },
    }
    return encode(subjects, PROVENANCE, predicate)


def _output(output: OutputRecord) -> dict[str, str]:
    """Digests of one output by algorithm; a file's is plain SHA-256, so that any tool finds it."""
    digests = {}
    for digest in (output.digest, output.compared):
        if digest is not None:
            scheme, _, value = digest.partition(":")
            digests["sha256" if scheme == "file" else f"reprolock-{scheme}"] = value
    return digests


def _dataset(item: DatasetRecord) -> dict[str, Any]:
    scheme, _, value = item.digest.partition(":")
    return {
        "name": f"datasets/{item.name}",
        "uri": item.resolved,
        "digest": {"gitCommit" if item.kind == "git" else "lakefsCommit": item.commit, f"reprolock-{scheme}": value},
    }


def _code(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {"name": "code", "digest": {"sha256": record.artifacts.get("code.tar.gz", "")}}
    return found | ({"uri": record.code.remote} if record.code.remote else {})


def _packages(environment: EnvironmentPin | None) -> Iterator[dict[str, Any]]:
    """Each package with the SHA-256 of all its files: which of them was taken depends on the platform."""
    for package in environment.package if environment else ():
        yield {
            "uri": f"pkg:pypi/{package.name}@{package.version}",
            "digest": {"sha256": package.hashes[0]},
            "annotations": {"sha256": list(package.hashes)},
        }


def _jars(jars: JarsPin | None) -> Iterator[dict[str, Any]]:
    for jar in jars.jar if jars else ():
        group, artifact, version, *_ = jar.coordinate.split(":")
        yield {
            "uri": f"pkg:maven/{group}/{artifact}@{version}",
            "name": jar.file_name,
            "digest": {"sha256": jar.sha256},
        }


def _metadata(record: Record) -> dict[str, Any]:
    times = {"startedOn": record.started, "finishedOn": record.ended}
    shown = {name: f"{time:%Y-%m-%dT%H:%M:%S}Z" for name, time in times.items() if time is not None}
    return {"invocationId": f"urn:reprolock:run:{record.run_id}", **shown}


def _metrics(record: Record) -> Mapping[str, Any]:
    """As record.json has them: NaN by its name."""
    return _written(record, "metrics")


def _written(record: Record, field: str) -> Mapping[str, Any]:
    """A field as record.json has it: JSON has no NaN."""
    found: Mapping[str, Any] = json.loads(record.model_dump_json(include={field}))[field]
    return found


def _metric(name: str, value: Any) -> dict[str, Any]:
    return {
        "name": f"metrics/{name}",
        "content": base64.b64encode(str(value).encode()).decode(),
        "mediaType": "text/plain",
    }
