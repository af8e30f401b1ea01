"""Bring a recorded run into a folder of a replay's own: out of MLflow, a folder, or a bundle with all that it needs.

Nothing of it is executed, and of a bundle nothing but the record is unpacked before what was signed has been checked.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import tomlkit

from reprolock.errors import ReprolockError
from reprolock.files.atomic_write import OWN_FOLDER, own_folder, write_whole
from reprolock.files.object_cache import ObjectCache
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.steps.bundling.read import Bundle, Places, open_bundle
from reprolock.steps.evidence.artifacts import bundle_at, take_artifacts
from reprolock.steps.evidence.audit import require_consistent, require_trusted
from reprolock.steps.evidence.trust import Trust
from reprolock.steps.locking.jars import jar_store
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import Progress
from reprolock.steps.project.run_context import RunContext
from reprolock.steps.project.run_folders import REPLAYS, runs_folder
from reprolock.steps.recording.find_run import RunFinder, given_folder
from reprolock.steps.recording.load import Recorded, read_record, read_recorded
from reprolock.tracker.outbox import Outbox
from reprolock.tracker.protocol import ATTESTATIONS, RECORD, Tracker


class Packed(NamedTuple):
    """What came in a bundle: data, in a cache of its own (None: it was left out), and where uv finds the packages."""

    objects: ObjectCache | None
    uv_settings: Path

    def around(self, context: RunContext) -> RunContext:
        """The context of a replay from it: no service is asked for what it holds."""
        machine = context.machine
        environ = {**machine.environ, "UV_CONFIG_FILE": str(self.uv_settings)}
        return context._replace(
            machine=machine._replace(environ=environ), offline=self.objects is not None, objects=self.objects
        )


class Fetched(NamedTuple):
    """A record that agrees with its artifacts and with what was signed. `given` is the folder of artifacts that was named,
    `bundle` the bundle; None, where it was another."""

    recorded: Recorded
    given: Path | None = None
    bundle: Path | None = None
    packed: Packed | None = None


def fetch(run: str, finder: RunFinder, trust: Trust | None, progress: Progress, stack: ExitStack) -> Fetched:
    """The run's artifacts in a folder of this replay's own, compared with one another, with what was signed of them and,
    where MLflow has the run, with its tags. What a bundle holds beside them is there until `stack` is closed."""
    given = given_folder(finder.root, run)
    path = bundle_at(finder.root, run) if given is None else None
    if path is None:
        folder, tags = _artifacts(run, given, finder)
        return Fetched(_check(folder, tags, trust), given)
    bundle = stack.enter_context(open_bundle(path))
    folder = take_artifacts(bundle, _fresh(own_folder(finder.root) / REPLAYS, path.stem) / "recorded")
    recorded = _check(folder, _tags(finder.tracker, read_record(folder / RECORD).run_id), trust)
    place = folder.parent / "bundle"
    stack.callback(shutil.rmtree, place, ignore_errors=True)
    return Fetched(recorded, bundle=path, packed=_unpack(bundle, recorded, place, finder.machine, progress))


def _check(folder: Path, tags: Mapping[str, str] | None, trust: Trust | None) -> Recorded:
    if trust is not None:
        require_trusted(folder, trust)
    recorded = read_recorded(folder, folder.parent / "code", tags)
    if trust is None and (folder / ATTESTATIONS).exists():
        require_consistent(folder, recorded.record, recorded)
    return recorded


def _unpack(bundle: Bundle, recorded: Recorded, place: Path, machine: Machine, progress: Progress) -> Packed:
    """Every byte of a bundle, checked against its manifests and repro.lock. Jars go into this user's store, where each has its
    SHA-256 as its name; data does not go into this user's cache: a lake's checksums bind only whoever trusts the lake."""
    places = Places(ObjectCache(place / "data", hashing=True), place / "packages", place / "jars")
    progress.step("Checking the bundle")
    try:
        for folder in (places.packages, places.jars):
            folder.mkdir(parents=True)
    except OSError as error:
        raise cannot_write(place, error) from error
    bundle.unpack(recorded, places)
    if recorded.lock.jars is not None:
        store = jar_store(recorded.spec, machine)
        for jar in recorded.lock.jars.jar:
            store.add(jar.coordinate, places.jars / jar.file_name)
    settings = place / "uv.toml"
    write_whole(settings, tomlkit.dumps({"no-index": True, "find-links": [str(places.packages)]}).encode())
    return Packed(None if bundle.thin else places.cache, settings)


def _artifacts(run: str, given: Path | None, finder: RunFinder) -> tuple[Path, Mapping[str, str] | None]:
    """A copy of the run's artifacts, and its tags where MLflow has the run. A run of this folder comes from MLflow all the
    same, for what its tags repeat, unless its record still waits for `reprolock sync`."""
    tracker = finder.tracker
    replays = own_folder(finder.root) / REPLAYS
    if given is not None:
        run_id = read_record(given / RECORD).run_id
        return _copy(given, _fresh(replays, run_id) / "recorded"), _tags(tracker, run_id)
    if (own := finder.own(run)) is not None and Outbox(own_folder(finder.root) / "outbox").has(own.run_id):
        kept = runs_folder(finder.root) / own.run_id
        return _copy(kept, _fresh(replays, own.run_id) / "recorded"), None
    run_id = finder.tracked(run)
    return tracker.download(run_id, _fresh(replays, run_id) / "recorded"), tracker.tags(run_id)


def _tags(tracker: Tracker, run_id: str) -> Mapping[str, str] | None:
    """The tags of a run whose artifacts came as a folder, None where this MLflow does not have it."""
    try:
        return tracker.tags(tracker.find(run_id))
    except ReprolockError:
        return None


def _copy(folder: Path, target: Path) -> Path:
    """The files of a folder; what else may be in it is none of a record's, and no link is followed to what is not its own."""
    try:
        for here, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name != OWN_FOLDER]  # a replay in this very folder
            for path in (Path(here, name) for name in names):
                if path.is_file() and not path.is_symlink():
                    copy = target / path.relative_to(folder)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, copy)
    except OSError as error:
        raise cannot_read(folder, error) from error
    return target


def _fresh(folder: Path, name: str) -> Path:
    """A folder for this replay, numbered: two replays of a run never meet."""
    number = 1
    while True:
        made = folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:12]}-{number}"
        try:
            made.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return made
