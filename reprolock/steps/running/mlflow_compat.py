"""Check before a run that the command's MLflow can write where the run is recorded."""

from __future__ import annotations

from importlib.metadata import version

from reprolock.environment.python.env_store import Environment
from reprolock.environment.python.mlflow_revision import own_schema, schema_in
from reprolock.errors import PinError
from reprolock.tracker.stores.sqlite_check import revision
from reprolock.tracker.tracking_uri import Place


def check_mlflow(built: Environment | None, place: Place, *, offline: bool) -> None:
    """PinError (exit 4) where the locked environment's MLflow cannot open MLflow's SQLite file.

    A file that is not made yet will be made by the MLflow beside reprolock. With a server every MLflow can speak.
    """
    wanted = schema_in(built.packages) if built and place.file else None
    if built is None or wanted is None:
        return
    versions = {item.name: item.version for item in built.manifest.distribution}
    name = versions.get("mlflow") or versions.get("mlflow-skinny") or "of an unknown version"
    sentence = f"the locked environment's MLflow {name} cannot open {place.file} ({place.declared})"
    if offline:
        server = "run without --offline, with the address of an MLflow server in mlflow.tracking_uri"
    else:
        server = f"start `mlflow server --backend-store-uri {place.shown}` and name its address instead"
    if wanted.lacking:
        lacking = wanted.lacking
        raise PinError(
            f"{sentence}: it has no {' and no '.join(lacking)}", hint=f"lock {' and '.join(lacking)} too, or {server}"
        )
    own = own_schema()
    own_revision = own.revision if own else None
    found = (revision(place.file) if place.file else None) or own_revision
    if found not in (None, wanted.revision):
        made_by = f"MLflow {version('mlflow')}" if found == own_revision else "the MLflow that made the file"
        raise PinError(
            f"{sentence}: it wants schema {wanted.revision}, and the file has {found}",
            hint=f"lock {made_by}, or {server}",
        )
