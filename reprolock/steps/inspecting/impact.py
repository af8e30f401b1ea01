"""`impact`: find every run, replay and registered model in MLflow that read an address of a lake.

    lakefs://REPO                 any commit
    lakefs://REPO/COMMIT[/PATH]   that commit, or a tag's
    lakefs://REPO/BRANCH[/PATH]   every commit that the branch contains
    lakefs://REPO/OLD..NEW[/PATH] every commit that NEW contains and OLD does not
    lakefs://REPO/REF/OBJECT      the object's bytes, at whatever commit they were read

What runs read is taken from their inputs and tags in MLflow: runs that reprolock did not start count too, where
their inputs name a lake. The lake is asked which commits and which bytes are meant, never for a listing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import NotFound, ReprolockError, UsageError
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_spec
from reprolock.lake.open import check_endpoint
from reprolock.lake.protocol import Lake, Object
from reprolock.model.glob import is_glob, matches
from reprolock.model.uri import SCHEME, LakeURI, is_under
from reprolock.steps.project.locate import open_the_lake
from reprolock.steps.project.machine import Machine
from reprolock.tracker import open_tracker
from reprolock.tracker.encoding.inputs import name_in
from reprolock.tracker.protocol import PARENT_TAG, REPLAY_OF_TAG, RUN_ID_TAG, ModelVersion, Row
from reprolock.tracker.tracking_uri import find_place

_MOST_RUNS = 100_000
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_TAG = re.compile(r"reprolock\.dataset\.(.+)\.resolved")


class Read(NamedTuple):
    """One dataset that a run read: its name, its address at the commit, its glob, and the ref that was declared."""

    name: str
    place: LakeURI
    glob: str | None = None
    declared: str | None = None


class Reader(NamedTuple):
    """A run, what it read of the address, and the model versions that it made.

    `replay_of`: the run that it replays; `recorded`: False for a run that reprolock did not start.
    """

    run_id: str
    experiment: str
    name: str
    status: str
    started: datetime
    replay_of: str | None
    recorded: bool
    read: tuple[Read, ...]
    models: tuple[ModelVersion, ...]


class Impact(NamedTuple):
    """Readers, newest first; how the address was understood; what could not be found out."""

    uri: str
    meaning: str
    readers: tuple[Reader, ...]
    remarks: tuple[str, ...]
    tracking: str


class _Choice(NamedTuple):
    """Which reads are meant, and in words."""

    meaning: str
    chosen: Callable[[Read], bool]
    remarks: tuple[str, ...] = ()


def impact(
    root: Path, uri: str, *, tracking_uri: str | None = None, lake: str | None = None, machine: Machine | None = None
) -> Impact:
    """UsageError for an address that is none, or a ref that the lake does not have. A lake that does not answer
    is a remark: then commits and declared branches are compared by their names alone."""
    machine = machine or Machine.here()
    root = root.resolve()
    repository, ref, path = _parse(uri)
    declared = read_spec(root).mlflow.tracking_uri if tracking_uri is None and (root / SPEC).exists() else None
    place = find_place(declared, root, machine.environ, tracking_uri)
    with closing(open_tracker(place, machine.environ, machine.home)) as tracker:
        every = tracker.runs(limit=_MOST_RUNS, recorded=False)
        rows = [(row, reads) for row in every if (reads := _reads(row, repository))]
        candidates = [read for _, reads in rows for read in reads]
        if ref is None:
            choice = _Choice("any commit of the repository", lambda _: True)
        else:
            choice = _choose(LakeURI(repository, ref, path), candidates, root, lake, machine)
        found = [(row, tuple(filter(choice.chosen, reads))) for row, reads in rows]
        found = [(row, reads) for row, reads in found if reads]
        owners = _owners(every, {row.run_id for row, _ in found})
        models = tracker.models(list(owners))
    readers = (
        _reader(row, reads, tuple(model for model in models if owners[model.run_id] == row.run_id))
        for row, reads in found
    )
    return Impact(uri, choice.meaning, tuple(readers), choice.remarks, str(place))


def _parse(uri: str) -> tuple[str, str | None, str]:
    """Repository, ref (None: all of them) and path."""
    whole = uri.startswith(SCHEME) and "/" not in uri.removeprefix(SCHEME).rstrip("/")
    try:
        place = LakeURI.parse(f"{uri.rstrip('/')}/any" if whole else uri)
    except ValueError as error:
        raise UsageError(
            str(error), hint='write "lakefs://REPO", "lakefs://REPO/REF" or "lakefs://REPO/REF/PATH"'
        ) from None
    return place.repository, None if whole else place.ref, place.path


def _reads(row: Row, repository: str) -> tuple[Read, ...]:
    """What a run read of a repository; inputs and tags are foreign input, and what is not an address there is passed over."""
    found: dict[tuple[str, str, str], Read] = {}
    for name, source in row.inputs:
        if (read := _parse_input(name, source)) is not None:
            found[read.name, read.place.ref, read.place.path.rstrip("/")] = read
    for tag, value in row.tags.items():
        if (match := _TAG.fullmatch(tag)) and (place := _address(value)) is not None:
            key = match[1], place.ref, place.path.rstrip("/")
            declared = _address(row.tags.get(f"reprolock.dataset.{match[1]}.uri", ""))
            known = found.get(key, Read(match[1], place))
            found[key] = known._replace(place=place, declared=declared.ref if declared else None)
    return tuple(read for _, read in sorted(found.items()) if read.place.repository == repository)


def _owners(rows: list[Row], readers: set[str]) -> dict[str, str]:
    """Run → the reader that it is, or that it is nested in: a model of a nested run is one of the reader's."""
    parents = {row.run_id: row.tags.get(PARENT_TAG) for row in rows}
    owners = {}
    for run_id in parents:
        at: str | None = run_id
        seen: set[str] = set()
        while at is not None and at not in readers and at not in seen:
            seen.add(at)  # tags are foreign input: parents may go round in a circle
            at = parents.get(at)
        if at is not None and at in readers:
            owners[run_id] = at
    return owners


def _parse_input(name: str, source: str) -> Read | None:
    """The address that an input's source names: reprolock's own, or a Delta table at a commit, as MLflow writes them."""
    try:
        said = json.loads(source)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    place = _address(said.get("uri"))
    if place is None and isinstance(said.get("path"), str):
        scheme, _, rest = said["path"].partition("://")
        place = _address(SCHEME + rest) if scheme in ("s3", "s3a") else None
        place = place if place and _COMMIT.fullmatch(place.ref) else None
    glob = said.get("glob")
    # A tag is foreign: what is no glob restricts nothing, so that no reader goes unnamed.
    return Read(name_in(name), place, glob if isinstance(glob, str) and is_glob(glob) else None) if place else None


def _address(text: object) -> LakeURI | None:
    try:
        return LakeURI.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _choose(wanted: LakeURI, candidates: list[Read], root: Path, given: str | None, machine: Machine) -> _Choice:
    if given is not None:
        check_endpoint(given, "--lake")
    try:
        with closing(open_the_lake(root, given, machine)) as lake:
            if (choice := _by_bytes(lake, wanted, candidates)) is not None:
                return choice
            choice = _by_commits(lake, wanted, candidates)
            nowhere = (
                wanted.path
                and ".." not in wanted.ref
                and not any(map(choice.chosen, candidates))
                and not _is_there(lake, wanted)
            )
    except NotFound:
        if _COMMIT.fullmatch(wanted.ref):  # a lake that has lost a commit does not unmake what was read
            return _by_name(wanted, ())
        raise
    except ReprolockError as error:
        return _by_name(wanted, (f"compared by names only, because the lake was not asked: {error.message}",))
    if nowhere:
        raise UsageError(
            f"nothing is at {wanted}, and nothing was there that a run has read",
            hint=f"see what is there with `reprolock data ls -r {wanted._replace(path='')}`",
        )
    return choice


def _is_there(lake: Lake, place: LakeURI) -> bool:
    try:
        return next(iter(lake.list(*place, few=True)), None) is not None
    except NotFound:
        return False


def _by_bytes(lake: Lake, wanted: LakeURI, candidates: Iterable[Read]) -> _Choice | None:
    """Where the address is one object: the runs that read these bytes at this path. None where it is not an object."""
    if not wanted.path or wanted.path.endswith("/") or ".." in wanted.ref:
        return None
    meant = _stat(lake, wanted)
    if meant is None:
        return None
    covering = {read.place.ref for read in candidates if _covers(read, wanted.path)}
    holding = {commit for commit in covering if _stat(lake, wanted.at(commit)) == meant}
    return _Choice(
        "the object's bytes, at any commit", lambda read: _covers(read, wanted.path) and read.place.ref in holding
    )


def _stat(lake: Lake, place: LakeURI) -> Object | None:
    try:
        return lake.stat(*place)
    except NotFound:
        return None


def _covers(read: Read, path: str) -> bool:
    return is_under(path, read.place.path) and matches(path, read.glob)


def _by_commits(lake: Lake, wanted: LakeURI, candidates: Iterable[Read]) -> _Choice:
    """The runs that read at the commits that are meant: something under the address, or a dataset around it that had something there."""
    repository, ref, path = wanted
    commits = {read.place.ref for read in candidates}
    old, dots, new = ref.partition("..")
    if dots:
        meant = _find_containing(lake, repository, new, commits) - _find_containing(lake, repository, old, commits)
        meaning = f"commits in {new} and not in {old}"
    elif _COMMIT.fullmatch(ref):
        meant, meaning = {ref}, "the commit"
    elif ref in lake.branches(repository):
        meant, meaning = _find_containing(lake, repository, ref, commits), f"commits in branch {ref}"
    else:
        commit = lake.resolve(repository, ref).id
        meant, meaning = {commit}, f"the commit {commit[:12]}"
    chosen = {
        read
        for read in candidates
        if read.place.ref in meant and _overlap(read, path) and _contained_object(lake, read, wanted)
    }
    return _Choice(_below(meaning, path), chosen.__contains__)


def _contained_object(lake: Lake, read: Read, wanted: LakeURI) -> bool:
    """Whether what was read held something under the address. A lake that has lost a commit does not unmake what was read."""
    if is_under(read.place.path.rstrip("/"), wanted.path):
        return True
    try:
        return any(_covers(read, item.path) for item in lake.list(*wanted.at(read.place.ref), few=True))
    except NotFound:
        return not _is_there(lake, read.place)


def _find_containing(lake: Lake, repository: str, ref: str, commits: set[str]) -> set[str]:
    """Those of `commits` that a ref's history has, merged branches included; it is walked no further than needed."""
    seen: set[str] = set()
    starts = [ref]
    while starts and not commits <= seen:
        for commit in lake.ancestors(repository, starts.pop()):
            if commit.id in seen:
                break
            seen.add(commit.id)
            starts += commit.parents[1:]
            if commits <= seen:
                break
    return commits & seen


def _by_name(wanted: LakeURI, remarks: tuple[str, ...]) -> _Choice:
    def chosen(read: Read) -> bool:
        return wanted.ref in (read.place.ref, read.declared) and _overlap(read, wanted.path)

    return _Choice(_below(f'runs that name "{wanted.ref}"', wanted.path), chosen, remarks)


def _overlap(read: Read, path: str) -> bool:
    return is_under(read.place.path.rstrip("/"), path) or is_under(path.rstrip("/"), read.place.path)


def _below(meaning: str, path: str) -> str:
    return f"{meaning}, under {path}" if path else meaning


def _reader(row: Row, reads: tuple[Read, ...], models: tuple[ModelVersion, ...]) -> Reader:
    replay_of = row.tags.get(REPLAY_OF_TAG)
    return Reader(
        row.run_id, row.experiment, row.name, row.status, row.started, replay_of, RUN_ID_TAG in row.tags, reads, models
    )


def describe(impact: Impact) -> Iterator[tuple[str, int]]:
    """How many there are of each kind: ("run", 2), ("replay", 1), ("registered model", 1)."""
    replays = sum(reader.replay_of is not None for reader in impact.readers)
    yield "run", len(impact.readers) - replays
    yield "replay", replays
    yield "registered model", len({model.name for reader in impact.readers for model in reader.models})
