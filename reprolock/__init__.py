"""reprolock: a lockfile for machine-learning runs.

    repro.toml ─▶ Spec ─▶ Lock ─▶ Workspace ─▶ Outcome ─▶ Record ─▶ Verdict

`model` holds these nouns and does no IO. `files`, `lake`, `environment`, `engine` and `tracker` are
the edges: files of a project, versioned data, the software around a run, what executes it, MLflow.
`steps` holds the verbs, one module a step; `stack` local servers to try it on; `cli` prints what they
answer. Imports go one way: errors ← model ← files, lake, environment, engine, tracker ← steps, stack ← cli.

Every command is a function here: `reprolock.lock(Path("."))`. In a script that a run executes,
`reprolock.current()` gives its inputs. All of it is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "current": "reprolock.script",
    "audit": "reprolock.steps.evidence.audit",
    "bundle": "reprolock.steps.evidence.bundle",
    "evidence": "reprolock.steps.evidence.demands",
    "sign": "reprolock.steps.evidence.sign",
    "check": "reprolock.steps.locking.staleness",
    "diff": "reprolock.steps.inspecting.diff",
    "export": "reprolock.steps.inspecting.export",
    "impact": "reprolock.steps.inspecting.impact",
    "init": "reprolock.steps.project.init",
    "lock": "reprolock.steps.locking.lock",
    "open": "reprolock.steps.inspecting.open_dataset",
    "replay": "reprolock.steps.replaying.replay",
    "record": "reprolock.steps.running.interactive",
    "report": "reprolock.steps.reporting.report",
    "run": "reprolock.steps.running.run",
    "runs": "reprolock.steps.inspecting.runs",
    "same_data": "reprolock.steps.inspecting.same_data",
    "schema": "reprolock.steps.maintenance.schema",
    "show": "reprolock.steps.inspecting.show",
    "status": "reprolock.steps.inspecting.status",
    "doctor": "reprolock.steps.maintenance.doctor",
    "verify": "reprolock.steps.inspecting.verify",
    "sweep": "reprolock.steps.experiments.sweep",
    "trust": "reprolock.steps.maintenance.trust",
    "sync": "reprolock.steps.recording.sync",
    "env": "reprolock.steps.maintenance.env",
    "cache": "reprolock.steps.maintenance.cache",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'reprolock' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value
