"""A dataset's local tree, or one object of it, made while a run's command is running: `run.dataset(…).path` and `.open`."""

from __future__ import annotations

import json
from pathlib import Path

from reprolock.errors import UsageError
from reprolock.files.object_cache import ObjectCache
from reprolock.lake.opening import open_lake
from reprolock.model.lock import DatasetPin
from reprolock.steps.machine import Machine
from reprolock.steps.materialise import materialise
from reprolock.steps.progress import SILENT, Progress
from reprolock.steps.rebuild import PINS


def materialise_for_run(
    folder: Path, cache: Path, name: str, item: str | None = None, progress: Progress = SILENT, *, machine: Machine | None = None
) -> Path:
    """`folder` is the run's, `cache` this user's; `item` is one object of the dataset `name`. Errors as `materialise`."""
    machine = machine or Machine.here()
    try:
        document = json.loads((folder / PINS).read_bytes())
        pins = {pin["name"]: DatasetPin.model_validate_json(json.dumps(pin)) for pin in document["pins"]}
        root, pin, hashing = Path(document["root"]), pins[name], document["hashing"]
    except (OSError, ValueError, KeyError):
        raise UsageError(f"{folder} is no folder of a run that has a dataset {name}") from None
    lake = open_lake(document["lake"], root, machine.environ, machine.home)
    try:
        objects = ObjectCache(cache / "objects", hashing=hashing)
        return materialise(lake, pin, objects, root / ".reprolock" / "data", progress, name=item)
    finally:
        lake.close()
