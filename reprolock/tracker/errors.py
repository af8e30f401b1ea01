"""The errors about MLflow: one builder for each, so that server and file are worded alike.

A builder takes the tracking address and what happened, and returns the error to raise. No builder quotes an exception of
requests, SQLAlchemy or MLflow: those repeat addresses, and an address may carry a password.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reprolock.errors import MachineError, NotReplayable, PinError, ServiceError, UsageError
from reprolock.files.trusted import origin
from reprolock.model.secrecy import redacted
from reprolock.parts import missing_other
from reprolock.tracker.tracking_uri import Place, without_userinfo

_OFFLINE = "`reprolock run --offline` records on disk and `reprolock sync` sends it later"


_BRINGING = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "mysql": "mysql-connector-python",
    "databricks": "databricks-sdk",
    "google": "google-cloud-storage",
    "azure": "azure-storage-blob",
}
"""Modules, by their first name, that a package of another name brings."""


class Unreachable(ServiceError):
    """The server does not answer: further calls would fail too."""


class NoRun(UsageError):
    """MLflow has no such run."""


def no_answer(place: Place, tries: int) -> Unreachable:
    """No server listens, or none answers in time."""
    attempts = "1 try" if tries == 1 else f"{tries} tries"
    return Unreachable(
        f"no answer from MLflow at {place} after {attempts}", hint="see whether it is running", owner_hint=_OFFLINE
    )


def refused(place: Place, status: int) -> ServiceError:
    """401 or 403."""
    if status == 401:
        return ServiceError(
            f"MLflow at {place} does not accept the user name and password",
            hint="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
        )
    return ServiceError(
        f"MLflow at {place} does not allow this user to do that", hint="ask its owner for permission to edit"
    )


def not_mlflow(place: Place) -> ServiceError:
    """Something answers, and not as MLflow's REST API does."""
    return ServiceError(f"the server at {place} is not an MLflow tracking server", hint="correct the address")


def unfit_credentials(place: Place) -> UsageError:
    """A token, or a user name, with a line break or a character that no header of HTTP can hold."""
    return UsageError(
        f"the credentials for MLflow at {place} contain a character that cannot be sent",
        hint="look at MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    )


def sent_on(place: Place, location: str) -> ServiceError:
    """The server answers with a redirect: neither credentials nor records follow one."""
    target = origin(location) or "another path"
    return ServiceError(
        f"MLflow at {place} redirects to {target}, and nothing is sent to that address",
        hint="name the address of the server that answers without a redirect",
    )


def failed(place: Place, what: str, reason: str) -> ServiceError:
    """MLflow answers with an error of its own. `what` completes "could not …"; of `reason` the first line is kept."""
    first = without_userinfo(redacted(reason.strip().partition("\n")[0])).rstrip(".")[:300]
    return ServiceError(
        f"MLflow at {place} could not {what}: {first or 'it gave no reason'}",
        hint="look at the server's log and try again",
    )


def unknown_address(place: Place) -> UsageError:
    """MLflow has no store for an address of this kind."""
    return UsageError(
        f"{place} is no address that MLflow knows",
        hint='write "sqlite:///mlflow.db", or the address of an MLflow server',
    )


def no_databricks(place: Place) -> ServiceError:
    """Nothing says which workspace of Databricks is meant, or with what it is to be opened."""
    return ServiceError(
        f"no credentials for MLflow at {place} are here",
        hint='set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a profile of ~/.databrickscfg: "databricks://PROFILE"',
    )


def driver_missing(place: Place, module: str) -> MachineError:
    """A module that this kind of database, or of artifacts, is spoken to with."""
    return missing_other(bringing(module), f"MLflow at {place}")


def bringing(module: str) -> str:
    """The requirement to install for a module: `psycopg[binary]` for `psycopg`."""
    name = module.partition(".")[0]
    return _BRINGING.get(name, name)


def experiment_deleted(place: Place, name: str, experiment_id: str) -> UsageError:
    """MLflow keeps the name of a deleted experiment and takes no runs for it."""
    return UsageError(
        f'the experiment "{name}" (mlflow.experiment in repro.toml) is deleted in MLflow at {place}',
        hint=f"restore it with `mlflow experiments restore --experiment-id {experiment_id}`, or name another one",
    )


def run_deleted(place: Place, run_id: str) -> UsageError:
    """MLflow gives out what a deleted run holds, and takes nothing for it."""
    return UsageError(
        f"run {run_id[:8]} is deleted in MLflow at {place}",
        hint=f"restore it with `mlflow runs restore --run-id {run_id}`",
    )


def no_run(place: Place, run: str, newest: Sequence[str]) -> NoRun:
    """Nothing that was recorded answers to the name; `newest` are names of runs that there are."""
    quoted = ", ".join(f'"{name}"' for name in newest)  # a name may hold commas
    there = f"the newest are {quoted}; " if newest else ""
    return NoRun(
        f'no run "{run}" in MLflow at {place}',
        hint=f"{there}see `reprolock runs`, or name another MLflow with --tracking-uri",
    )


def bad_filter(place: Place, where: str, reason: str) -> UsageError:
    """MLflow does not take the filter of a search."""
    return UsageError(
        f"MLflow at {place} does not take the filter {where!r}: {reason}",
        hint="write it in MLflow's language: `metrics.auc >= 0.9 AND params.depth = '3'`; values of params are quoted",
    )


def several_runs(place: Place, run: str, found: Mapping[str, str]) -> UsageError:
    """More than one run answers to the name. `found` has their names by ID."""
    listed = ", ".join(f'{run_id} ("{name}")' for run_id, name in sorted(found.items())[:5])
    return UsageError(f'"{run}" names more than one run in MLflow at {place}', hint=f"write an ID: {listed}")


def run_removed(place: Place, run_id: str, kept: Path) -> UsageError:
    """The run that a record on disk belongs to was deleted, and `mlflow gc` has removed it since."""
    return UsageError(
        f"run {run_id[:8]} was removed from MLflow at {place} before all of its record was sent",
        hint=f"its record is in {kept}; remove that folder to forget it",
    )


def no_record(place: Place, run_id: str) -> NotReplayable:
    """A run of MLflow that reprolock did not record."""
    return NotReplayable(
        f"the run {run_id} in MLflow at {place} has no reprolock/record.json: reprolock did not record it",
        hint="name a run that `reprolock run` made",
    )


def unreadable_record(place: Place, run_id: str, newer: bool) -> NotReplayable:
    """record.json is there and is not what this reprolock reads."""
    if newer:
        return NotReplayable(
            f"the record of run {run_id} in MLflow at {place} was written by a newer reprolock",
            hint="install the newest reprolock and try again",
        )
    return NotReplayable(
        f"reprolock/record.json of run {run_id} in MLflow at {place} is damaged",
        hint="name another run, or replay a copy of it",
    )


def other_record(run_id: str, named: str) -> NotReplayable:
    """The record of another run is kept under the ID that was asked for."""
    return NotReplayable(
        f"MLflow has the record of another run under {run_id[:8]}: that of {named[:8]}",
        hint="get the run's artifacts from where they were first recorded",
    )


def unsafe_artifact(place: Place, run_id: str, path: str) -> NotReplayable:
    """An artifact whose name would leave the folder that it is copied to."""
    return NotReplayable(
        f'the run {run_id} in MLflow at {place} has an artifact named "{path[:200]}", which would be outside its folder',
        hint="do not trust this run: that name was put there on purpose",
    )


def other_schema(place: Place, file: Path, found: str, needed: str, mlflow: str, older: bool) -> PinError:
    """An SQLite file whose schema is not that of the MLflow here. `older`: this MLflow knows it and can upgrade it."""
    message = (
        f"{file} ({place.declared}) has the schema {found} of {'an older' if older else 'another'} MLflow, "
        f"and MLflow {mlflow} needs {needed}"
    )
    upgrade = f"copy the file, then run `mlflow db upgrade {place.shown}`"
    return PinError(
        message, hint=upgrade if older else "use the MLflow that made it, or name another file in mlflow.tracking_uri"
    )


def not_a_database(place: Place, file: Path) -> MachineError:
    """The file is there and is not SQLite's."""
    return MachineError(
        f"{file} ({place.declared}) is not an SQLite database, or is damaged", hint="move it away, or name another file"
    )


def another_programs(place: Place, file: Path) -> MachineError:
    """An SQLite database that has tables, and not MLflow's."""
    return MachineError(
        f"{file} ({place.declared}) is the database of another program than MLflow, which would add its tables to it",
        hint="name another file",
    )


def with_a_view(place: Place, file: Path, name: str) -> MachineError:
    """A database in which a view stands that MLflow has not made, and whose rows may never end."""
    return MachineError(
        f"{file} ({place.declared}) has the view {name}, and MLflow's databases have none",
        hint="name the database in MLFLOW_TRACKING_URI if you trust it, or move it away",
    )


def database_locked(place: Place, file: Path) -> MachineError:
    """Another program has held the file for too long."""
    return MachineError(
        f"{file} ({place.declared}) is locked by another program", hint="end that program and try again"
    )


def database_not_writable(place: Place, file: Path) -> MachineError:
    """SQLite may read the file, or its folder, and not write there."""
    return MachineError(
        f"{file} ({place.declared}) cannot be written: permission denied or read-only",
        hint=f"allow yourself to write in {file.parent}, or name another file in mlflow.tracking_uri",
    )


def database_too_deep(place: Place, file: Path, most: int) -> MachineError:
    """SQLite opens no file whose path is so long."""
    return MachineError(
        f"{file} ({place.declared}) has a path longer than the {most} bytes that SQLite takes",
        hint="work in a folder with a shorter path, or name another file in mlflow.tracking_uri",
    )


def database_not_named(place: Place, file: Path) -> MachineError:
    """An address holds text, and this path is none."""
    return MachineError(
        f"{file} ({place.declared}) has a name that is not UTF-8, which MLflow cannot open",
        hint="rename that folder, or name another file in mlflow.tracking_uri",
    )


def database_unreadable(place: Place, file: Path) -> MachineError:
    """The disk itself reports an error, or a limit."""
    return MachineError(
        f"{file} ({place.declared}) cannot be read or written: the disk reports an error",
        hint=f"check the disk that holds {file.parent}, its quota and limits, and try again",
    )


def database_full(place: Place, file: Path) -> MachineError:
    """SQLite could not grow the file."""
    return MachineError(
        f"{file} ({place.declared}) cannot be written: the disk is full",
        hint=f"free space on the disk that holds {file.parent} and try again",
    )
