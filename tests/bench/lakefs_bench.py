"""Listings, branches and copies, against a real lakeFS on a real MinIO that this file starts and ends."""

from __future__ import annotations

import gc
import http.client
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urlsplit

import services
from bench import Case, Missing, fresh
from cases import write_files

OBJECTS, MANY = 10_000, 100_000
LARGE, LARGE_BYTES = 50, 20 << 20
PAGE = 1000


def cases() -> Iterator[Case | list[str]]:
    """Rows; services are started once for all of them."""
    with running(fresh("lakefs")):
        fill("ten", OBJECTS)
        yield from listing("ten", OBJECTS)
        yield from copies("ten", f"{OBJECTS:,} objects", 0.6)
        fill_large("large")
        yield from copies("large", f"{LARGE} objects of {LARGE_BYTES >> 20} MiB", 1.1)
        fill("many", MANY)
        yield from listing("many", MANY)
        yield from comparison("many", MANY)


@contextmanager
def running(folder: Path) -> Iterator[tuple[services.LakeFS, services.ObjectStore]]:
    """A lakeFS and the store below it; commands find its credentials as variables."""
    for name in ("minio", "lakefs", "lakectl"):
        if shutil.which(name) is None:
            raise Missing(f"no `{name}` on PATH")
    store = services.start_store(folder / "store")
    try:
        lakefs = services.start_lakefs(folder / "server", store)
        try:
            os.environ.update(lakefs.lakectl)
            yield lakefs, store
        finally:
            lakefs.server.stop()
    finally:
        store.server.stop()


def lake():
    """The lake as reprolock opens it."""
    from reprolock.lake.open import open_lake

    return open_lake(None, Path.cwd(), os.environ, Path.home())


def fill(name: str, count: int) -> None:
    """A repository `bench-NAME` with so many objects of 1 KiB under data/, committed."""
    from reprolock.model.uri import LakeURI
    from reprolock.steps.data.put import put_tree

    opened = lake()
    opened.create_repository(f"bench-{name}", storage=f"s3://lake/bench-{name}")
    with tempfile.TemporaryDirectory() as data:
        write_files(Path(data), count)
        for path in Path(data).rglob("*.csv"):
            path.write_bytes(path.read_bytes().ljust(1024, b" "))
        put_tree(opened, Path(data), LakeURI.parse(f"lakefs://bench-{name}/main/data/"))
    opened.commit(f"bench-{name}", "main", "Data")
    opened.close()


def fill_large(name: str) -> None:
    """A repository of a few large objects of bytes that do not compress, committed."""
    opened = lake()
    opened.create_repository(f"bench-{name}", storage=f"s3://lake/bench-{name}")
    for number in range(LARGE):
        opened.put(f"bench-{name}", "main", f"data/{number:02d}", io.BytesIO(os.urandom(LARGE_BYTES)))
    opened.commit(f"bench-{name}", "main", "Data")
    opened.close()


def listing(name: str, count: int) -> Iterator[list[str]]:
    """reprolock's listing with its digest, against a bare paging loop with json alone; and the memory it takes."""
    from reprolock.model.digest import summarise

    opened = lake()
    pairs = []
    for _ in range(6):
        started = time.perf_counter()
        assert summarise(opened.list(f"bench-{name}", "main", "data/"), opened.scheme).objects == count
        between = time.perf_counter()
        assert bare(f"bench-{name}") == count
        pairs.append((between - started, time.perf_counter() - between))
    opened.close()
    ratio = statistics.median(a / b for a, b in pairs[1:])
    ours, theirs = (statistics.median(pair[index] for pair in pairs[1:]) for index in (0, 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    met = "met" if ratio <= 2 else "MISSED"
    yield [
        f"listing and digest of {count:,} objects",
        f"{ours:.2f} s",
        f"paging and json {theirs:.2f} s",
        f"{ratio:.2f}",
        "goal 2",
        met,
        f"peak {peak:.0f} MB",
    ]


def bare(repository: str) -> int:
    """Every page of a listing, parsed and dropped."""
    place = urlsplit(os.environ["LAKECTL_SERVER_ENDPOINT_URL"])
    keys = f"{os.environ['LAKECTL_CREDENTIALS_ACCESS_KEY_ID']}:{os.environ['LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY']}"
    headers = {"Authorization": f"Basic {b64encode(keys.encode()).decode()}"}
    connection = http.client.HTTPConnection(place.hostname or "", place.port)
    count, after = 0, ""
    while True:
        connection.request(
            "GET",
            f"/api/v1/repositories/{repository}/refs/main/objects/ls?amount={PAGE}&prefix=data/&after={quote(after)}",
            headers=headers,
        )
        page = json.loads(connection.getresponse().read())
        count += len(page["results"])
        if not page["pagination"]["has_more"]:
            return count
        after = page["pagination"]["next_offset"]


def comparison(name: str, count: int) -> Iterator[list[str]]:
    """What changed between two commits of so many objects that differ in ten, against one listing of one of them."""
    repository = f"bench-{name}"
    opened = lake()
    old = opened.resolve(repository, "main").id
    some = [item.path for item in islice(opened.list(repository, "main", "data/"), 10)]
    for path in some:
        opened.put(repository, "main", path, io.BytesIO(b"changed"))
    new = opened.commit(repository, "main", "Ten changes").id
    pairs = []
    for _ in range(6):
        started = time.perf_counter()
        assert [change.path for change in opened.diff(repository, old, new, "data/")] == some
        between = time.perf_counter()
        assert bare(repository) == count
        pairs.append((between - started, time.perf_counter() - between))
    opened.close()
    ratio = statistics.median(a / b for a, b in pairs[1:])
    ours, theirs = (statistics.median(pair[index] for pair in pairs[1:]) for index in (0, 1))
    met = "met" if ratio <= 0.1 else "MISSED"
    yield [
        f"diff of {count:,} objects, ten of them changed",
        f"{ours:.3f} s",
        f"one listing {theirs:.2f} s",
        f"{ratio:.3f}",
        "goal 0.1",
        met,
    ]


def copies(name: str, what: str, goal: float) -> Iterator[list[str]]:
    """A dataset's local tree against `lakectl local clone`, and a second tree against `cp -rl`."""
    from reprolock.model.spec import DatasetSpec
    from reprolock.steps.locking.datasets import resolve_datasets

    opened = lake()
    dataset = DatasetSpec(uri=f"lakefs://bench-{name}/main/data/", format="csv")
    (pin,) = resolve_datasets(opened, {"train": dataset})
    firsts, seconds = [], []
    for number in range(6):
        times = copied(opened, pin, fresh(f"copies-{name}-{number}"), f"lakefs://bench-{name}/main/data/")
        firsts.append(times[:2])
        seconds.append(times[2:])
    opened.close()
    rows = [(f"{what} to files", "lakectl local clone", firsts, goal), ("a second time", "cp -rl", seconds, 2.0)]
    for title, against, pairs, most in rows[: 1 if name == "large" else 2]:
        ratio = statistics.median(a / b for a, b in pairs[1:])
        ours, theirs = (statistics.median(pair[index] for pair in pairs[1:]) for index in (0, 1))
        yield [
            title,
            f"{ours:.2f} s",
            f"{against} {theirs:.2f} s",
            f"{ratio:.2f}",
            f"goal {most:g}",
            "met" if ratio <= most else "MISSED",
        ]


def copied(opened, pin, place: Path, uri: str) -> tuple[float, float, float, float]:
    """Seconds of: our first tree, lakectl's clone, our second tree, `cp -rl`."""
    from reprolock.files.object_cache import ObjectCache
    from reprolock.steps.inputs.materialise import materialise

    cache = ObjectCache(place / "cache")
    # lakectl writes into the .gitignore of a repository that it finds around it.
    environ = {**os.environ, "GIT_CEILING_DIRECTORIES": str(place)}
    clone = ["lakectl", "local", "clone", uri, str(place / "clone")]
    theirs = timed(lambda: subprocess.run(clone, check=True, capture_output=True, env=environ))
    first = timed(lambda: materialise(opened, pin, cache, place / "first"))
    again = timed(lambda: materialise(opened, pin, cache, place / "second"))
    linked = timed(lambda: subprocess.run(["cp", "-rl", str(place / "second"), str(place / "linked")], check=True))
    return first, theirs, again, linked


def timed(work) -> float:
    """How long a call takes. What the calls before it left to collect is not its own: a user's process begins without."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit("run tests/bench/bench.py lakefs")
