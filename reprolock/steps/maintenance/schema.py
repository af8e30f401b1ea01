"""The JSON Schemas of repro.toml, repro.lock, record.json, trust.toml and of what commands print with --json, made from the models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reprolock.files.atomic_write import write_whole
from reprolock.files.lock_file import FLAT
from reprolock.model.lock import Lock
from reprolock.model.record import Record
from reprolock.model.report import Report
from reprolock.model.spec import Spec
from reprolock.model.trust import TrustPolicy
from reprolock.steps.maintenance.answers import commands_schema, failure_fields

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, dict[str, Any]]:
    """File name → schema (draft 2020-12). The lock's is of the file, where packages and jars stand at the top."""
    return {
        "repro.toml.schema.json": _with_title(Spec.model_json_schema(), "repro.toml"),
        "repro.lock.schema.json": _with_title(_flat(Lock.model_json_schema()), "repro.lock"),
        "record.schema.json": _with_title(Record.model_json_schema(), "record.json"),
        "report.schema.json": _with_error(
            _with_title(Report.model_json_schema(mode="serialization"), "the JSON of `reprolock report`")
        ),
        "commands.schema.json": _with_title(commands_schema(), "what commands print with --json"),
        "trust.schema.json": _with_title(TrustPolicy.model_json_schema(), "trust.toml"),
    }


def schema_bytes(document: dict[str, Any]) -> bytes:
    """A schema as its file holds it."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def write_schemas(folder: Path) -> tuple[Path, ...]:
    """Write all schemas into a folder; give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in schema().items():
        write_whole(folder / name, schema_bytes(document))
    return tuple(folder / name for name in schema())


def _with_error(document: dict[str, Any]) -> dict[str, Any]:
    """What a command prints with --json has its error, too, where there is one."""
    document["properties"] |= failure_fields()
    return document


def _with_title(document: dict[str, Any], title: str) -> dict[str, Any]:
    return {"$schema": _DIALECT, **document, "title": title}


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    owners = {"environment": "EnvironmentPin", "jars": "JarsPin"}
    for owner, names in FLAT.items():
        fields = document["$defs"][owners[owner]]["properties"]
        for name in names:
            if name in fields:
                document["properties"][name] = fields.pop(name)
    return document
