"""repro.toml, repro.lock, record.json and bundles, changed at random: each is read, or refused with a sentence; no change is overlooked."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from site_ import Done, Site
from table import Row

from reprolock.cli.main import run_command_line
from reprolock.model.record import Record

ODD: list[Any] = [
    None, True, False, -1, 0, 2**63, 2**64, 10**400, 1e308, float("inf"), float("nan"), "", " ", "\0", "\x1b[2J", "..",
    "../../etc/passwd", "/etc/passwd", "C:\\x", "a" * 5000, "{params.x}", "{", "\u202e", "lakefs://", "http://[", "http://h:p",
    "https://u:p@h/", [], {}, [[]], {"": {}}, [None], ["a", 1], "2026-01-01T00:00:00Z", "9" * 30, "sha256:", "local[0]", "nan",
]  # fmt: skip
BYTES = [
    b"\0",
    b"\xff\xfe",
    b"[",
    b"]",
    b"{" * 3000,
    b"[" * 3000,
    b'"',
    b"'''",
    b"=",
    b"\n",
    b"\r",
    b"#",
    b"\xed\xa0\x80",
    b".",
]
SLOW = 30.0
"""Seconds, on a machine that does other things too."""


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """A piece removed, doubled, moved, exchanged or put in."""
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.choice([1, 1, 2, 8, 40, 200]))
    match chance.randrange(6):
        case 0:
            return data[:start] + data[end:]
        case 1:
            return data[:end] + data[start:end] + data[end:]
        case 2:
            return data[:start] + chance.choice(BYTES) + data[start:]
        case 3:
            return data[:start]
        case 4:
            return data[:start] + bytes([data[start] ^ (1 << chance.randrange(8))]) + data[start + 1 :]
        case _:
            other = chance.randrange(len(data))
            return data[:start] + data[other : other + end - start] + data[end:]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a document."""
    if path:
        yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, key))


def mutate_document(document: Any, chance: random.Random) -> Any:
    """A value exchanged for an odd one, removed, or one put beside it."""
    document = json.loads(json.dumps(document, default=str))
    path = chance.choice(list(places(document)))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    match chance.randrange(4):
        case 0 if isinstance(inner, dict):
            del inner[path[-1]]
        case 1 if isinstance(inner, dict):
            inner[chance.choice(["", "x", "__class__", "\x1b", "version", str(path[-1]).upper()])] = chance.choice(ODD)
        case 2:
            nested: Any = chance.choice(ODD)
            for _ in range(chance.choice([1, 30, 150, 400])):
                nested = [nested]
            inner[path[-1]] = nested
        case _:
            inner[path[-1]] = chance.choice(ODD)
    return document


def call(site: Site, *arguments: str) -> Done:
    """A command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command_line(["-C", str(site.root), *arguments])
    return Done(arguments, code, out.getvalue(), err.getvalue())


def judge(row: Row, site: Site, arguments: list[str]) -> Done:
    """A command, and what it may not do."""
    started = time.monotonic()
    done = call(site, *arguments)
    row.note("wrong", site.complaints(done))
    if (seconds := time.monotonic() - started) > SLOW:
        row.note("wrong", [f"{arguments} took {seconds:.0f} s"])
    return done


def specs(site: Site, count: int, seed: int) -> Row:
    """repro.toml."""
    return _texts(
        site,
        Row("repro.toml mutated"),
        "repro.toml",
        count,
        seed,
        [["lock", "--check"], ["show", "--lock"], ["status"]],
        None,
    )


def locks(site: Site, count: int, seed: int) -> Row:
    """repro.lock: one that says something else than what was sealed is never up to date."""

    def overlooked(old: bytes, new: bytes, done: Done) -> bool:
        try:
            return (
                done.arguments[0] == "lock"
                and done.code == 0
                and tomllib.loads(new.decode()) != tomllib.loads(old.decode())
            )
        except (ValueError, RecursionError):
            return done.code == 0 and done.arguments[0] == "lock"

    calls = [["lock", "--check"], ["show", "--lock"], ["diff", "repro.lock", "repro.lock"]]
    return _texts(site, Row("repro.lock mutated"), "repro.lock", count, seed, calls, overlooked)


def _texts(
    site: Site,
    row: Row,
    name: str,
    count: int,
    seed: int,
    calls: list[list[str]],
    overlooked: Callable[[bytes, bytes, Done], bool] | None,
) -> Row:
    chance, path = random.Random(seed), site.root / name
    old = path.read_bytes()
    for _ in range(count):
        new = mutate_bytes(old, chance)
        if chance.random() < 0.3:
            new = mutate_bytes(new, chance) if new else b"\0"
        path.write_bytes(new)
        row.tried += 1
        for arguments in calls:
            done = judge(row, site, arguments)
            if overlooked and overlooked(old, new, done):
                row.note("wrong", [f"overlooked: {new[:2000]!r}"])
    path.write_bytes(old)
    return row


def records(site: Site, run: Path, count: int, seed: int) -> Row:
    """record.json, half of them sealed anew: one that was only changed is never taken for what was recorded."""
    row, chance = Row("record.json mutated"), random.Random(seed)
    folder = site.root.parent / "mutated"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("work", "*.guard"))
    old = json.loads((folder / "record.json").read_bytes())
    for number in range(count):
        document = mutate_document(old, chance)
        text = json.dumps(document)
        sealed = chance.random() < 0.5
        if sealed:
            with contextlib.suppress(ValueError):
                text = Record.model_validate_json(text).sealed().model_dump_json()
        elif chance.random() < 0.3:
            text = mutate_bytes(text.encode(), chance).decode("utf-8", "replace")
        (folder / "record.json").write_text(text)
        row.tried += 1
        shown = judge(row, site, ["show", str(folder)])
        with contextlib.suppress(ValueError, RecursionError):
            known = {name for name in old if name in Record.model_fields}
            now = json.loads(text)
            if shown.code == 0 and not sealed and any(now.get(name) != old[name] for name in known):
                same = Record.model_validate_json(text) == Record.model_validate(old)
                if not same:
                    row.note("wrong", [f"overlooked: {text[:2000]}"])
        judge(row, site, ["diff", str(folder), str(folder)])
        judge(row, site, ["export", str(folder), "--format", ["prov", "openlineage"][number % 2]])
        if number % 10 == 0:
            judge(row, site, ["replay", str(folder), "--dry-run"])
            shutil.rmtree(site.root / ".reprolock" / "replays", ignore_errors=True)
    return row


def bundles(site: Site, run: Path, count: int, seed: int) -> Row:
    """A bundle: every byte of it is decided by what it holds, so any change at all is refused."""
    row, chance = Row("bundle mutated"), random.Random(seed)
    folder = site.root.parent / "bundled"
    folder.mkdir(exist_ok=True)
    file, trust = folder / "run.zip", folder / "trust.toml"
    for made in (file, folder / "key.pem", folder / "key.pem.pub"):
        made.unlink(missing_ok=True)
    judge(row, site, ["key", "new", str(folder / "key.pem")])
    trust.write_text('[keys.ann]\npublic = "key.pem.pub"\nroles = ["run"]\n')
    calls = {"replay": ["replay", str(file), "--dry-run"], "audit": ["audit", str(file), "--trust", str(trust)]}
    judge(row, site, ["bundle", run.name, "-o", str(file)])
    old = file.read_bytes()
    whole = {name: call(site, *given) for name, given in calls.items()}
    for number in range(count):
        new = mutate_bytes(old, chance)
        if new == old:
            continue
        file.write_bytes(new)
        row.tried += 1
        name = "replay" if number % 10 == 0 else "audit"
        done = judge(row, site, calls[name])
        if done.code != 7 or done.err == whole[name].err:
            row.note("wrong", [f"overlooked by {name}: {number} of seed {seed}: {done}"])
    file.write_bytes(old)
    return row


def campaign(site: Site, count: int, seed: int) -> list[Row]:
    """All four, in this process, with the environment of the site."""
    site.must("run", "--offline")
    run = next((site.root / ".reprolock" / "runs").iterdir())
    before = dict(os.environ)
    os.environ.clear()
    os.environ |= site.environ
    try:
        of_files = [specs(site, count, seed), locks(site, count, seed)]
        return [*of_files, records(site, run, count, seed), bundles(site, run, count, seed)]
    finally:
        os.environ.clear()
        os.environ |= before
