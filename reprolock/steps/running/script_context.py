"""Write what a command asks for while it runs: its context for `reprolock.current()`, and the pins of its datasets.

In the run's folder: context.json, which REPROLOCK_CONTEXT names, and pins.json, from which `reprolock materialise` makes a
dataset's tree. Neither holds a secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reprolock.environment.caches import cache_folder
from reprolock.files.atomic_write import write_whole
from reprolock.model.lock import DatasetPin
from reprolock.model.spec import Spec
from reprolock.model.workspace import Input
from reprolock.steps.project.run_context import RunContext

PINS = "pins.json"


class OutputTarget(NamedTuple):
    """Where the command writes an output: a path, and an address that Spark may write to instead."""

    path: Path
    url: str


def write_context(
    folder: Path, run_id: str, context: RunContext, inputs: tuple[Input, ...], outputs: Mapping[str, OutputTarget]
) -> Path:
    """Write both files; the path of context.json."""
    python, cache = str(context.machine.python), str(cache_folder(context.machine.environ))
    fetch = (python, "-I", "-m", "reprolock", "materialise", str(folder), cache)
    document = _context_document(run_id, context.spec, context.pins, inputs, outputs, fetch)
    write_whole(folder / "context.json", _json(document))
    asked_for = {
        "root": str(context.root),
        "lake": context.spec.lake.endpoint,
        "hashing": context.hashing,
        "pins": [pin.model_dump(mode="json") for pin in context.pins],
    }
    write_whole(folder / PINS, _json(asked_for))
    return folder / "context.json"


def placeholder_values(spec: Spec, inputs: tuple[Input, ...], outputs: Mapping[str, OutputTarget]) -> dict[str, Any]:
    """What the placeholders of `[run]` stand for: `{datasets.NAME.url}`, `{outputs.NAME.path}`, `{seed}`, …"""
    values = spec.placeholder_names()
    values["seed"] = spec.run.seed
    values["datasets"] = {item.name: {"url": item.url, "path": str(item.path or "")} for item in inputs}
    values["outputs"] = {name: {"url": target.url, "path": str(target.path)} for name, target in outputs.items()}
    return values


def _context_document(
    run_id: str,
    spec: Spec,
    pins: tuple[DatasetPin, ...],
    inputs: tuple[Input, ...],
    outputs: Mapping[str, OutputTarget],
    fetch: tuple[str, ...],
) -> dict[str, Any]:
    """What `reprolock.script` reads. `fetch` and a dataset's name are a command that makes its local tree and prints the path."""
    given = {item.name: item for item in inputs}
    return {
        "version": 1,
        "run_id": run_id,
        "project": spec.project.name,
        "seed": spec.run.seed,
        "params": spec.model_dump(mode="json", include={"params"})["params"],  # a date is the text that record.json has
        "datasets": {
            pin.name: {
                "url": given[pin.name].url,
                "path": str(given[pin.name].path) if given[pin.name].path else None,
                "format": spec.datasets[pin.name].format,
                "options": spec.datasets[pin.name].options,
                "glob": pin.glob,
                "commit": pin.commit,
                "repository": pin.place.repository,
                "uri": pin.uri,
                "materialise": [*fetch, pin.name],
            }
            for pin in pins
        },
        "outputs": {name: {"path": str(target.path), "url": target.url} for name, target in outputs.items()},
    }


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=2, default=str).encode()
