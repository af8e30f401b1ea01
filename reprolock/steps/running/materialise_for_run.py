"""Make a dataset's local tree, or one object of it, while a run's command is running: `run.dataset(…).path`, `.open`.

What was copied is noted in the run's folder, a line for each time, and stands in the record at the end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reprolock.errors import UsageError
from reprolock.files.atomic_write import own_folder
from reprolock.files.object_cache import ObjectCache
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.lake.open import open_lake
from reprolock.model.lock import DatasetPin
from reprolock.model.workspace import Copied
from reprolock.steps.inputs.materialise import make_tree
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress
from reprolock.steps.running.script_context import PINS

_COPIED = "copied.jsonl"


def materialise_for_run(
    folder: Path,
    cache: Path,
    name: str,
    item: str | None = None,
    progress: Progress = SILENT,
    *,
    machine: Machine | None = None,
) -> Path:
    """`folder` is the run's, `cache` this user's; `item` is one object of the dataset `name`. Errors as `materialise`."""
    machine = machine or Machine.here()
    try:
        document = json.loads((folder / PINS).read_bytes())
        pins = {pin["name"]: DatasetPin.model_validate_json(json.dumps(pin)) for pin in document["pins"]}
        root, pin, hashing = Path(document["root"]), pins[name], document["hashing"]
    except (OSError, ValueError, KeyError):
        raise UsageError(
            f"{folder} is not a folder of a run that has a dataset {name}",
            hint="a run calls this command itself; in a script, use run.dataset(NAME)",
        ) from None
    lake = open_lake(document["lake"], root, machine.environ, machine.home)
    try:
        objects = ObjectCache(cache / "objects", hashing=hashing)
        made = make_tree(lake, pin, objects, own_folder(root) / "data", progress, name=item)
    finally:
        lake.close()
    if made.copied != Copied():
        _note(folder, {"dataset": name, **made.copied._asdict()})
    return made.path


def copied_in(folder: Path) -> dict[str, Copied]:
    """Dataset → what of it was copied while the command of the run in `folder` was running."""
    try:
        lines = (folder / _COPIED).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise cannot_read(folder / _COPIED, error) from error
    found: dict[str, Copied] = {}
    for made in map(json.loads, lines):
        name = made.pop("dataset")
        found[name] = found.get(name, Copied()).merged(Copied(**made))
    return found


def _note(folder: Path, made: dict[str, Any]) -> None:
    try:
        with (folder / _COPIED).open("a", encoding="utf-8") as file:
            file.write(json.dumps(made) + "\n")  # in one write: another process of the command may be at it, too
    except OSError as error:
        raise cannot_write(folder / _COPIED, error) from error
