"""Open a bundle: foreign input, of which nothing is believed and nothing is executed.

1. The file is one that reprolock writes, byte by byte (`files.stored_zip`), and names what a bundle may hold alone.
2. The manifests name every file that is there, by the SHA-256 of its bytes.
3. `unpack` reads each file once: its SHA-256, and for data, packages and jars that they are what repro.lock pins.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NamedTuple, Protocol

from reprolock.errors import NotReplayable
from reprolock.files.object_cache import Draft, ObjectCache
from reprolock.files.os_errors import cannot_read, cannot_write
from reprolock.files.stored_zip import BadArchive, Member, read_directory, read_member
from reprolock.lake.protocol import Object
from reprolock.model.content import Check, Content, Mismatch
from reprolock.model.digest import sha256
from reprolock.model.lock import DatasetPin, Lock
from reprolock.model.uri import check_path, is_under
from reprolock.model.words import counted
from reprolock.steps.bundling import layout
from reprolock.steps.inputs.opaque import note_opaque
from reprolock.steps.recording.load import Recorded
from reprolock.tracker.protocol import ATTESTATIONS, RECORD

_HINT = "get the bundle again from its author"
_LARGEST_ARTIFACT = 1 << 30


class Unpacked(NamedTuple):
    """What was read, and is what the manifests and repro.lock say: objects are counted once each.

    `held`: the names of the packages of which there is a file. `unproven`: how many objects of a dataset nothing but the bundle
    itself names, for their checksum in the lake says nothing about their bytes.
    """

    objects: int
    packages: int
    jars: int
    held: frozenset[str] = frozenset()
    unproven: Mapping[str, int] = MappingProxyType({})


class Places(NamedTuple):
    """Where a bundle's parts go: objects into a cache of their own, packages and jars into folders."""

    cache: ObjectCache
    packages: Path
    jars: Path


class Bundle:
    """A bundle whose directory and manifests are whole; of the files' bytes nothing is known yet."""

    def __init__(self, path: Path, file: BinaryIO, members: Mapping[str, Member], digests: Mapping[str, str]) -> None:
        self.path = path
        self._file = file
        self._members = members
        self._digests = digests
        self.thin = layout.FETCH in members

    def artifacts(self, folder: Path) -> Path:
        """The run's artifacts, written into a new folder."""
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name, member in self._members.items():
                if layout.is_artifact(name):
                    if member.size > _LARGEST_ARTIFACT:
                        raise _bad(self.path, f"{name} is larger than {_LARGEST_ARTIFACT >> 20} MiB")
                    with open(folder / name.removeprefix(layout.ARTIFACTS), "xb") as target:
                        self._copy(member, [target])
        return folder

    def unpack(self, recorded: Recorded, places: Places | None) -> Unpacked:
        """Read every byte, and check it against manifests and lock; `places` None: nothing is written.

        NotReplayable with the first file that is not what is said of it, or of which nothing is said.
        """
        lock = recorded.lock
        if layout.read_info(self._read(layout.INFO)).get("External-Identifier") != layout.identifier(
            recorded.record.run_id
        ):
            raise _bad(self.path, f"{layout.INFO} is that of another run")
        artifacts = {layout.ARTIFACTS + name for name in (*recorded.record.artifacts, RECORD, ATTESTATIONS)}
        unproven: dict[str, int] = {}
        objects = self._named_objects(recorded, places, unproven)
        packages = _packages(lock)
        jars = {pin.file_name: pin.sha256 for pin in (lock.jars.jar if lock.jars else ())}
        found = {name: digest for name, digest in self._digests.items() if name in self._members}
        for name, member in self._members.items():
            folder = name.rpartition("/")[0] + "/"
            short = name.removeprefix(folder)
            if folder == layout.OBJECTS:
                if short not in objects:
                    raise _bad(self.path, f"{name} belongs to no dataset")
                self._object(member, objects[short], places)
            elif folder == layout.PACKAGES:
                if found[name] not in packages:
                    raise _bad(self.path, f"{name} is not a file that repro.lock pins")
                self._file_to(member, places and places.packages / short)
            elif folder == layout.JARS:
                if jars.get(short) != found[name]:
                    raise _bad(self.path, f"{name} is not a jar that repro.lock pins")
                self._file_to(member, places and places.jars / short)
            elif layout.is_artifact(name) and name not in artifacts:
                raise _bad(self.path, f"{name} is not an artifact of the run")
            else:
                self._copy(member, [])
        held = [name for name in jars if layout.JARS + name not in self._members]
        lost = [name for name in objects if layout.object_name(name) not in self._digests]
        if lost or held:
            what = layout.object_name(lost[0]) if lost else layout.JARS + held[0]
            raise _bad(self.path, f"{what} is missing, which repro.lock pins")
        files = {digest for name, digest in found.items() if name.startswith(layout.PACKAGES)}
        pins = lock.environment.package if lock.environment else ()
        named = frozenset(pin.name for pin in pins if not files.isdisjoint(pin.hashes))
        count = sum(name.startswith(layout.PACKAGES) for name in found)
        return Unpacked(len(objects), count, len(jars), named, unproven)

    def _named_objects(
        self, recorded: Recorded, places: Places | None, unproven: dict[str, int]
    ) -> dict[str, set[Content]]:
        """SHA-256 → how lakes name the object. The listings are put into the cache, where they prove themselves."""
        objects: dict[str, set[Content]] = defaultdict(set)
        given = {item.name: item for item in recorded.record.datasets}
        for pin in recorded.lock.dataset:
            scheme, _, digest = pin.digest.partition(":")
            listing, digests = (self._read(name) for name in layout.listing_names(pin))
            if sha256(listing) != digest:
                raise _bad(self.path, f"the listing of dataset {pin.name} is not the one that repro.lock pins")
            items = self._items(pin, listing)
            if (len(items), sum(item.size for item in items)) != (pin.objects, pin.bytes):
                raise _bad(self.path, f"the listing of dataset {pin.name} is not of as much as repro.lock says")
            lines = digests.decode("latin-1").splitlines()
            if len(lines) != len(items):
                raise _bad(
                    self.path, f"dataset {pin.name} has {counted(len(items), 'object')}, and {len(lines)} are named"
                )
            if places is not None:
                places.cache.write_note(pin.digest.encode(), listing)
            for item, line in zip(items, lines, strict=True):
                named, _, opaque = line.partition("  ")
                recorded_sha256 = given[pin.name].sha256.get(item.path)
                if recorded_sha256 not in (None, named):
                    raise _bad(self.path, f"the object {item.path} is not the one that the run was given")
                if opaque == layout.OPAQUE:
                    # An ETag may be no MD5 of the bytes.
                    computable = item.content(scheme).algorithm not in (None, "md5")
                    if computable or (recorded_sha256 is None and given[pin.name].copied):
                        raise _bad(self.path, f"the object {item.path} is not named by its own checksum")
                    if recorded_sha256 is None:
                        unproven[pin.name] = unproven.get(pin.name, 0) + 1
                    known = Content("sha256", named, item.size)
                    objects[named].add(known)
                    if places is not None:
                        note_opaque(places.cache, scheme, pin.place.repository, item, known)
                else:
                    objects[named].add(item.content(scheme))
        return objects

    def _items(self, pin: DatasetPin, listing: bytes) -> list[Object]:
        """The objects of a listing. Its digest says that the author pinned it, not that its names stay in a folder."""
        try:
            items = [Object(*fields) for fields in json.loads(b"[" + b",".join(listing.splitlines()) + b"]")]
            for item in items:
                check_path(item.path)
                if not is_under(item.path, pin.place.path) or type(item.size) is not int or item.size < 0:
                    raise ValueError(f'"{item.path[:80]}" is not below {pin.place}')
                item.checksum.encode("ascii")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise _bad(self.path, f"the listing of dataset {pin.name} is none: {error}") from None
        return items

    def _object(self, member: Member, contents: set[Content], places: Places | None) -> None:
        """An object, checked against each name that lakes give it, and put into the cache under each.

        A name that the usual sizes of an upload's parts do not make is tried again with all others: where none does, it says
        nothing of these bytes, and whoever wrote the bundle would have had to say so.
        """
        named = sorted(contents)
        checks = [Check(content) for content in named]
        drafts: list[Draft] = []
        try:
            if places is not None:
                drafts = [places.cache.draft() for _ in named]
            self._copy(member, [*checks, *drafts])
            unsure = [content for content, check in zip(named, checks, strict=True) if not check.finish()]
            again = [Check(content, "computable") for content in unsure]
            if again:
                self._copy(member, [*again])
            if not all([check.finish() for check in again]):
                raise Mismatch
            for content, draft in zip(named, drafts, strict=False):
                draft.keep(content)
        except BaseException as error:
            for draft in drafts:
                draft.drop()
            if isinstance(error, Mismatch):
                raise _bad(self.path, f"{member.name} is not the object that its dataset lists") from None
            raise

    def _file_to(self, member: Member, target: Path | None) -> None:
        if target is None:
            return self._copy(member, [])
        with _writing(target), open(target, "xb") as file:
            self._copy(member, [file])

    def _read(self, name: str) -> bytes:
        if name not in self._members:
            raise _bad(self.path, f"{name} is missing")
        if self._members[name].size > _LARGEST_ARTIFACT:
            raise _bad(self.path, f"{name} is larger than {_LARGEST_ARTIFACT >> 20} MiB")
        text = BytesIO()
        self._copy(self._members[name], [text])
        return text.getvalue()

    def _copy(self, member: Member, targets: list[_Target]) -> None:
        """The bytes of a member to each target; NotReplayable where they are not those of the manifest."""
        state = hashlib.sha256()
        try:
            for chunk in read_member(self._file, member):
                state.update(chunk)
                for target in targets:
                    target.write(chunk)
        except BadArchive as error:
            raise _bad(self.path, str(error)) from None
        expected = self._digests.get(member.name)
        if expected is not None and state.hexdigest() != expected:
            raise _bad(self.path, f"{member.name} is not what its manifest lists")


class _Target(Protocol):
    def write(self, data: bytes, /) -> int: ...


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """A bundle whose directory and manifests are whole. NotReplayable, in a sentence, for anything else."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
            members = {member.name: member for member in read_directory(file)}
        except BadArchive as error:
            raise _bad(path, str(error)) from None
        except OSError as error:
            raise cannot_read(path, error) from error
        yield Bundle(path, file, members, _check_manifests(path, file, members))


def _check_manifests(path: Path, file: BinaryIO, members: Mapping[str, Member]) -> dict[str, str]:
    """Every file's SHA-256, by the manifests: files and manifests name one another."""
    for name in members:
        if not layout.is_known(name):
            raise _bad(path, f'it names "{name}", which no bundle has')
    for name in (layout.BAGIT, layout.INFO, layout.MANIFEST, layout.TAGMANIFEST):
        if name not in members:
            raise _bad(path, f"{name} is missing")
    texts = {name: _text(path, file, members[name]) for name in (layout.TAGMANIFEST, layout.MANIFEST, layout.INFO)}
    tags = _manifest(path, layout.TAGMANIFEST, texts[layout.TAGMANIFEST])
    payload = _manifest(path, layout.MANIFEST, texts[layout.MANIFEST])
    for name in (layout.MANIFEST, layout.INFO):
        if tags.get(name) != sha256(texts[name]):
            raise _bad(path, f"{name} is not what {layout.TAGMANIFEST} lists")
    version = layout.read_info(texts[layout.INFO]).get("Reprolock-Bundle-Version")
    if version != layout.VERSION:
        raise NotReplayable(
            f"{path} was written by a newer reprolock", hint="install the newest reprolock and try again"
        )
    listed = {**payload, **tags}
    if extra := sorted(members.keys() - listed.keys() - {layout.TAGMANIFEST}):
        raise _bad(path, f"{extra[0]} is there, and no manifest lists it")
    if lost := sorted(listed.keys() - members.keys() - _left_out(path, file, members)):
        raise _bad(path, f"{lost[0]} is missing, which a manifest lists")
    return listed


def _left_out(path: Path, file: BinaryIO, members: Mapping[str, Member]) -> set[str]:
    """What fetch.txt says is not in the bundle: objects alone."""
    if layout.FETCH not in members:
        return set()
    lines = _text(path, file, members[layout.FETCH]).decode("utf-8", "replace").splitlines()
    return {name for line in lines if (name := line.rpartition(" ")[2]).startswith(layout.OBJECTS)}


def _text(path: Path, file: BinaryIO, member: Member) -> bytes:
    if member.size > _LARGEST_ARTIFACT:
        raise _bad(path, f"{member.name} is larger than {_LARGEST_ARTIFACT >> 20} MiB")
    with suppress(BadArchive):
        return b"".join(read_member(file, member))
    raise _bad(path, f"{member.name} was changed")


def _manifest(path: Path, name: str, data: bytes) -> dict[str, str]:
    try:
        lines = list(layout.read_manifest(data))
    except ValueError as error:
        raise _bad(path, f"{name} is not a manifest: {error}") from None
    found = dict(lines)
    if len(found) != len(lines):
        raise _bad(path, f"{name} lists a file twice")
    return found


def _packages(lock: Lock) -> set[str]:
    pins = (*lock.environment.package, *lock.environment.build) if lock.environment else ()
    return {value for pin in pins for value in pin.hashes}


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def _bad(path: Path, reason: str) -> NotReplayable:
    return NotReplayable(f"{path} is not taken: {reason}", hint=_HINT)
