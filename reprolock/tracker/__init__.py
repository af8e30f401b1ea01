"""Where records go: MLflow, and an outbox on disk for what cannot reach it.

    Record, files ──▶ Tracker ──▶ Store ──▶ the MLflow run        (down: Outbox ──sync──▶ Tracker)

`open_tracker(find_place(…), environ, home)` gives the `Tracker` of an address; `protocol` is the contract
with the steps. A `Store` is MLflow call by call: over REST for a server, by MLflow's client for all else.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from pathlib import Path

from reprolock.tracker.mlflow_tracker import MlflowTracker
from reprolock.tracker.place import Place
from reprolock.tracker.store import Store

_CLIENT = "reprolock.tracker.client_store"


def open_tracker(place: Place, environ: Mapping[str, str], home: Path) -> MlflowTracker:
    """The tracker of an address. Nothing is opened or loaded before its first call."""

    def open_store() -> Store:
        # Each store loads the one package that it wraps: requests 0.2 s, MLflow 3 s.
        from reprolock.tracker import server_access

        if place.is_server and not server_access.needs_client(environ):
            from reprolock.tracker.rest_store import RestStore

            return RestStore(place, server_access.find_access(place.uri, environ, home))
        from reprolock.tracker.client_store import ClientStore

        return ClientStore(place, server_access.tries(environ))

    return MlflowTracker(place, open_store)


def warm(place: Place) -> None:
    """Begin to load MLflow in a thread where `place` needs it, so that it is there when the run is created.

    Worth calling first thing in a command that will wait for a lake, a disk or another process. A
    failure shows where the tracker is opened.
    """
    if not place.is_server:
        threading.Thread(target=_load, name="load-mlflow", daemon=True).start()


def _load() -> None:
    try:
        importlib.import_module(_CLIENT)
    except Exception:
        return
