"""`verify`: check that every pinned byte still exists, in the lake, the jar store and the environment.

Without `deep` a dataset is checked by its listing, which names every object's size and checksum; with it
every object is read. What has no checksum that can be computed again is counted apart, never as passed.
Packages are looked at as they are installed; where they are not, the environment is built from the wheels in
uv's cache, if they are all there.
"""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

from reprolock.environment.caches import cache_folder
from reprolock.environment.jvm.jar_store import JarStore
from reprolock.environment.jvm.java import check_pinned, find_java
from reprolock.environment.python.installed.drift import TO_INSTALL, drift
from reprolock.environment.python.installed.env_build import BuildForbidden
from reprolock.environment.python.installed.env_store import ANEW, changes_of, ensure, find
from reprolock.errors import Damaged, LockError, MachineError, NotFound, PinError, ServiceError
from reprolock.lake.open import open_lake
from reprolock.lake.protocol import Lake, Object
from reprolock.lake.transfer.transfer import transfer
from reprolock.model.content import SMALLEST_PART, Check, Mismatch
from reprolock.model.digest import summarise
from reprolock.model.lock import DatasetPin, EnvironmentPin, JarPin, JarsPin
from reprolock.steps.locking.datasets import listing
from reprolock.steps.locking.jars import jar_store
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.progress import SILENT, Progress
from reprolock.steps.project.project import read_project

_READERS = 16
_CHUNK = 2**20

State = Literal["ok", "gone", "changed", "unverifiable", "absent"]


class Verified(NamedTuple):
    """One pin against the world.

    `unverifiable` counts objects that were read, or would have been, and whose checksum cannot be computed
    again. "absent" is what is not on this machine and is fetched or built when it is needed: no problem.
    """

    kind: Literal["dataset", "jar", "environment", "java"]
    name: str
    state: State
    detail: str
    unverifiable: int = 0
    hint: str | None = None

    @property
    def fails(self) -> bool:
        """Whether a pinned thing is gone or has changed."""
        return self.state in ("gone", "changed")


def verify(
    root: Path, *, deep: bool = False, progress: Progress = SILENT, machine: Machine | None = None
) -> tuple[Verified, ...]:
    """One answer a dataset, environment and Java, one for all jars and one for each that is at fault.

    LockError without a lock; ServiceError when the lake is away.
    """
    machine = machine or Machine.here()
    root, spec, lock = read_project(root)
    if lock is None:
        raise LockError("no repro.lock beside repro.toml", hint="run `reprolock lock` and commit repro.lock")
    broken = [pin.name for pin in lock.dataset if not pin.intact]
    closures = (("jars", lock.jars), ("packages", lock.environment))
    broken += [name for name, closure in closures if closure is not None and not closure.intact]
    if broken:
        raise LockError(
            f"repro.lock was edited by hand: the seal of {', '.join(broken)} is broken",
            hint="run `reprolock lock` and commit repro.lock",
        )
    found: list[Verified] = []
    if lock.dataset:
        lake = open_lake(spec.lake.endpoint, root, machine.environ, machine.home)
        try:
            found += [_dataset(lake, pin, deep, progress) for pin in lock.dataset]
        finally:
            lake.close()
    if lock.jars is not None:
        found += _jars(lock.jars, jar_store(spec, machine))
    if lock.environment is not None:
        found.append(
            _environment(lock.environment, machine) if spec.environment.isolated else _interpreter(lock.environment)
        )
        if lock.environment.java is not None:
            found.append(_java(lock.environment.java, machine))
    return tuple(found)


def _dataset(lake: Lake, pin: DatasetPin, deep: bool, progress: Progress) -> Verified:
    place = pin.place
    try:
        objects = list(listing(lake, place, pin.glob))
    except (NotFound, PinError) as error:
        return Verified("dataset", pin.name, "changed" if isinstance(error, Damaged) else "gone", error.message)
    digest = summarise(objects, lake.scheme).digest
    if digest != pin.digest:
        same_scheme = digest.partition(":")[0] == pin.digest.partition(":")[0]
        said = f"the listing at {pin.commit[:12]} has digest {digest}, pinned {pin.digest}"
        return Verified(
            "dataset", pin.name, "changed" if same_scheme else "unverifiable", said, 0 if same_scheme else len(objects)
        )
    unverifiable = sum(item.content(lake.scheme).algorithm is None for item in objects)
    if not deep:
        return Verified("dataset", pin.name, "ok", f"listing of {len(objects)} at {pin.commit[:12]}", unverifiable)
    progress.expect(len(objects), sum(item.size for item in objects))
    problems: list[tuple[State, str]] = []
    opaque = 0
    with ThreadPoolExecutor(_READERS) as pool:
        for item, answer in zip(objects, pool.map(lambda item: _look(lake, pin, item), objects), strict=True):
            progress.advance(1, item.size)
            if isinstance(answer, tuple):
                problems.append(answer)
            else:
                opaque += not answer
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        return Verified("dataset", pin.name, problems[0][0], problems[0][1] + more, opaque)
    if opaque == len(objects):
        return Verified(
            "dataset",
            pin.name,
            "unverifiable",
            f"read {len(objects)}, none with a checksum to check it against",
            opaque,
        )
    return Verified("dataset", pin.name, "ok", f"read {len(objects)} at {pin.commit[:12]}", opaque)


def _look(lake: Lake, pin: DatasetPin, item: Object) -> bool | tuple[State, str]:
    """Whether the bytes were checked against a checksum; or what is wrong with them."""
    try:
        return _read(lake, pin, item)
    except Mismatch:
        address = pin.place._replace(path=item.path)
        return "changed", f"{address} does not have the bytes that the listing names"
    except Damaged as error:
        return "changed", error.message
    except (NotFound, PinError) as error:
        return "gone", error.message


def _read(lake: Lake, pin: DatasetPin, item: Object) -> bool:
    """Whether the bytes could be compared with a checksum. Mismatch, PinError or ServiceError."""
    place = pin.place
    try:
        if item.content(lake.scheme).algorithm == "md5" and item.size >= SMALLEST_PART:
            return _transferred(lake, pin, item)
        with lake.open(place.repository, place.ref, item.path) as stream:
            check = Check(item.content(lake.scheme))
            shutil.copyfileobj(stream, check, _CHUNK)
            return check.finish()
    except ServiceError:  # also where the store has fewer bytes than the listing names, which it can say itself
        return _transferred(lake, pin, item)


def _transferred(lake: Lake, pin: DatasetPin, item: Object) -> bool:
    """As `_read`, from the store below the lake where it gives addresses: what a checksum is over, it says beside the bytes."""
    steps = transfer(lake, pin.place, [item], lambda item, meaning: _Reading(Check(item.content(lake.scheme), meaning)))
    return all(answer for step in steps for answer in step.received)


class _Reading(NamedTuple):
    """An object on its way to its check alone."""

    check: Check

    def write(self, data: bytes) -> None:
        """The next bytes."""
        self.check.write(data)

    def end(self) -> bool:
        """Whether they could be compared with a checksum."""
        return self.check.finish()

    def drop(self) -> None:
        """Nothing is kept of them."""


def _jars(pin: JarsPin, store: JarStore) -> list[Verified]:
    with ThreadPoolExecutor(_READERS) as pool:
        answers = list(pool.map(lambda jar: _jar(jar, store.path(jar)), pin.jar))
    problems = [answer for answer in answers if answer.fails]
    absent = sum(answer.state == "absent" for answer in answers)
    whole = len(answers) - len(problems) - absent
    state: State = "ok" if whole or not answers else "absent"
    rest = f", {absent} not on this machine" if absent else ""
    return (
        [*problems, Verified("jar", f"{whole} of {len(answers)}", state, f"SHA-256 as pinned{rest}")]
        if answers
        else problems
    )


def _jar(jar: JarPin, path: Path) -> Verified:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return Verified("jar", jar.coordinate, "absent", "not on this machine; a run fetches it")
    except OSError as error:
        return Verified("jar", jar.coordinate, "gone", f"{path} cannot be read: {error.strerror}")
    if found != jar.sha256:
        said = f"{path} has SHA-256 {found[:12]}, pinned {jar.sha256[:12]}"
        return Verified("jar", jar.coordinate, "changed", said, hint=f"delete {path}; the next run downloads it again")
    return Verified("jar", jar.coordinate, "ok", "SHA-256 as pinned")


def _environment(pin: EnvironmentPin, machine: Machine) -> Verified:
    name, store = f"of {_packages(pin)}", cache_folder(machine.environ)
    try:
        built = find(pin, store, environ=machine.environ)
        if built is None:
            built = ensure(pin, store, offline=True, no_build=True, environ=machine.environ)
    except Damaged as error:
        return Verified("environment", name, "changed", error.message, hint=error.hints)
    except PinError as error:
        return Verified("environment", name, "gone", error.message, hint=error.hints)
    except (ServiceError, BuildForbidden):
        return Verified("environment", name, "absent", "not on this machine; a run builds it")
    except (MachineError, LockError) as error:
        return Verified("environment", name, "absent", error.message)
    if found := changes_of(built, hashing=True):
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        return Verified("environment", built.digest, "changed", found[0] + more, hint=ANEW)
    return Verified("environment", built.digest, "ok", f"{_packages(pin)} as built")


def _interpreter(pin: EnvironmentPin) -> Verified:
    name = "of this interpreter"
    failing = [difference for difference in drift(pin) if difference.fails]
    if failing:
        more = f", and {len(failing) - 1} more" if len(failing) > 1 else ""
        said = f"{failing[0].name} is {failing[0].found or 'not installed'}, locked {failing[0].locked}{more}"
        return Verified("environment", name, "changed", said, hint=TO_INSTALL)
    return Verified("environment", name, "ok", f"{_packages(pin)} as locked")


def _packages(pin: EnvironmentPin) -> str:
    return f"{len(pin.package)} package{'s' * (len(pin.package) != 1)}"


def _java(feature: str, machine: Machine) -> Verified:
    try:
        java = find_java(machine.environ)
        check_pinned(java, feature)
    except MachineError as error:
        return Verified("java", feature, "absent", error.message)
    return Verified("java", feature, "ok", str(java))
