"""`kill -9` at random moments: what was is still there, the next command goes on, and nothing is left running."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from site_ import Done, Site
from table import Row


class Step(NamedTuple):
    """What is killed. `prepare` comes before, `again` are the codes of the same command afterwards."""

    name: str
    arguments: Callable[[Site, int], list[str]]
    prepare: Callable[[Site, int], object] = lambda site, number: None
    again: tuple[int, ...] = (0,)
    check: Callable[[Site, int], list[str]] = lambda site, number: []


def steps() -> list[Step]:
    """Everything that writes."""
    return [
        Step("lock", lambda site, number: ["lock", "--upgrade"], check=_lock_is_good),
        Step("put", _put, _new_file, check=_is_staged),
        Step(
            "commit",
            _commit,
            lambda site, number: (_new_file(site, number), site.must(*_put(site, number))),
            (0, 9),
            _is_committed,
        ),
        Step(
            "run and publish",
            lambda site, number: ["run"],
            lambda site, number: site.must("lock", "--upgrade"),
            check=_run_is_whole,
        ),
        Step("materialise", lambda site, number: ["run", "--dry-run"], _empty_cache),
        Step("replay", lambda site, number: ["replay", "@RUN"], _one_run),
        Step(
            "sync",
            lambda site, number: ["sync"],
            lambda site, number: site.must("run", "--offline"),
            check=_outbox_is_empty,
        ),
    ]


def campaign(site: Site, kind: str, count: int, seed: int) -> Row:
    """`count` kills, spread over the steps."""
    row, chance, all_steps = Row(f"kill -9, {kind}"), random.Random(seed), steps()
    durations: dict[str, float] = {}
    for number in range(count):
        step = all_steps[number % len(all_steps)]
        step.prepare(site, number)
        arguments = [_run_id(site) if item == "@RUN" else item for item in step.arguments(site, number)]
        if step.name not in durations:
            started = time.monotonic()
            row.note("wrong", site.complaints(site.call(*arguments)))
            durations[step.name] = time.monotonic() - started
            step.prepare(site, number)
        killed = site.kill(chance.uniform(0.02, 1.05) * durations[step.name], *arguments)
        row.tried += 1
        row.note("wrong", site.complaints(killed))
        row.note("running", site.orphans())
        again = site.call(*arguments)
        row.note("wrong", site.complaints(again))
        if again.code not in step.again:
            row.note("lost", [f"{step.name} again: {again.code} {again.err[-300:]}"])
        row.note("lost", [f"{step.name}: {sentence}" for sentence in step.check(site, number)])
    row.note("leaked", site.leaks())
    return row


def _uri(number: int) -> str:
    return f"lakefs://example-repo/main/train/k{number}.csv"


def _new_file(site: Site, number: int) -> None:
    (site.root / f"k{number}.csv").write_text(f"x,y\n{number},0\n" * 2000)


def _put(site: Site, number: int) -> list[str]:
    return ["data", "put", f"k{number}.csv", _uri(number)]


def _commit(site: Site, number: int) -> list[str]:
    return ["data", "commit", "lakefs://example-repo/main", "-m", f"Number {number}"]


def _got(site: Site, number: int, uri: str) -> list[str]:
    target = site.root.parent / "got"
    target.unlink(missing_ok=True)
    done = site.call("data", "get", uri, str(target))
    if done.code or target.read_bytes() != (site.root / f"k{number}.csv").read_bytes():
        return [f"{uri} is not what was put: {done.err[-200:]}"]
    return []


def _is_staged(site: Site, number: int) -> list[str]:
    found = _got(site, number, _uri(number))
    site.call("data", "commit", "lakefs://example-repo/main", "-m", "Kept")
    return found


def _is_committed(site: Site, number: int) -> list[str]:
    head = json.loads(site.must("data", "log", "lakefs://example-repo/main", "-n", "1", "--json").out)["commits"][0][
        "id"
    ]
    return _got(site, number, _uri(number).replace("/main/", f"/{head}/"))


def _lock_is_good(site: Site, number: int) -> list[str]:
    done = site.call("lock", "--check")
    return [] if done.code == 0 else [f"lock --check: {done.code} {done.err}"]


def _records(site: Site) -> list[dict[str, object]]:
    files = (site.root / ".reprolock" / "runs").glob("*/record.json")
    return [json.loads(file.read_bytes()) for file in sorted(files, key=lambda file: file.stat().st_mtime)]


def _run_is_whole(site: Site, number: int) -> list[str]:
    records = _records(site)
    found = [f"run {record['run_id']} is still RUNNING" for record in records if record["status"] == "RUNNING"]
    if not records or records[-1]["status"] != "FINISHED":
        return [*found, "the newest run did not finish"]
    if not (site.root / "out" / "result" / "sum.csv").is_file():
        found.append("its output is not in the project")
    published = records[-1]["published"]
    if not published or not published[0].get("commit"):  # type: ignore[index, attr-defined]
        found.append("its output is not in the lake")
    return found


def _one_run(site: Site, number: int) -> None:
    if not any(record["status"] == "FINISHED" for record in _records(site)):
        site.must("run")


def _run_id(site: Site) -> str:
    return str(next(record["run_id"] for record in reversed(_records(site)) if record["status"] == "FINISHED"))


def _empty_cache(site: Site, number: int) -> None:
    for folder in (Path(site.environ["REPROLOCK_CACHE_DIR"]) / "objects", site.root / ".reprolock" / "data"):
        if folder.exists():
            for path in folder.rglob("*"):
                if path.is_dir():
                    path.chmod(0o755)
            shutil.rmtree(folder, ignore_errors=True)


def _outbox_is_empty(site: Site, number: int) -> list[str]:
    left = list((site.root / ".reprolock" / "outbox").glob("*/outbox.json"))
    return [f"{len(left)} records still wait"] if left else []


__all__ = ["Done", "Step", "campaign", "steps"]
