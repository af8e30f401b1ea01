"""What each command prints with --json: one shape for each, of which commands.schema.json is made.

A command prints one object. Where it fails, the object has `error`, `hint`, `problems` and `exit_code`: alone, or beside what the
command had answered before. A shape is the model that the command's answer is, or its fields; several are alternatives.
"""

from __future__ import annotations

from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

from reprolock.environment.python.installed.drift import Difference as Drift
from reprolock.lake.protocol import Change as ObjectChange
from reprolock.lake.protocol import Commit, Ref
from reprolock.model.claims import Audit
from reprolock.model.demands import Answers
from reprolock.model.difference import Comparison, Difference
from reprolock.model.history import PastRun
from reprolock.model.lock import DatasetPin, EnvironmentPin, JarsPin, Lock
from reprolock.model.record import Measured, Record
from reprolock.model.report import Report
from reprolock.model.verdict import Verdict
from reprolock.steps.data.get import Got
from reprolock.steps.data.put import Listed, Moved
from reprolock.steps.evidence.hold import Why
from reprolock.steps.inspecting.impact import Reader
from reprolock.steps.inspecting.since import Since
from reprolock.steps.inspecting.status import DatasetStatus
from reprolock.steps.inspecting.verify import Verified
from reprolock.steps.locking.staleness import Stale
from reprolock.steps.maintenance.answer_words import MEANINGS
from reprolock.steps.maintenance.doctor import Finding
from reprolock.steps.project.init import InitResult

_REF = "#/$defs/{model}"
_FAILURE: dict[str, dict[str, Any]] = {
    "error": {"type": "string", "description": "What went wrong, in one sentence; missing where nothing did."},
    "hint": {"type": ["string", "null"], "description": "What to do about it."},
    "problems": {
        "type": "array",
        "items": {"type": "string"},
        "description": "What else is wrong, where there is more than one thing.",
    },
    "exit_code": {"type": "integer", "description": "The exit code of the command."},
}


def failure_fields() -> dict[str, Any]:
    """What an object has where the command failed."""
    return {name: dict(field) for name, field in _FAILURE.items()}


def answers() -> dict[str, tuple[Any, ...]]:
    """Command → its shapes."""
    lock = _fields(
        "Locked",
        written=bool,
        changes=_list(_fields("LockChange", kind=str, name=str, before=_Pin | None, after=_Pin | None)),
        remarks=list[str],
    )
    commit = _fields("Committed", repository=str, branch=str, commit=_of(Commit))
    hold = _of(Why, "Hold", repository=str, commit=str, branch=str, state=str, until=str | None)
    holds = (_fields("Holds", holds=_list(hold)),)
    server = _fields("Server", name=str, title=str, state=str, endpoint=str | None, pid=int | None, log=str)
    stack: dict[str, Any] = {"folder": str, "up": bool, "changed": list[str], "servers": _list(server)}
    files = _fields("Files", files=int, bytes=int)
    driver = (_fields("GitDriver", attributes=str, changed=bool),)
    combination: dict[str, Any] = {"params": dict[str, Any], "data": dict[str, str]}
    swept = _fields(
        "SweptRun",
        **combination,
        run_id=str | None,
        status=str | None,
        metrics=dict[str, Measured],
        problem=str | None,
        earlier=bool,
    )
    replayed = _fields(
        "Replayed",
        recorded=str,
        replay=str,
        folder=str,
        code=str,
        command=list[str],
        seed=int | None,
        env=dict[str, str],
        pass_env=list[str],
        status=str,
        verdict=Verdict | None,
        metrics=dict[str, Measured],
    )
    added = (_fields("Added", added=str, lock=_or_none(lock)),)
    return {
        "init": (_of(InitResult),),
        **dict.fromkeys(("add dataset", "add output", "add package", "add param"), added),
        "remove": (_fields("Removed", removed=str, lock=_or_none(lock)),),
        "lock": (lock, _fields("Fresh", fresh=bool, datasets=int)),
        "status": (
            _fields(
                "Status",
                stale=_list(_of(Stale)),
                since=_of(Since) | None,
                datasets=_list(_of(DatasetStatus, moved=bool)),
            ),
        ),
        "diff": (
            _extended(Difference, same=bool, things=int, results=int, sentence=str),
            _extended(Comparison, sentence=str),
        ),
        "env": (
            _fields(
                "Environment",
                python=str,
                packages=dict[str, str],
                path=str | None,
                differences=_list(_of(Drift, "Drift", fails=bool)),
            ),
            _fields("EnvironmentText", format=str, text=str),
            _fields("EnvironmentsRemoved", removed=list[str], bytes=int),
        ),
        "report": (_extended(Report, beyond=list[str]),),
        "git-driver install": driver,
        "git-driver uninstall": driver,
        "git-driver moved": (_fields("MovedPins", moved=list[str]),),
        "run": (_extended(Record, sent=bool, skipped=bool),),
        "sweep": (
            _fields("Sweep", parent=str, runs=_list(swept), best=str | None),
            _fields("Grid", runs=_list(_fields("Combination", **combination))),
        ),
        "replay": (
            replayed,
            _fields("Replays", replays=_list(replayed)),
            _fields("Refused", run=str, verdict=Verdict),
        ),
        "runs": (_fields("Runs", runs=_list(PastRun)),),
        "show": (Record, Lock),
        "ui": (_fields("Page", address=str),),
        "sync": (_fields("Synced", sent=_list(_fields("Sent", run_id=str, mlflow_run=str | None, error=str | None))),),
        "verify": (_fields("Verification", deep=bool, pins=_list(_of(Verified, fails=bool))),),
        "same-data": (_fields("SameData", same=bool, runs=list[str], differences=list[str]),),
        "impact": (
            _fields(
                "Impact",
                uri=str,
                meaning=str,
                remarks=list[str],
                runs=_list(
                    _of(
                        Reader,
                        read=_list(_fields("ReadAddress", name=str, place=str, declared=str | None)),
                        models=_list(_fields("Model", name=str, version=str)),
                    )
                ),
            ),
        ),
        "key new": (_fields("NewKey", id=str, kind=str, private=str, public=str),),
        "key show": (_fields("Key", id=str, kind=str, pem=str),),
        "sign": (_fields("Signed", run=str, name=str, meaning=str, key=str, behind=bool | int | str | None),),
        "audit": (Audit,),
        "evidence": (Answers,),
        "bundle": (_fields("Bundle", file=str, bytes=int, objects=int, packages=int, jars=int, left_out=int),),
        **dict.fromkeys(("hold add", "hold check", "hold ls"), holds),
        "hold release": (_fields("Released", released=_list(hold)),),
        "export": (_fields("Export", format=str, output=str | None, document=str),),
        "data create": (_fields("Repository", repository=str, branch=str),),
        "data ls": (
            _fields("Listing", uri=str, entries=_list(_of(Listed))),
            _fields("References", repository=str, refs=_list(_of(Ref))),
            _fields("Repositories", lake=str, repositories=list[str]),
        ),
        "data get": (_of(Got, uri=str),),
        "data put": (_of(Moved, uri=str),),
        "data rm": (_fields("Staged", uri=str, objects=int),),
        "data branch": (
            _fields("Branch", repository=str, branch=str, source=str),
            _fields("BranchRemoved", repository=str, removed=str),
        ),
        "data status": (_fields("StagedChanges", uri=str, changes=_list(_of(ObjectChange, "ObjectChange"))),),
        "data tag": (
            _fields("Tag", repository=str, tag=str, ref=str),
            _fields("TagRemoved", repository=str, removed=str),
        ),
        **dict.fromkeys(("data commit", "data merge", "data revert"), (commit,)),
        "data diff": (_fields("DataDiff", left=str, right=str, changes=_list(_of(ObjectChange, "ObjectChange"))),),
        "data log": (_fields("Log", uri=str, commits=_list(_of(Commit))),),
        "stack up": (_fields("Stack", **stack),),
        "stack status": (_fields("Stack", **stack),),
        "stack down": (_fields("StackDown", **stack, purged=bool),),
        "stack env": (dict[str, str],),
        "stack logs": (dict[str, list[str]],),
        "trust": (_fields("Trusted", trusted=list[str]),),
        "doctor": (_fields("Doctor", findings=_list(_of(Finding))),),
        "cache": (
            _fields("Cache", folder=str, parts=_map(files)),
            _fields("Trimmed", objects=int, bytes=int),
            _fields("TrimmedRuns", objects=int, bytes=int, runs=files),
        ),
        "schema": (_fields("SchemasWritten", written=list[str]), dict[str, Any]),
        "completion": (_fields("Completion", shell=str, script=str),),
    }


_Pin = DatasetPin | EnvironmentPin | JarsPin


def commands_schema() -> dict[str, Any]:
    """`$defs` has the object of each command under its name, with "-" for a blank: `data-put`."""
    shapes = answers()
    keys = [(command, index, shape) for command, found in shapes.items() for index, shape in enumerate(found)]
    made, whole = TypeAdapter.json_schemas(
        [((command, index), "validation", TypeAdapter(shape)) for command, index, shape in keys],
        ref_template=_REF,
    )
    models = whole.get("$defs", {})
    commands = {
        command.replace(" ", "-"): {
            "title": f"the JSON of `reprolock {command}`",
            "anyOf": [
                *(_with_failure(made[(command, index), "validation"], models) for index in range(len(found))),
                {"$ref": "#/$defs/Failure"},
            ],
        }
        for command, found in shapes.items()
    }
    failure = {
        "type": "object",
        "title": "Failure",
        "properties": failure_fields(),
        "required": ["error", "hint", "exit_code"],
        "additionalProperties": False,
    }
    return {"$defs": {**models, **commands, "Failure": failure}}


def _with_failure(shape: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    """A shape by itself, which may have an error beside it."""
    name = shape.get("$ref", "").rpartition("/")[2]
    shape = dict(models.get(name, shape))
    return (
        {**shape, "properties": {**shape.get("properties", {}), **failure_fields()}} if "properties" in shape else shape
    )


def _fields(name: str, /, **fields: Any) -> Any:
    """An object with exactly these fields."""
    shapes: dict[str, Any] = {field: (shape, _described(name, field)) for field, shape in fields.items()}
    return create_model(name, __config__=ConfigDict(extra="forbid", title=name), **shapes)


def _of(values: type[tuple[Any, ...]], name: str | None = None, /, **fields: Any) -> Any:
    """The object of a tuple with names, with other or further fields."""
    return _fields(name or values.__name__, **{**get_type_hints(values), **fields})


def _extended(model: type[BaseModel], /, **fields: Any) -> Any:
    """The object of a model, with further fields."""
    name = f"{model.__name__}Answer"
    shapes: dict[str, Any] = {field: (info.annotation, info) for field, info in model.model_fields.items()}
    shapes |= {field: (shape, _described(name, field)) for field, shape in fields.items()}
    return create_model(name, __config__=ConfigDict(extra="forbid", title=name), **shapes)


def _described(name: str, field: str) -> Any:
    return Field(description=MEANINGS.get(f"{name}.{field}") or MEANINGS[field])


def _or_none(shape: Any) -> Any:
    return shape | None


def _map(item: Any) -> Any:
    return dict[str, item]


def _list(item: Any) -> Any:
    return list[item]
