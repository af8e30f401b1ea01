"""`same-data`: say whether runs used the same data, or what differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import NotReplayable, UsageError
from reprolock.model.record import DatasetRecord, Record
from reprolock.model.words import counted
from reprolock.steps.project.machine import Machine
from reprolock.steps.recording.find_run import RunFinder, given_folder
from reprolock.steps.recording.load import check_seal, read_record
from reprolock.tracker.protocol import RECORD


class SameData(NamedTuple):
    """True where every run was given the same bytes under the same names; `differences` are sentences."""

    runs: tuple[Record, ...]
    differences: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.differences


def same_data(
    *runs: str, root: Path = Path(), tracking_uri: str | None = None, machine: Machine | None = None
) -> SameData:
    """`assert reprolock.same_data("3f9c2d1e", "8e21f0b7")`: runs by their names, or folders with a record.json.

    Data is the same where the digests over path, size and checksum of every object are: at another commit, or on
    another branch, it may be. How it was read is not looked at; `diff` shows that. UsageError for fewer than two
    runs; NotReplayable (exit 7) where a record was changed, where a run declares no dataset, and for digests of
    two schemes, which cannot be compared.
    """
    if len(runs) < 2:
        raise UsageError("a comparison needs more than one run", hint="name two runs or more")
    machine = machine or Machine.here()
    root = root.resolve()
    with RunFinder(root, machine, tracking_uri) as finder:
        records = tuple(_record(run, finder) for run in runs)
    if empty := [record.run_id for record in records if not record.datasets]:
        raise NotReplayable(
            f"run {empty[0][:8]} declares no dataset, so nothing is known of its data", hint="name other runs"
        )
    first, *others = records
    return SameData(records, tuple(sentence for other in others for sentence in _differences(first, other)))


def _record(run: str, finder: RunFinder) -> Record:
    """record.json as it was written: checked against its seal, and against MLflow's tags where it comes from there."""
    if (folder := given_folder(finder.root, run)) is not None:
        record = read_record(folder / RECORD)
        check_seal(record, None)
        return record
    run_id = finder.tracked(run)
    record = finder.tracker.read(run_id)
    check_seal(record, finder.tracker.tags(run_id))
    return record


def _differences(one: Record, other: Record) -> Iterator[str]:
    before, after = ({item.name: item for item in record.datasets} for record in (one, other))
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"{name} is only in run {one.run_id[:8]}"
        elif name not in before:
            yield f"{name} is only in run {other.run_id[:8]}"
        elif before[name].digest != after[name].digest:
            _check_schemes(before[name], after[name])
            yield f"{name} is {_display(before[name])} in run {one.run_id[:8]}, {_display(after[name])} in run {other.run_id[:8]}"


def _check_schemes(one: DatasetRecord, other: DatasetRecord) -> None:
    schemes = [item.digest.partition(":")[0] for item in (one, other)]
    if schemes[0] != schemes[1]:
        raise NotReplayable(
            f"dataset {one.name} has a {schemes[0]} digest in one run and a {schemes[1]} digest in another: "
            "the checksums of two kinds of lake cannot be compared",
            hint="compare runs that read the same lake",
        )


def _display(item: DatasetRecord) -> str:
    place = item.uri.removeprefix("lakefs://").split("/")
    return f"{place[0]} {item.commit[:12]} ({counted(item.objects, 'object')}, {item.bytes} B)"
