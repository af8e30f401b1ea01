"""Where records go: MLflow, and an outbox on disk for what cannot reach it.

    Record, files ──▶ Tracker ──▶ Store ──▶ the MLflow run        (down: Outbox ──sync──▶ Tracker)

`open_tracker(find_place(…), environ, home)` gives the `Tracker` of an address; `protocol` is the contract
with the steps. A `Store` is MLflow call by call: over REST for a server, by MLflow's client for all else.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from reprolock.parts import needed
from reprolock.tracker.mlflow_tracker import MlflowTracker
from reprolock.tracker.offline import OfflineTracker
from reprolock.tracker.permission import check_credentials, is_confirmed
from reprolock.tracker.stores.protocol import Store
from reprolock.tracker.tracking_uri import Place

_CLIENT = "reprolock.tracker.stores.client"
_WARMING: list[threading.Thread] = []
"""The threads that `warm` has started."""


def open_tracker(place: Place, environ: Mapping[str, str], home: Path) -> MlflowTracker:
    """The tracker of an address. Nothing is opened or loaded before its first call."""
    return MlflowTracker(place, _store_opener(place, environ, home))


def open_offline(place: Place, environ: Mapping[str, str], home: Path, *, asked: bool) -> OfflineTracker:
    """The tracker of the project's own database, a file. `asked`: the command has an MLflow, which will look for its run."""
    assert place.file is not None
    return OfflineTracker(place, place.file, _store_opener(place, environ, home), asked=asked)


def _store_opener(place: Place, environ: Mapping[str, str], home: Path) -> Callable[[], Store]:
    def open_store() -> Store:
        # Each store loads the one package that it wraps: requests 0.2 s, MLflow 3 s.
        from reprolock.tracker.stores import rest_auth

        check_credentials(place, environ, home)
        confirmed = is_confirmed(place, environ)
        if place.is_server and not rest_auth.needs_client(environ):
            from reprolock.tracker.stores.rest import RestStore

            return RestStore(place, rest_auth.find_access(place.uri, environ, home), confirmed=confirmed)
        with needed("mlflow", f"MLflow at {place.shown}"):
            for loading in _WARMING:  # one that fails at this moment would leave modules without half of their names
                loading.join()
            from reprolock.tracker.stores.client import ClientStore

        return ClientStore(place, rest_auth.tries(environ), confirmed=confirmed)

    return open_store


def warm(place: Place) -> None:
    """Begin to load MLflow in a thread where `place` needs it, so that it is there when the run is created.

    Worth calling first thing in a command that will wait for a lake, a disk or another process. A
    failure shows where the tracker is opened.
    """
    if not place.is_server:
        thread = threading.Thread(target=_load, name="load-mlflow", daemon=True)
        thread.start()
        _WARMING.append(thread)


def _load() -> None:
    try:
        importlib.import_module(_CLIENT)
    except Exception:
        return
