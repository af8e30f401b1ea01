"""Write a bundle: the artifacts of a run, its data, packages and jars, in one pass, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, NamedTuple

from reprolock import __version__
from reprolock.environment.caches import cache_folder
from reprolock.environment.python.resolving.package_files import NAMES, choose_files, fetch_file
from reprolock.errors import MachineError, UsageError
from reprolock.files.atomic_write import sync_folder
from reprolock.files.build_folder import scratch
from reprolock.files.object_cache import ObjectCache
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.files.stored_zip import MOST_MEMBERS, StoredZip, chunks_of
from reprolock.lake.protocol import Lake, Object
from reprolock.model.content import Check, Content, Mismatch
from reprolock.model.digest import listing_line, sha256
from reprolock.model.lock import DatasetPin
from reprolock.model.record import Record
from reprolock.parts import needed
from reprolock.steps.bundling import layout
from reprolock.steps.inputs.fetch import Source
from reprolock.steps.inputs.materialise import pinned_listing
from reprolock.steps.locking.jars import jar_store
from reprolock.steps.locking.python import project_indexes
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import Progress
from reprolock.steps.recording.load import Recorded
from reprolock.tracker.protocol import ATTESTATIONS


class Dataset(NamedTuple):
    """A pinned dataset: its objects as they are listed, and the bytes of each in the cache."""

    pin: DatasetPin
    items: Sequence[Object]
    contents: Mapping[str, Content]


class Written(NamedTuple):
    """What a bundle holds; `bytes` is the file's size, `objects` are counted once each, `left_out` of them are not in it."""

    file: Path
    bytes: int
    objects: int
    packages: int
    jars: int
    left_out: int


def write_bundle(
    target: Path,
    recorded: Recorded,
    artifacts: Path,
    lake: Callable[[], Lake],
    machine: Machine,
    progress: Progress,
    *,
    platforms: Sequence[str] = (),
    thin: bool = False,
    root: Path,
) -> Written:
    """Fetch what is not on this machine, then write. `artifacts` is the folder of the run's; `lake` opens the lake where it is
    asked; `thin` leaves the objects out and lists them.

    UsageError where the target is there, or more than a bundle can hold; PinError for what is gone or other than pinned;
    MachineError where the disk is full.
    """
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already", hint="name a new file with -o, or remove that one")
    cache = ObjectCache(cache_folder(machine.environ) / "objects")
    packages = _packages(recorded, platforms, cache, machine, progress, root)
    lock = recorded.lock
    jars = jar_store(recorded.spec, machine).files(lock.jars, progress=None) if lock.jars else ()
    datasets = _datasets(recorded, cache, lake, progress)
    objects = sum(len(set(item.contents.values())) for item in datasets)
    count = objects + len(packages) + len(jars) + 32
    if count > MOST_MEMBERS:
        raise UsageError(
            f"the run needs {count} files, and a bundle holds at most {MOST_MEMBERS}",
            hint="keep its lake, and hold its commits there (`reprolock hold`)",
        )
    with tempfile.TemporaryDirectory(prefix="reprolock-") as folder:
        parts = {"datasets/": datasets, "objects/": not thin and objects, "packages/": packages, "jars/": jars}
        described = _describe(
            recorded.record, artifacts, Path(folder) / "crate", [name for name in parts if parts[name]]
        )
    try:
        with scratch(target.parent, target.name) as beside:
            with open(beside / "bundle", "xb") as file:
                with closing(_Bundle(file, cache, progress)) as bundle:
                    written = bundle.fill(recorded, artifacts, described, datasets, packages, jars, thin)
                    bundle.close_bag(recorded.record, ",".join(platforms) or recorded.record.environment.platform)
                file.flush()
                os.fsync(file.fileno())
            # Never over a file that came to be there meanwhile.
            os.link(beside / "bundle", target)
            sync_folder(target.parent)
    except OSError as error:
        raise cannot_write(target, error) from error
    return written._replace(file=target, bytes=target.stat().st_size)


def _packages(
    recorded: Recorded, platforms: Sequence[str], cache: ObjectCache, machine: Machine, progress: Progress, root: Path
) -> dict[str, Content]:
    """Name and bytes of each file of the locked environment."""
    for name in platforms:
        if name not in NAMES:
            raise UsageError(
                f'--platform: "{name}" is not a platform of a lock', hint=f"name one of {', '.join(NAMES)}"
            )
    pin = recorded.lock.environment
    if pin is None or not recorded.spec.environment.isolated:
        return {}
    indexes = project_indexes(recorded.spec, root, machine)
    progress.step("Fetching packages")
    chosen = choose_files(pin, platforms, environ=machine.environ, indexes=indexes)
    return {file.name: fetch_file(file, cache, machine.environ, indexes) for file in chosen}


def _datasets(recorded: Recorded, cache: ObjectCache, lake: Callable[[], Lake], progress: Progress) -> list[Dataset]:
    pins = recorded.lock.dataset
    if not pins:
        return []
    opened = lake()
    listed = [(pin, pinned_listing(opened, pin, cache)) for pin in pins]
    objects = [item for _, items in listed for item in items]
    progress.expect(2 * len(objects), 2 * sum(item.size for item in objects))
    datasets = []
    for pin, items in listed:
        progress.step(f"Fetching dataset {pin.name}")
        source = Source(opened, pin.place, pin.digest.partition(":")[0], cache, f"dataset {pin.name}", progress)
        contents = source.held(items)
        contents |= source.fetch([item for item in items if item.path not in contents])
        datasets.append(Dataset(pin, items, contents))
    return datasets


_FOLDERS = {
    "datasets/": "The listings of the datasets, and the SHA-256 of each object",
    "objects/": "The objects of the datasets, each named by its SHA-256",
    "packages/": "The Python packages of the locked environment",
    "jars/": "The jars of Spark",
}


def _describe(record: Record, artifacts: Path, folder: Path, folders: Sequence[str]) -> bytes:
    """ro-crate-metadata.json, by the library of the standard. `folders` are those that the bundle has: a crate names no other."""
    with needed("export", "a bundle"):
        from reprolock.standards.ro_crate import write_crate
    write_crate(record, artifacts, folder, {name: _FOLDERS[name] for name in folders})
    return (folder / "ro-crate-metadata.json").read_bytes()


class _Bundle:
    """A bag on its way into a file."""

    def __init__(self, file: BinaryIO, cache: ObjectCache, progress: Progress) -> None:
        self._zip = StoredZip(file)
        self._cache = cache
        self._progress = progress
        self._left_out: dict[str, layout.Fetch] = {}
        self._digests: dict[Content, str] = {}
        self._bytes = 0

    def close(self) -> None:
        self._zip.close()

    def fill(
        self,
        recorded: Recorded,
        artifacts: Path,
        described: bytes,
        datasets: Sequence[Dataset],
        packages: Mapping[str, Content],
        jars: Sequence[Path],
        thin: bool,
    ) -> Written:
        """Everything below data/."""
        self._progress.step("Writing the bundle")
        names = sorted({*recorded.record.artifacts, "record.json", ATTESTATIONS})
        for name in (name for name in names if (artifacts / name).is_file()):
            self._add(layout.ARTIFACTS + name, artifacts / name)
        self._put(layout.CRATE, described)
        for dataset in datasets:
            self._add_dataset(dataset, thin)
        for name, content in packages.items():
            self._add(layout.PACKAGES + name, self._cached(content), content)
        pins = recorded.lock.jars.jar if recorded.lock.jars else ()
        for pin, path in zip(pins, jars, strict=True):
            self._add(layout.JARS + pin.file_name, path, Content("sha256", pin.sha256, pin.bytes))
        objects = len(set(self._digests.values()))
        return Written(Path(), 0, objects, len(packages), len(jars), len(self._left_out))

    def close_bag(self, record: Record, platforms: str) -> None:
        """The tag files, which name all that is there, and the directory."""
        payload = dict(self._zip.digests)
        size = self._bytes + sum(item.size for item in self._left_out.values())
        payload |= {name: name.removeprefix(layout.OBJECTS) for name in self._left_out}
        info = layout.Info(record.run_id, __version__, platforms, size, len(payload))
        tags = {
            layout.BAGIT: layout.DECLARATION,
            layout.INFO: info.encoded(),
            layout.MANIFEST: layout.manifest(payload),
            **({layout.FETCH: layout.fetch_list(self._left_out.values())} if self._left_out else {}),
        }
        for name, data in tags.items():
            self._zip.add(name, [data])
        self._zip.add(layout.TAGMANIFEST, [layout.manifest({name: sha256(data) for name, data in tags.items()})])
        self._zip.finish()

    def _add_dataset(self, dataset: Dataset, thin: bool) -> None:
        lines = []
        scheme = dataset.pin.digest.partition(":")[0]
        for item in dataset.items:
            content = dataset.contents[item.path]
            if (digest := self._digests.get(content)) is None:
                digest = self._leave_out(dataset.pin, item, content) if thin else self._add_object(content)
                self._digests[content] = digest
            lines.append(digest + ("" if content.scheme == scheme else f"  {layout.OPAQUE}") + "\n")
        listing, digests = layout.listing_names(dataset.pin)
        self._put(listing, b"".join(listing_line(*item) for item in dataset.items))
        self._put(digests, "".join(lines).encode())

    def _add_object(self, content: Content) -> str:
        return self._add(None, self._cached(content), content)

    def _leave_out(self, pin: DatasetPin, item: Object, content: Content) -> str:
        path = self._cached(content)
        state = hashlib.sha256()
        with _reading(path) as file:
            for chunk in chunks_of(file):
                state.update(chunk)
        digest = state.hexdigest()
        name = layout.object_name(digest)
        self._left_out[name] = layout.Fetch(str(pin.place._replace(path=item.path)), item.size, name)
        return digest

    def _cached(self, content: Content) -> Path:
        path = self._cache.path(content)
        assert path is not None  # the cache named it
        return Path(path)

    def _add(self, name: str | None, path: Path, content: Content | None = None) -> str:
        """A file, checked against what names its bytes as they pass."""
        check = Check(content) if content else None
        with _reading(path) as file:
            before = len(self._zip.digests)
            try:
                digest = self._zip.add(
                    name, self._counted(file), named=layout.object_name, also=check.write if check else None
                )
                if content and check and not check.finish():
                    _check_again(path, content)
            except Mismatch:
                raise MachineError(
                    f"{path} in the cache has changed since it was fetched",
                    hint="remove that file and try again: it will be fetched again",
                ) from None
            if len(self._zip.digests) > before:
                self._bytes += file.tell()
        return digest

    def _counted(self, file: BinaryIO) -> Iterator[bytes]:
        for chunk in chunks_of(file):
            yield chunk
            self._progress.advance(0, len(chunk))

    def _put(self, name: str, data: bytes) -> None:
        self._zip.add(name, [data] if data else [])
        self._bytes += len(data)


def _check_again(path: Path, content: Content) -> None:
    """Mismatch for an object that no size of an upload's parts makes to what its lake names."""
    check = Check(content, "computable")
    with _reading(path) as file:
        for chunk in chunks_of(file):
            check.write(chunk)
    if not check.finish():
        raise Mismatch


def _reading(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise cannot_read(path, error) from error
