"""Encode a dataset's record as the JSON that MLflow's `log_input` stores.

No MLflow is loaded for it and no JVM started: the JSON is that of MLflow's own classes, which the
tests compare it with. A Delta table on lakeFS has the source that
`mlflow.data.load_delta("s3://REPOSITORY/COMMIT/PATH")` gives; everything else has `LakeDatasetSource`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from reprolock.model.digest import sha256
from reprolock.model.record import DatasetRecord
from reprolock.model.uri import LakeURI

LAKE_SOURCE = "lakefs"
"""The source type of `LakeDatasetSource`, the plug-in in `reprolock.tracker.dataset_source`."""
DELTA_SOURCE = "delta_table"
"""The source type of MLflow's own `DeltaDatasetSource`."""

_PART = 17
"""Digits of each of the two parts of a digest: MLflow takes 36 characters in all."""
_SCHEMA_SIZE = 1048575
"""MLflow's limit for a schema; a longer one fails the whole call, so it is left out and stays in the record."""

_SCALARS = {
    "boolean": "boolean",
    "byte": "integer",
    "short": "integer",
    "integer": "integer",
    "long": "long",
    "float": "float",
    "double": "double",
    "string": "string",
    "binary": "binary",
    "date": "datetime",
    "timestamp": "datetime",
    "timestamp_ntz": "datetime",
}
"""Spark's types as `mlflow.types` names them; it has no decimal and no interval ("any")."""


class DatasetInput(NamedTuple):
    """One input as MLflow's REST API and its client take it. `schema` and `profile` are None where nothing is known."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None
    context: str


def input_of(dataset: DatasetRecord) -> DatasetInput:
    """The input of a run that a dataset record stands for."""
    source_type, source = _source(dataset)
    source_json = json.dumps(source)
    schema = None if dataset.columns is None else json.dumps({"mlflow_colspec": [_column(c) for c in dataset.columns]})
    if schema is not None and len(schema) > _SCHEMA_SIZE:
        schema = None
    profile = (
        None if dataset.rows is None else json.dumps({"num_rows": dataset.rows})
    )  # as MLflow's own datasets have it
    digest = short_digest(dataset.digest, source_json, schema)
    return DatasetInput(label_of(dataset), digest, source_type, source_json, schema, profile, dataset.context)


def label_of(dataset: DatasetRecord) -> str:
    """What MLflow's page shows of an input: its name, branch and short commit, "train main@6aa6b34"."""
    ref = LakeURI.parse(dataset.uri).ref
    return f"{dataset.name} {'' if ref == dataset.commit else ref}@{dataset.commit[:7]}"


def name_in(label: str) -> str:
    """The dataset's name in what `label_of` made: a name is an identifier and holds no space."""
    return label.partition(" ")[0]


def short_digest(digest: str, source: str, schema: str | None) -> str:
    """35 characters: the beginning of our digest, "-", the beginning of a SHA-256 over source and schema.

    MLflow keeps one dataset per experiment, name and digest, and shows the source of the first that
    came. With our digest alone, equal data at a later commit would be shown at the earlier one.
    """
    return f"{digest.rpartition(':')[2][:_PART]}-{sha256(f'{source} {schema}'.encode())[:_PART]}"


def _source(dataset: DatasetRecord) -> tuple[str, dict[str, Any]]:
    place = LakeURI.parse(dataset.resolved)
    version = {} if dataset.table_version is None else {"delta_table_version": dataset.table_version}
    if dataset.kind == "lakefs" and dataset.format == "delta":
        path = f"s3://{place.repository}/{place.ref}/{place.path}".rstrip("/")
        return DELTA_SOURCE, {"path": path, **version}
    known = {"format": dataset.format, "options": dataset.options, "glob": dataset.glob, "digest": dataset.digest}
    given = {name: value for name, value in known.items() if value not in (None, {})}
    return LAKE_SOURCE, {"uri": dataset.resolved, "kind": dataset.kind, **given, **version}


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    """One field of Spark's schema as an `mlflow.types.ColSpec`; like MLflow, with every column required."""
    return {**_type(column["type"]), "name": column["name"], "required": True}


def _type(spark: Any) -> dict[str, Any]:
    if isinstance(spark, str):
        return {"type": _SCALARS.get(spark, "any")}
    match spark["type"]:
        case "array":
            return {"type": "array", "items": _type(spark["elementType"])}
        case "map":
            return {"type": "map", "values": _type(spark["valueType"])}
        case "struct":
            properties = {
                field["name"]: {**_type(field["type"]), "required": not field.get("nullable", True)}
                for field in spark["fields"]
            }
            return {"type": "object", "properties": properties}
    return {"type": "any"}
