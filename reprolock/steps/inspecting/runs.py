"""`runs`: the project's past runs, newest first: those that MLflow has, and those that only this folder has."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from reprolock.errors import ServiceError
from reprolock.files.spec_file import NAME as SPEC
from reprolock.files.spec_file import read_spec
from reprolock.model.history import Inputs, PastRun, with_changes
from reprolock.model.record import Record
from reprolock.steps.project.locate import which_mlflow
from reprolock.steps.project.machine import Machine
from reprolock.steps.project.run_folders import RunHead, local_records
from reprolock.tracker import open_tracker
from reprolock.tracker.encoding.params import flatten
from reprolock.tracker.protocol import PARENT_TAG, REPLAY_OF_TAG, RUN_ID_TAG, Row

_MOST_METRICS = 3
_VERDICT = "reprolock.replay."
_COMMIT = ".commit"
_DATASET = "reprolock.dataset."


class History(NamedTuple):
    """`metrics` are those that repro.toml declares, first to be shown."""

    runs: list[PastRun]
    metrics: tuple[str, ...]
    project: str | None = None

    @property
    def shown_metrics(self) -> list[str]:
        """Of the declared metrics those that some run has; where there are none, the first few that were logged."""
        logged = {name for run in self.runs for name in run.metrics}
        return [name for name in self.metrics if name in logged] or sorted(logged)[:_MOST_METRICS]


def runs(
    root: Path,
    *,
    last: int = 20,
    where: str = "",
    replays: bool = False,
    parent: str = "",
    tracking_uri: str | None = None,
    warn: Callable[[str], object] = lambda sentence: None,
    machine: Machine | None = None,
) -> History:
    """The newest `last` runs of the project's experiment; of every experiment where there is no repro.toml.

    `parent` is the beginning of a sweep's ID: then only its runs. `where` is a filter in MLflow's own language, which MLflow applies: then runs that it does not have are left out.
    An MLflow that is away is a warning, unless `where` needs it. UsageError for a filter that MLflow rejects.
    """
    machine = machine or Machine.here()
    root = root.resolve()
    spec = read_spec(root) if (root / SPEC).exists() else None
    found: dict[str, PastRun] = {}
    try:
        place = which_mlflow(root, machine, tracking_uri)
        with closing(open_tracker(place, machine.environ, machine.home)) as tracker:
            # One more than is shown: what changed in the oldest is told against it. Replays are counted out here.
            limit = 4 * (last + 1) + 100
            within = {PARENT_TAG: parent} if parent else {}
            experiment = spec.experiment if spec else None
            for row in tracker.runs(experiment, limit=limit, where=where, beginnings=within):
                wanted = row.tags.get(PARENT_TAG, "").startswith(parent)  # LIKE knows patterns, and may not know case
                if wanted and (replays or REPLAY_OF_TAG not in row.tags):
                    past = _of_row(row)
                    found[past.run_id] = past
    except ServiceError as error:
        if where:
            raise
        warn(f"only runs of this folder are shown: {error.message}")
    if not where:
        known = frozenset(found)
        local = local_records(root, lambda head: _is_wanted(head, parent, replays=replays))
        for record in islice(local, last + 1):
            if record.run_id not in known:
                found[record.run_id] = _of_record(record)
    newest = sorted(found.values(), key=lambda run: run.started, reverse=True)[: last + 1]
    return History(
        with_changes(newest)[:last], tuple(spec.metrics) if spec else (), spec.project.name if spec else None
    )


def _is_wanted(head: RunHead, parent: str, *, replays: bool) -> bool:
    return (head.parent or "").startswith(parent) and (replays or head.replay_of is None)


def _of_row(row: Row) -> PastRun:
    data = {
        name.removeprefix(_DATASET).removesuffix(_COMMIT): value
        for name, value in row.tags.items()
        if name.startswith(_DATASET) and name.endswith(_COMMIT)
    }
    return PastRun(
        run_id=row.tags.get(RUN_ID_TAG, row.run_id),
        name=row.name,
        started=row.started,
        status=row.status,
        mode=row.tags.get("reprolock.mode", ""),
        inputs=Inputs(
            data=data,
            params=dict(row.params),
            code=row.tags.get("reprolock.code.digest"),
            observed=row.tags.get("reprolock.observed"),
        ),
        metrics=dict(row.metrics),
        verdicts=tuple(value for name, value in sorted(row.tags.items()) if name.startswith(_VERDICT)),
    )


def _of_record(record: Record) -> PastRun:
    return PastRun(
        run_id=record.run_id,
        name=record.run_name or "",
        started=record.started,
        status=record.status,
        mode=record.mode,
        inputs=Inputs(
            data={item.name: item.commit for item in record.datasets},
            params=flatten(record.params).values,
            code=record.code.digest,
            observed=record.observed.total,
        ),
        metrics=dict(record.metrics),
    )
