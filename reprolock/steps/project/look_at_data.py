"""Look at an address in the lake: what is there, and how Spark would read it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
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
    names: list[str] = []
    size = 0
    for item in lake.list(place.repository, place.ref, place.path):
        size += item.size
        names.append(item.path.removeprefix(place.path.rstrip("/")).lstrip("/") or item.path)
    if not names:
        raise no_path(place)
    kind, options = guess_format(names)
    return FoundData(name_for(place), kind, len(names), size, options)


def guess_format(names: Iterable[str]) -> tuple[str, Mapping[str, Any]]:
    """How Spark would read files of these names, relative to the dataset: the format of most, and its options."""
    kinds: Counter[str] = Counter()
    for name in names:
        if name.startswith("_delta_log/"):
            return "delta", {}
        if not PurePosixPath(name).name.startswith(("_", ".")):  # Spark passes over it, such as _SUCCESS
            kinds[_FORMATS.get(PurePosixPath(name.removesuffix(".gz")).suffix.lower(), "binary")] += 1
    kind = (kinds.most_common(1) or [("binary", 0)])[0][0]
    if kind == _TABS:
        return "csv", {"header": True, "sep": "\t"}
    return kind, {"header": True} if kind == "csv" else {}


def name_for(place: LakeURI) -> str:
    """A dataset's name by its address."""
    name = PurePosixPath(place.path or place.repository).name
    name = re.sub(r"\W", "_", name.partition(".")[0] or name, flags=re.ASCII)
    return name if name[:1].isidentifier() else f"data_{name}"
