"""Rules over several keys of repro.toml, on plain values: those of a valid `Spec`, or what is valid of an invalid file.

Out come `Problems`: pairs of a key's path and a sentence. Whether a value is valid by itself is not asked here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

from reprolock.model.placeholders import ADDRESS_ROOTS, ROOTS, lookup, names_in
from reprolock.model.uri import SCHEME, LakeURI, is_under

Loc = tuple[str | int, ...]
Problems = list[tuple[Loc, str]]

OWN_FILES = ("repro.toml", "repro.lock", ".reprolock")
"""Paths in a project that are reprolock's: never code, never an output."""
MLFLOW_FILES = ("mlruns", "mlartifacts", "mlflow.db", *(f"mlflow.db-{part}" for part in ("wal", "shm", "journal")))
"""Paths in a project that are MLflow's: never code, never an output."""
_GITS = {".git", "git~1"}
_UNSEEN = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
SOURCES = ("packages", "requirements", "pyproject")
"""The keys of `[environment]` that declare packages."""
_LENIENT = ("ignore", "rel", "abs")


class Tables(NamedTuple):
    """What the rules look at: outputs' paths and addresses by name, run.code, lake.endpoint, the texts and the addresses
    that may hold placeholders with their keys, and what a placeholder in a text may name."""

    paths: Mapping[str, str]
    published: Mapping[str, LakeURI]
    code: tuple[str, ...]
    endpoint: str | None
    texts: tuple[tuple[Loc, str], ...]
    names: Mapping[str, Any]
    addresses: tuple[tuple[Loc, str], ...] = ()


def declared_address(text: str) -> LakeURI:
    """An address that may hold placeholders, taken apart; `with_samples` of it is a valid one."""
    return LakeURI(*text.removeprefix(SCHEME).split("/", 2))


def with_samples(text: str) -> str:
    """An address with something valid in the place of every placeholder."""
    for name in set(names_in(text, ADDRESS_ROOTS)):
        text = text.replace(f"{{{name}}}", "x")
    return text


def disagreements(tables: Tables) -> Problems:
    """Outputs that overlap something, and placeholders that name nothing."""
    return [*_overlaps(tables), *_published_twice(tables), *_unknown_placeholders(tables)]


def one_source(given: Collection[str]) -> Problems:
    """`[environment]` declares packages in one way; `given` are the keys that are there."""
    found = [name for name in SOURCES if name in given]
    return [((found[-1],), f"{' and '.join(found)} cannot be used together; keep one")] if len(found) > 1 else []


def one_engine(given: Collection[str]) -> Problems:
    """`[spark]` names a master or a Connect server; `given` are the keys that are there."""
    if "master" in given and "remote" in given:
        return [(("remote",), "master and remote cannot be used together; keep one")]
    if "server" in given and "remote" not in given:
        return [(("server",), 'server goes with remote = "sc://HOST:PORT"')]
    return []


def consistent_output(compare: str, given: Collection[str]) -> Problems:
    """`[outputs.NAME]`: what goes with a way of comparing; `given` are the keys that are there."""
    if compare == "table" and "format" not in given:
        return [(("compare",), 'compare = "table" needs format, such as format = "parquet"')]
    if compare in ("table", "json"):
        return []
    return [((name,), f'{name} goes with compare = "table" or "json"') for name in _LENIENT if name in given]


def _overlaps(tables: Tables) -> Iterator[tuple[Loc, str]]:
    taken = [(_plain(path), f'"{path}", which is reprolock\'s own') for path in OWN_FILES]
    taken += [(_plain(path), f'"{path}", which is MLflow\'s own') for path in MLFLOW_FILES]
    taken += [(_plain(path.rstrip("/")), f'the code "{path}" (run.code)') for path in tables.code]
    if tables.endpoint and tables.endpoint.startswith("file:"):
        folder = tables.endpoint[5:].removeprefix("./").rstrip("/")
        taken.append((_plain(folder), f'the lake "{folder}" (lake.endpoint)'))
    for name, output in tables.paths.items():
        if own := next((part for part in output.split("/") if _plain(part) in _GITS), None):
            yield ("outputs", name, "path"), f'"{output}" leads into "{own}", which is git\'s own; write "out/{name}"'
        here = _plain(output)
        for path, whose in taken:
            if is_under(here, path) or is_under(path, here):
                sentence = f'"{output}" overlaps {whose}; give the output a folder of its own, such as "out/{name}"'
                yield ("outputs", name, "path"), sentence
        taken.append((here, f'the output "{output}" (outputs.{name}.path)'))


def _plain(path: str) -> str:
    """A path as a file system that knows no upper and lower case compares it; HFS+ also passes over what is not seen."""
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", path)).casefold()


def _published_twice(tables: Tables) -> Iterator[tuple[Loc, str]]:
    for (one, first), (other, second) in combinations(tables.published.items(), 2):
        if first[:2] == second[:2] and (is_under(first.path, second.path) or is_under(second.path, first.path)):
            sentence = f'"{second}" overlaps "{first}" (outputs.{one}.publish); each replaces what is at its path'
            yield ("outputs", other, "publish"), sentence


def _unknown_placeholders(tables: Tables) -> Iterator[tuple[Loc, str]]:
    yield from _unknown_names(tables.texts, ROOTS, tables.names)
    names = {root: table for root, table in tables.names.items() if root == "params"} | {"run_id": ""}
    if "datasets" in tables.names:
        names["datasets"] = dict.fromkeys(tables.names["datasets"], {"branch": ""})
    yield from _unknown_names(tables.addresses, ADDRESS_ROOTS, names)


def _unknown_names(
    texts: tuple[tuple[Loc, str], ...], roots: tuple[str, ...], names: Mapping[str, Any]
) -> Iterator[tuple[Loc, str]]:
    for loc, text in texts:
        for name in names_in(text, roots):
            root = name.partition(".")[0]
            if root != "seed" and root not in names:
                continue  # that table is at fault itself
            try:
                whole = isinstance(lookup(name, names), Mapping) and not name.startswith("params.")
            except KeyError:
                whole = True
            if whole:
                yield loc, f"{{{name}}} names nothing: {_list_declared(name, names)}"


def _list_declared(name: str, known: Mapping[str, Any]) -> str:
    root, _, rest = name.partition(".")
    if root == "seed":
        return "run.seed is not set" if not rest else "write {seed}"
    if root == "run_id":
        return "write {run_id}"
    table = known[root]
    child = rest.partition(".")[0]
    if root != "params" and child in table:
        return "write " + " or ".join(f"{{{root}.{child}.{part}}}" for part in sorted(table[child]))
    return f"[{root}] declares {', '.join(sorted(table))}" if table else f"[{root}] is empty"
