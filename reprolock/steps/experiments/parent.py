"""The MLflow run that a sweep's runs are nested in, and the runs that an earlier call of the same sweep has finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from reprolock.model.digest import digest_of
from reprolock.model.placeholders import as_argument
from reprolock.model.record import Record
from reprolock.model.uri import LakeURI
from reprolock.steps.locking.overrides import WhatIf
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_folders import local_heads, read_record, runs_folder
from reprolock.tracker.protocol import RECORD, SWEEP_TAG, Tracker


class ParentRun(NamedTuple):
    """MLflow's run without a record of its own."""

    tracker: Tracker
    run_id: str
    machine: Machine

    @classmethod
    def of(cls, tracker: Tracker, experiment: str, name: str, asked: str, machine: Machine) -> ParentRun:
        """The one of the same sweep, where there was a call before; else a new one."""
        found = tracker.runs(experiment, tags={SWEEP_TAG: asked}, limit=1, recorded=False)
        if found:
            return cls(tracker, found[0].run_id, machine)
        run_id = tracker.create(experiment, name, machine.now())
        tracker.tag(run_id, {SWEEP_TAG: asked})
        return cls(tracker, run_id, machine)

    def finish(self, status: str) -> None:
        """What its runs came to."""
        self.tracker.finish(self.run_id, status, self.machine.now())


class Earlier:
    """The finished runs of this folder that are nested in a parent, by their combination; of those only what `counts`."""

    def __init__(self, root: Path, parent: str, counts: Callable[[Record], bool]) -> None:
        self._found: dict[str, Record] = {}
        for head in local_heads(root):
            if head.parent == parent and head.status == "FINISHED":
                record = read_record(runs_folder(root) / head.run_id / RECORD)
                if record is not None and counts(record):
                    data = {item.name: LakeURI.parse(item.uri).ref for item in record.datasets if item.what_if}
                    self._found.setdefault(combination_of(record.what_if, data), record)

    def finished(self, what_if: WhatIf) -> Record | None:
        """The run of a combination; of several the newest."""
        return self._found.get(combination_of(what_if.params, what_if.data))


def as_recorded(params: Mapping[str, Any]) -> dict[str, Any]:
    """Params as record.json has them: JSON knows no dates and no NaN."""
    plain: dict[str, Any] = from_json(to_json(dict(params), inf_nan_mode="strings"))
    return plain


def combination_of(params: Mapping[str, Any], data: Mapping[str, str]) -> str:
    """One text for one combination, also where the params come back from a record, in which a date and a NaN are texts."""
    plain = as_recorded(params)
    return digest_of(
        {
            "params": {
                name: [type(value).__name__ if isinstance(value, bool | int | float) else "", as_argument(value)]
                for name, value in plain.items()
            },
            "data": dict(data),
        }
    )
