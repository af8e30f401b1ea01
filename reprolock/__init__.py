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
    "check": "reprolock.steps.check",
    "diff": "reprolock.steps.diff",
    "export": "reprolock.steps.export",
    "impact": "reprolock.steps.impact",
    "init": "reprolock.steps.init",
    "lock": "reprolock.steps.lock",
    "replay": "reprolock.steps.replay",
    "run": "reprolock.steps.run",
    "same_data": "reprolock.steps.same_data",
    "schema": "reprolock.steps.schema",
    "show": "reprolock.steps.show",
    "status": "reprolock.steps.status",
    "doctor": "reprolock.steps.doctor",
    "verify": "reprolock.steps.verify",
    "sync": "reprolock.steps.sync",
    "env": "reprolock.steps.env",
    "cache": "reprolock.steps.cache",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'reprolock' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value
