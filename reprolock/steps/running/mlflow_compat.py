"""What the command's own MLflow needs: an address that it can open, and variables by which its runs are found again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from reprolock.environment.code.snapshot import Snapshot
from reprolock.environment.python.installed.env_store import Environment
from reprolock.environment.python.interpreters.mlflow_revision import own_schema, schema_in
from reprolock.errors import PinError
from reprolock.tracker.database_driver import driver_module, is_database
from reprolock.tracker.errors import bringing
from reprolock.tracker.stores.sqlite_check import revision
from reprolock.tracker.tracking_uri import Place, for_sqlalchemy

_SET_EXPERIMENT = re.compile(r"(?<!def )\bset_experiment\(\s*(?:experiment_name\s*=\s*)?")
_SET_ADDRESS = re.compile(
    r"""(?<!def )\b(?:set_tracking_uri\(\s*(?:uri\s*=\s*)?|MlflowClient\(\s*(?:tracking_uri\s*=\s*)?(?=\\?["'])|environ\[\\?["']MLFLOW_TRACKING_URI\\?["']\]\s*=(?!=)\s*)"""
)
_ELSEWHERE = {
    "set_tracking_uri": "calls mlflow.set_tracking_uri, and what is logged after that",
    "MlflowClient": "makes an MlflowClient of another address, and what is logged by it",
    "environ": "sets MLFLOW_TRACKING_URI, and what is logged after that",
}
_LITERAL = re.compile(r"(\\?[\"'])(.*?)\1\s*[,)]")
_VARIABLE = re.compile(r"([A-Za-z_]\w*)\s*[,)]")
_SCRIPTS = (".py", ".ipynb")


def has_mlflow(built: Environment | None) -> bool:
    """Whether the command's Python has an MLflow: the locked one's, or reprolock's own where `built` is None."""
    if built is None:
        return find_spec("mlflow") is not None
    return (built.packages / "mlflow").is_dir()


def check_mlflow(built: Environment | None, place: Place, *, offline: bool) -> None:
    """PinError (exit 4) where the locked environment's MLflow cannot open MLflow's database: without SQLAlchemy, without
    the driver of the database, or where that is of another schema.

    A file that is not made yet will be made by the MLflow beside reprolock, which wants its own schema of every other
    database too. With a server every MLflow can speak.
    """
    wanted = schema_in(built.packages) if built and (place.file or is_database(place.uri)) else None
    if built is None or wanted is None:
        return
    versions = {item.name: item.version for item in built.manifest.distribution}
    name = versions.get("mlflow") or versions.get("mlflow-skinny") or "of an unknown version"
    sentence = f"the locked environment's MLflow {name} cannot open {place.file or place.shown} ({place.declared})"
    if offline:
        server = "run without --offline, with the address of an MLflow server in mlflow.tracking_uri"
    else:
        server = f"start `mlflow server --backend-store-uri {place.shown}` and name its address instead"
    driver = driver_module(place.uri, _sqlalchemy(built))
    lacking = [*wanted.lacking, *([driver] if driver and not _has_module(built, driver) else [])]
    if lacking:
        to_lock = " and ".join(bringing(module) for module in lacking)
        raise PinError(f"{sentence}: it has no {' and no '.join(lacking)}", hint=f"lock {to_lock} too, or {server}")
    own = own_schema()
    own_revision = own.revision if own else None
    found = (revision(place.file) if place.file else None) or own_revision
    if found not in (None, wanted.revision):
        made_by = f"MLflow {version('mlflow')}" if found == own_revision else "the MLflow that made the file"
        has = "the file has" if place.file else "the MLflow beside reprolock"
        raise PinError(
            f"{sentence}: it wants schema {wanted.revision}, and {has} {found}", hint=f"lock {made_by}, or {server}"
        )


def _has_module(built: Environment, name: str) -> bool:
    """As a folder, or as one file: `pyodbc.cpython-311-x86_64-linux-gnu.so`."""
    return (built.packages / name).is_dir() or any(built.packages.glob(f"{name}.*"))


def for_command(
    variables: Mapping[str, str], built: Environment | None, *, context: str | None, own_experiments: bool
) -> dict[str, str]:
    """MLflow's variables as the command's own MLflow takes them.

    The address is written for its SQLAlchemy. `context` is the caller's MLFLOW_RUN_CONTEXT, whose tags stay. With
    `own_experiments` there is no MLFLOW_RUN_ID, which MLflow refuses in another experiment: each run of
    the command is then a child of the recorded one.
    """
    given = dict(variables)
    if uri := given.get("MLFLOW_TRACKING_URI"):
        given["MLFLOW_TRACKING_URI"] = for_sqlalchemy(uri, _sqlalchemy(built))
    if context and "MLFLOW_RUN_CONTEXT" in given:
        given["MLFLOW_RUN_CONTEXT"] = json.dumps(_tags(context) | json.loads(given["MLFLOW_RUN_CONTEXT"]))
    if own_experiments:
        given.pop("MLFLOW_RUN_ID", None)
    return given


def sets_other_experiment(code: Snapshot, root: Path, experiment: str) -> bool:
    """Whether some script or notebook calls `set_experiment` with another name than `experiment`, or one that is computed: where
    that comes to the same, the run's metrics are those of its child."""
    return any(
        name != experiment for file in code.files if file.path.endswith(_SCRIPTS) for name in _named(root / file.path)
    )


def sets_other_address(code: Snapshot, root: Path, place: Place) -> str | None:
    """A sentence on the first script or notebook that takes MLflow away from `place`; None where none is seen to."""
    for file in code.files:
        for text, call in _calls(_SET_ADDRESS, root / file.path) if file.path.endswith(_SCRIPTS) else ():
            argument = re.match(r"(\\?[\"'])(.*?)\1|[^\n]*", text[call.end() :])
            assert argument is not None  # it matches nothing, too
            if argument[2] == place.uri or "MLFLOW_TRACKING_URI" in argument[0]:
                continue
            where = "" if file.path.endswith(".ipynb") else f":{text.count(chr(10), 0, call.start()) + 1}"
            what = next(words for name, words in _ELSEWHERE.items() if name in call[0])
            return f"{file.path}{where} {what} is no part of this run"
    return None


def _named(file: Path) -> Iterator[str | None]:
    """The name in each call of `set_experiment`; None for one that is not written there."""
    for text, call in _calls(_SET_EXPERIMENT, file):
        if literal := _LITERAL.match(text, call.end()):
            yield literal[2]
            continue
        variable = _VARIABLE.match(text, call.end())
        found = re.search(rf"^\s*{variable[1]}\s*=\s*([\"'])(.*?)\1", text, re.MULTILINE) if variable else None
        yield found[2] if found else None


def _calls(pattern: re.Pattern[str], file: Path) -> Iterator[tuple[str, re.Match[str]]]:
    """The file's text, with each match in it that is in no comment."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for call in pattern.finditer(text):
        if "#" not in text[text.rfind("\n", 0, call.start()) + 1 : call.start()]:
            yield text, call


def _sqlalchemy(built: Environment | None) -> str:
    """The version that the command's MLflow has; a recent one where there is none, which then reads no address."""
    if built is not None:
        return next((item.version for item in built.manifest.distribution if item.name == "sqlalchemy"), "2.1")
    try:
        return version("sqlalchemy")
    except PackageNotFoundError:
        return "2.1"


def _tags(context: str) -> dict[str, str]:
    """The tags of the caller's own MLFLOW_RUN_CONTEXT; none where that is no JSON object, which MLflow would refuse."""
    try:
        found = json.loads(context)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
