"""Look at an address in the lake: what is there, and how Spark would read it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from reprolock.lake.errors import no_path
from reprolock.lake.protocol import Lake
from reprolock.model.uri import LakeURI

_TABS = "csv with tabs"
_FORMATS = {
    ".csv": "csv", ".tsv": _TABS, ".json": "json", ".jsonl": "json", ".parquet": "parquet", ".orc": "orc",
    ".avro": "avro", ".txt": "text", ".png": "image", ".jpg": "image", ".jpeg": "image",
}  # fmt: skip


class FoundData(NamedTuple):
    """A name for a dataset at the address, its format by the names of most files, and options that go with it."""

    name: str
    format: str
    objects: int
    bytes: int
    options: Mapping[str, Any]


def look_at(lake: Lake, place: LakeURI) -> FoundData:
    """NotFound (2) where nothing is there."""
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
    options: dict[str, Any] = {"header": True} if kind in ("csv", _TABS) else {}
    if kind == _TABS:
        kind, options["sep"] = "csv", "\t"
    return FoundData(name, kind, objects, size, options)
