"""`hold` for people: which commits a run or a lock pins, in which lake; and the hold that `[evidence] hold` makes for a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import UsageError
from reprolock.files.lock_file import NAME as LOCK
from reprolock.files.lock_file import parse_lock
from reprolock.lake.protocol import Lake
from reprolock.model.digest import sha256
from reprolock.model.record import Record
from reprolock.model.statement import HeldCommit, Hold
from reprolock.model.uri import LakeURI
from reprolock.steps.evidence.artifacts import artifacts_of, bring_home, open_mlflow
from reprolock.steps.evidence.attest import Attestor, open_attestor
from reprolock.steps.evidence.attestations import read_lines
from reprolock.steps.evidence.hold import Held, Pinned, Why, check_holds, end_of, hold, list_holds, release
from reprolock.steps.evidence.sign import own_time_stamps
from reprolock.steps.project.locate import open_the_lake
from reprolock.steps.project.machine import Machine
from reprolock.steps.recording.load import read_record
from reprolock.tracker.protocol import RECORD


class Target(NamedTuple):
    """What is held: the pins of a lock, or of a run, whose record and folder are known then."""

    pins: tuple[Pinned, ...]
    lock: str | None = None
    record: Record | None = None
    folder: Path | None = None


def hold_target(
    root: Path,
    target: str,
    *,
    until: str | None = None,
    period: str | None = None,
    reason: str | None = None,
    lake: str | None = None,
    warn: Callable[[str], None] = lambda sentence: None,
    machine: Machine | None = None,
) -> tuple[Held, ...]:
    """Hold what a run or a lock file pins. Where `REPROLOCK_SIGNING_KEY` names a key and the target is a signed run, the
    hold is stated too."""
    machine = machine or Machine.here()
    root = root.resolve()
    now = machine.now()
    end = end_of(until, period, now)
    attestor = open_attestor(machine, own_time_stamps(root))
    with _target(root, target, machine) as found, closing(open_the_lake(root, lake, machine)) as opened:
        why = Why(found.record.run_id if found.record else None, found.lock, reason)
        held = hold(opened, found.pins, end, why, now)
        before = read_lines(found.folder) if found.folder else []
        if attestor is not None and found.record is not None and found.folder is not None and before:
            line = hold_line(attestor, found.record, held, before, reason)
            with closing(open_mlflow(root, machine)) as mlflow:
                bring_home(root, found.record, line, mlflow, warn, found.folder)
    return held


def hold_list(
    root: Path, repositories: Sequence[str] = (), *, lake: str | None = None, machine: Machine | None = None
) -> tuple[Held, ...]:
    """Every hold of these repositories; of those that repro.lock pins, where none is named."""
    machine = machine or Machine.here()
    names = list(repositories)
    if not names:
        with _target(root.resolve(), LOCK, machine) as found:
            names = [pin.repository for pin in found.pins]
    with closing(open_the_lake(root, lake, machine)) as opened:
        return tuple(list_holds(opened, names, machine.now()))


def hold_check(
    root: Path, target: str = LOCK, *, lake: str | None = None, machine: Machine | None = None
) -> tuple[Held, ...]:
    """How each commit that a run or a lock pins is held now; what is not held is data here, `lost` makes the error of it."""
    machine = machine or Machine.here()
    with _target(root.resolve(), target, machine) as found, closing(open_the_lake(root, lake, machine)) as opened:
        return tuple(check_holds(opened, found.pins, machine.now()))


def hold_release(
    root: Path, target: str, *, force: bool = False, lake: str | None = None, machine: Machine | None = None
) -> tuple[Held, ...]:
    """Release what a run or a lock holds. UsageError before its time, unless forced."""
    machine = machine or Machine.here()
    with _target(root.resolve(), target, machine) as found, closing(open_the_lake(root, lake, machine)) as opened:
        return release(opened, found.pins, machine.now(), force=force)


def hold_for_run(lake: Lake, record: Record, period: str, machine: Machine, *, lock: str | None) -> tuple[Held, ...]:
    """What `[evidence] hold` does when a run has ended."""
    now = machine.now()
    return hold(lake, _pins(record), end_of(None, period, now), Why(record.run_id, lock), now)


def hold_line(
    attestor: Attestor, record: Record, held: Iterable[Held], before: Sequence[bytes], reason: str | None
) -> bytes:
    """The statement on a run's holds."""
    commits = [
        HeldCommit(repository=each.pin.repository, commit=each.pin.commit, branch=each.pin.branch, until=each.until)
        for each in held
        if each.until is not None
    ]
    said = Hold(**attestor.link(record.run_id, before).model_dump(), held=tuple(commits), reason=reason)
    subjects = {f"{each.repository}@{each.commit}": {"lakeCommit": each.commit} for each in commits}
    return attestor.state(subjects, said)


@contextmanager
def _target(root: Path, target: str, machine: Machine) -> Iterator[Target]:
    path = root / target
    if path.is_file():
        data = path.read_bytes()
        pins = [Pinned(pin.place.repository, pin.commit) for pin in parse_lock(data, path.name).dataset]
        yield Target(_some(pins, target), sha256(data))
        return
    if target == LOCK:
        raise UsageError(f"no {LOCK} in {root}", hint="run `reprolock lock`, or name a run")
    with artifacts_of(root, target, machine) as found:
        record = read_record(found.folder / RECORD)
        yield Target(_some(_pins(record), target), record.artifacts.get(LOCK), record, found.folder)


def _pins(record: Record) -> list[Pinned]:
    return [Pinned(LakeURI.parse(item.resolved).repository, item.commit) for item in record.datasets]


def _some(pins: list[Pinned], target: str) -> tuple[Pinned, ...]:
    if not pins:
        raise UsageError(
            f"{target} pins no data, so there is nothing to hold",
            hint="declare a dataset and run `reprolock lock`; `hold ls REPOSITORY` lists the holds of any repository",
        )
    return tuple(dict.fromkeys(pins))
