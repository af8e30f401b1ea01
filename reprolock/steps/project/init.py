"""A starting repro.toml, from nothing or from data that is in a lake already."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from reprolock.errors import UsageError
from reprolock.files.atomic_write import write_whole
from reprolock.files.containment import check_inside
from reprolock.files.spec_file import NAME, parse_spec
from reprolock.lake.errors import no_path
from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake
from reprolock.model.uri import LakeURI
from reprolock.steps.project.locate import lake_endpoint
from reprolock.steps.project.machine import Machine

_TABS = "csv with tabs"
_FORMATS = {
    ".csv": "csv", ".tsv": _TABS, ".json": "json", ".jsonl": "json", ".parquet": "parquet", ".orc": "orc",
    ".avro": "avro", ".txt": "text", ".png": "image", ".jpg": "image", ".jpeg": "image",
}  # fmt: skip


class InitResult(NamedTuple):
    """What was written; the dataset's fields are None without an address. `options`: as TOML writes them."""

    path: Path
    dataset: str | None = None
    format: str | None = None
    objects: int | None = None
    bytes: int | None = None
    options: str | None = None


def init(root: Path, uri: str | None = None, *, lake: str | None = None, machine: Machine | None = None) -> InitResult:
    """Write repro.toml. UsageError when there is one, or when nothing is at the address.

    `lake` is an endpoint. Left out: the lake in the folder `lake` if there is one, else lakectl's own.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    path = root / NAME
    check_inside(root, NAME)
    if path.exists():
        raise UsageError(f"{NAME} is already there", hint="edit it, or remove it and run `reprolock init` again")
    lake = lake_endpoint(root, lake, machine)
    if uri is None:
        text = _project(root) + _lake(lake) + _DATASET_EXAMPLE + _RUN
        result = InitResult(path)
    else:
        try:
            place = LakeURI.parse(uri)
        except ValueError as error:
            raise UsageError(str(error)) from None
        opened = open_lake(lake, root, machine.environ, machine.home)
        try:
            result = _looked_at(opened, place, path)
        finally:
            opened.close()
        text = _project(root) + _lake(lake) + _dataset(result, uri) + _RUN
    parse_spec(text)  # what is written is valid, or the writing is a bug
    write_whole(path, text.encode())
    return result


def _looked_at(lake: Lake, place: LakeURI, path: Path) -> InitResult:
    kinds: Counter[str] = Counter()
    objects = size = 0
    delta = False
    for item in lake.list(place.repository, place.ref, place.path):
        objects += 1
        size += item.size
        below = item.path.removeprefix(place.path.rstrip("/")).lstrip("/")
        delta = delta or below.startswith("_delta_log/")
        if PurePosixPath(below).name.startswith(("_", ".")):
            continue  # Spark passes over it, such as _SUCCESS
        kinds[_FORMATS.get(PurePosixPath(item.path.removesuffix(".gz")).suffix.lower(), "binary")] += 1
    if not objects:
        raise no_path(place)
    name = PurePosixPath(place.path or place.repository).name
    name = re.sub(r"\W", "_", name.partition(".")[0] or name, flags=re.ASCII)
    name = name if name[:1].isidentifier() else f"data_{name}"
    kind = "delta" if delta else (kinds.most_common(1) or [("binary", 0)])[0][0]
    if kind == _TABS:
        return InitResult(path, name, "csv", objects, size, '{ header = true, sep = "\\t" }')
    return InitResult(path, name, kind, objects, size, "{ header = true }" if kind == "csv" else None)


def _quote(text: str) -> str:
    import tomlkit  # only where a file is written

    return tomlkit.item(text).as_string()


def _project(root: Path) -> str:
    return f"[project]\nname = {_quote(root.name or 'project')}\n\n"


def _lake(endpoint: str | None) -> str:
    return f"[lake]\nendpoint = {_quote(endpoint)}\n\n" if endpoint else ""


def _dataset(found: InitResult, uri: str) -> str:
    options = f"options = {found.options}\n" if found.options else ""
    spark = "" if found.format in ("binary", "text") else "[spark]\n" + _PACKAGES.get(found.format or "", "") + "\n"
    return f'[datasets.{found.dataset}]\nuri = {_quote(uri)}\nformat = "{found.format}"\n{options}\n{spark}'


_PACKAGES = {"delta": 'packages = ["io.delta:delta-spark_4.2_2.13:4.4.0"]\n'}

_DATASET_EXAMPLE = """\
# [datasets.train]
# uri = "lakefs://example-repo/main/training_dataset/"
# format = "csv"
# options = { header = true }

"""

_RUN = """\
[params]

[run]
command = ["python", "train.py"]
"""
