"""Services that go away during a step, a disk that fills at every write, and eight writers at once."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections.abc import Iterable

import kills
import services
from site_ import Done, Site
from table import Row


def services_away(site: Site, servers: Iterable[services.Server], rounds: int, seed: int) -> Row:
    """Each server is stopped during each step, and started again; the step then works."""
    row, chance = Row("lakeFS, MinIO, MLflow stopped during a step"), random.Random(seed)
    for number in range(rounds):
        for server in servers:
            for step in kills.steps():
                token = 10_000 + number * 100 + len(row.notes) + row.tried
                step.prepare(site, token)
                arguments = [kills._run_id(site) if item == "@RUN" else item for item in step.arguments(site, token)]
                process = site.start(*arguments)
                time.sleep(chance.uniform(0.1, 2.5))
                server.stop()
                try:
                    out, err = process.communicate(timeout=240)
                except subprocess.TimeoutExpired:
                    process.kill()
                    out, err = process.communicate()
                    row.note("wrong", [f"{step.name} without {server.name} does not end: {err[-300:]}"])
                finally:
                    server.start()
                row.tried += 1
                row.note("wrong", site.complaints(Done(tuple(arguments), process.returncode, out, err)))
                site.call("sync")
                again = site.call(*arguments)
                row.note("wrong", site.complaints(again))
                if again.code not in step.again:
                    row.note("lost", [f"{step.name} after {server.name} came back: {again.code} {again.err[-300:]}"])
                row.note("lost", [f"{step.name} ({server.name}): {problem}" for problem in step.check(site, token)])
    row.note("leaked", site.leaks())
    return row


LIMITS = [0, 1, 40, 200, 1000, 4096, 20_000, 100_000, 400_000]


def full_disk(site: Site, seed: int) -> Row:
    """No file may grow beyond a size, smaller and larger: exit 8 or a sentence of the service's, and nothing is lost."""
    row = Row("a disk that fills, embedded lake")
    for step in kills.steps():
        for limit in LIMITS:
            token = 20_000 + row.tried
            step.prepare(site, token)
            arguments = [kills._run_id(site) if item == "@RUN" else item for item in step.arguments(site, token)]
            done = site.call(*arguments, limit=limit)
            row.tried += 1
            row.note("wrong", site.complaints(done))
            if done.code not in (0, 1, 5, 7, 8):
                row.note("wrong", [f"{step.name} at {limit} bytes: code {done.code}: {done.err[-300:]}"])
            site.call("sync")
            again = site.call(*arguments)
            if again.code not in step.again:
                row.note("lost", [f"{step.name} after {limit} bytes: {again.code} {again.err[-300:]}"])
            row.note("lost", [f"{step.name} ({limit}): {problem}" for problem in step.check(site, token)])
    row.note("leaked", site.leaks())
    return row


def writers(site: Site, kind: str, rounds: int) -> Row:
    """Eight at once put and commit on one branch, lock, and run: each succeeds or says why not, and no commit is lost."""
    row = Row(f"eight writers at once, {kind}")
    for number in range(rounds):
        names = [f"w{number}-{writer}" for writer in range(8)]
        for name in names:
            (site.root / f"{name}.csv").write_text(name * 500)
        answers: list[Done] = []

        def write(name: str, answers: list[Done] = answers) -> None:
            answers.append(site.call("data", "put", f"{name}.csv", f"lakefs://example-repo/main/writers/{name}.csv"))
            for _ in range(20):
                done = site.call("data", "commit", "lakefs://example-repo/main", "-m", name)
                answers.append(done)
                if done.code == 0 or "nothing is staged" in done.err:
                    return

        def run(name: str, answers: list[Done] = answers) -> None:
            answers.append(site.call("lock", "--upgrade"))
            answers.append(site.call("run"))

        for job in (write, run):
            threads = [threading.Thread(target=job, args=(name,)) for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if job is write:
                done = site.must("data", "ls", "-r", "lakefs://example-repo/main/writers/", "--json")
                there = json.dumps(json.loads(done.out))
                row.note("lost", [f"{name} is not there" for name in names if f"{name}.csv" not in there])
        row.tried += len(answers)
        for done in answers:
            row.note("wrong", site.complaints(done))
            if done.code not in (0, 8, 9):
                row.note("wrong", [f"{done.arguments}: code {done.code}: {done.err[-300:]}"])
    row.note("leaked", site.leaks())
    return row
