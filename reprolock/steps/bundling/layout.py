"""The layout of a bundle: a BagIt bag (RFC 8493) whose data/ is an RO-Crate, in one ZIP file.

data/record.json repro.toml …      the run's artifacts, as MLflow has them
data/ro-crate-metadata.json        what all of it is, by the profile "Process Run Crate"
data/datasets/NAME.jsonl           the dataset's listing; its SHA-256 is the digest that is pinned
data/datasets/NAME.sha256          the SHA-256 of each object of the listing, in its order
data/objects/SHA-256               the objects, once each
data/packages/FILE                 wheels and source distributions of the locked environment
data/jars/FILE                     the jars of Spark
bagit.txt bag-info.txt manifest-sha256.txt tagmanifest-sha256.txt [fetch.txt]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reprolock.model.lock import DatasetPin

VERSION = "1"
ARTIFACTS, DATASETS, OBJECTS, PACKAGES, JARS = (
    "data/",
    "data/datasets/",
    "data/objects/",
    "data/packages/",
    "data/jars/",
)
CRATE = "data/ro-crate-metadata.json"
BAGIT, INFO, FETCH = "bagit.txt", "bag-info.txt", "fetch.txt"
MANIFEST, TAGMANIFEST = "manifest-sha256.txt", "tagmanifest-sha256.txt"
DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
OPAQUE = "opaque"
"""Behind the SHA-256 of an object whose checksum in the lake cannot be computed from its bytes."""
_NAMES = re.compile(
    r"(bagit|bag-info|manifest-sha256|tagmanifest-sha256|fetch)\.txt"
    r"|data/[A-Za-z0-9_.-]+|data/datasets/[A-Za-z0-9_]+\.(jsonl|sha256)|data/objects/[0-9a-f]{64}"
    r"|data/(packages|jars)/[A-Za-z0-9_.+!-]+"
)
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")


def is_known(name: str) -> bool:
    """Whether a bundle may have a file of this name."""
    return _NAMES.fullmatch(name) is not None


def is_artifact(name: str) -> bool:
    """Whether it is one of the run's artifacts."""
    return name.startswith(ARTIFACTS) and "/" not in name.removeprefix(ARTIFACTS) and name != CRATE


def object_name(sha256: str) -> str:
    return OBJECTS + sha256


def listing_names(pin: DatasetPin) -> tuple[str, str]:
    """The two files of a dataset."""
    return f"{DATASETS}{pin.name}.jsonl", f"{DATASETS}{pin.name}.sha256"


def manifest(digests: Mapping[str, str]) -> bytes:
    """A BagIt manifest: sorted by name."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def read_manifest(data: bytes) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of each line. ValueError for what is no manifest."""
    for line in data.decode("ascii").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f'it has the line "{ascii(line[:80])[1:-1]}"')
        yield match[2], match[1]


def identifier(run_id: str) -> str:
    """How bag-info.txt names the run."""
    return f"urn:reprolock:run:{run_id}"


class Info(NamedTuple):
    """bag-info.txt: which run, for which platforms, and how much it is."""

    run: str
    reprolock: str
    platforms: str
    size: int
    files: int

    def encoded(self) -> bytes:
        lines = [
            ("Bag-Software-Agent", f"reprolock {self.reprolock}"),
            ("External-Identifier", identifier(self.run)),
            ("Payload-Oxum", f"{self.size}.{self.files}"),
            ("Reprolock-Bundle-Version", VERSION),
            ("Reprolock-Platforms", self.platforms),
        ]
        return "".join(f"{name}: {value}\n" for name, value in lines).encode()


def read_info(data: bytes) -> dict[str, str]:
    """The lines of bag-info.txt."""
    return dict(line.split(": ", 1) for line in data.decode().splitlines() if ": " in line)


class Fetch(NamedTuple):
    """A line of fetch.txt: an object that is left out, and where it is."""

    url: str
    size: int
    name: str


def fetch_list(items: Iterable[Fetch]) -> bytes:
    quoted = ((item.url.replace("%", "%25").replace(" ", "%20").replace("\n", "%0A"), *item[1:]) for item in items)
    return "".join(f"{url} {size} {name}\n" for url, size, name in quoted).encode()
