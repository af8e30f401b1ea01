"""Build a `Record` from a workspace and an outcome: one when the run starts, one when it has ended. No IO."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from reprolock import __version__
from reprolock.model.lineage import Lineage
from reprolock.model.lock import DatasetPin, EnvironmentPin, JarsPin
from reprolock.model.outcome import Ending
from reprolock.model.record import (
    CodeRecord,
    DatasetRecord,
    EndingRecord,
    EnvironmentRecord,
    ExecutorRecord,
    OutputRecord,
    Record,
    ServerRecord,
    SparkRecord,
)
from reprolock.model.sections import digests, observed_sections, pinned_sections
from reprolock.model.spec import Spec
from reprolock.model.workspace import MOST_DIFFERING, Copied, Workspace
from reprolock.steps.locking.overrides import WhatIf


class Sources(NamedTuple):
    """What a run is made from: the spec and pins after what-ifs, the what-ifs, and the run that this one replays."""

    spec: Spec
    pins: tuple[DatasetPin, ...]
    environment: EnvironmentPin | None
    jars: JarsPin | None
    what_if: WhatIf = WhatIf()
    replay_of: str | None = None


def opening_record(
    sources: Sources,
    workspace: Workspace,
    environment: EnvironmentRecord,
    *,
    tree: Mapping[str, str],
    started: datetime,
    run_name: str | None,
    executors: tuple[ExecutorRecord, ...] = (),
    server: ServerRecord | None = None,
) -> Record:
    """The record of a run that starts now, status RUNNING. `tree` is path → MODE:SHA-256 of the code."""
    spec, plan = sources.spec, workspace.spark
    conf = dict(plan.conf) if plan else {}
    java = plan.java if plan else None
    master = plan.master if plan else None
    urls = {item.name: item for item in workspace.inputs}
    return Record(
        run_id=workspace.run_id,
        project=spec.project.name,
        experiment=spec.experiment,
        run_name=run_name,
        replay_of=sources.replay_of,
        status="RUNNING",
        started=started,
        reprolock=__version__,
        mode=workspace.mode,
        command=workspace.argv,
        params=spec.params,
        what_if=dict(sources.what_if.params),
        seed=spec.run.seed,
        env=spec.run.env,
        pass_env=spec.run.pass_env,
        rules=spec.rules,
        datasets=tuple(
            dataset_record(
                spec,
                pin,
                url=urls[pin.name].url,
                copied=urls[pin.name].copied,
                what_if=pin.name in sources.what_if.data,
            )
            for pin in _in_order(spec, sources.pins)
        ),
        code=CodeRecord(
            digest=workspace.code.digest,
            tree=dict(tree),
            files=len(workspace.code.files),
            bytes=workspace.code.bytes,
            commit=workspace.code.commit,
            remote=workspace.code.remote,
            branch=workspace.code.branch,
            dirty=workspace.code.dirty,
            differs=workspace.code.differs[:MOST_DIFFERING],
            aside=workspace.code.aside[:MOST_DIFFERING],
        ),
        environment=environment.replaced({"locale": _locale(workspace.environ, spec.run.pass_env)}),
        spark=SparkRecord(version=plan.version, master=plan.master, conf=conf, jars=len(plan.jars), brought=plan.brought, java=java,
                          executors=executors, server=server)
        if plan
        else None,
        pinned=digests(
            pinned_sections(spec, sources.pins, sources.environment, sources.jars, workspace.code.digest)
        ),
        observed=digests(
            observed_sections(
                spec, sources.pins, environment, sources.jars, workspace.code.digest,
                java=java, master=master, conf=conf,
            )
        ),
    )  # fmt: skip


def closing_record(
    record: Record,
    ending: Ending,
    outputs: tuple[OutputRecord, ...],
    lineage: Lineage,
    metrics: Mapping[str, float],
    copied: Mapping[str, Copied],
) -> Record:
    """The same record, ended. `copied` says of some datasets what was copied while the command was running."""
    wholes = {
        item.name: Copied(item.copied, item.sha256).merged(copied.get(item.name, Copied())) for item in record.datasets
    }
    return record.replaced(
        {
            "status": ending.status,
            "ended": ending.ended,
            "ending": EndingRecord(
                exit_code=ending.exit_code, signal=ending.signal, reason=ending.reason, seconds=ending.seconds
            ),
            "datasets": tuple(item.replaced(_fields(wholes[item.name])) for item in record.datasets),
            "outputs": outputs,
            "lineage": lineage,
            "metrics": dict(metrics),
        }
    )


def killed_record(record: Record, reason: str, ended: datetime) -> Record:
    """The record of a run whose reprolock did not live to end it."""
    return ended_early(record, Ending("KILLED", None, None, reason, record.started, ended))


def ended_early(record: Record, ending: Ending) -> Record:
    """A record ended before its command wrote, or could be asked for, anything."""
    seconds = ending.seconds
    closed = EndingRecord(exit_code=ending.exit_code, signal=ending.signal, reason=ending.reason, seconds=seconds)
    return record.replaced({"status": ending.status, "ended": ending.ended, "ending": closed})


def _locale(environ: Mapping[str, str], pass_env: Collection[str]) -> dict[str, str]:
    """Without what `pass_env` names: of that no value is recorded."""
    names = (name for name in sorted(environ) if name in ("LANG", "LANGUAGE") or name.startswith("LC_"))
    return {name: environ[name] for name in names if name not in pass_env}


def _in_order(spec: Spec, pins: tuple[DatasetPin, ...]) -> list[DatasetPin]:
    """In the order of repro.toml: the first training dataset is the first that people wrote."""
    order = list(spec.datasets)
    return sorted(pins, key=lambda pin: order.index(pin.name))


def dataset_record(
    spec: Spec, pin: DatasetPin, *, url: str = "", copied: Copied = Copied(), what_if: bool = False
) -> DatasetRecord:
    """A dataset as it is declared and pinned. `url` is what the command reads; "" where no command has been given it."""
    declared = spec.datasets[pin.name]
    return DatasetRecord(
        name=pin.name,
        kind=pin.kind,
        uri=pin.uri,
        resolved=pin.resolved,
        commit=pin.commit,
        commit_time=pin.time,
        objects=pin.objects,
        bytes=pin.bytes,
        digest=pin.digest,
        glob=pin.glob,
        format=declared.format,
        options=declared.options,
        context=declared.context,
        url=url,
        what_if=what_if,
        **_fields(copied),
    )


def _fields(copied: Copied) -> dict[str, Any]:
    """What a dataset's record says of what was copied of it."""
    return {
        "copied": copied.whole,
        "sha256": dict(sorted(copied.sha256.items())),
        "unverified": len(copied.sha256) or None,
    }
