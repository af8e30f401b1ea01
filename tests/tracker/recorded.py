"""What the tests of the tracker have in common: a run's commit and times, and the way to a tracker."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from reprolock.tracker import open_tracker
from reprolock.tracker.mlflow_tracker import MlflowTracker
from reprolock.tracker.tracking_uri import Place

COMMIT = "6aa6b3436f5bd8f4a9d4c3b2a1908f7e6d5c4b3a29180f7e6d5c4b3a2918f7e6"
STARTED = datetime(2026, 11, 22, 10, 0, 0, 123000, tzinfo=UTC)
ENDED = datetime(2026, 11, 22, 10, 0, 31, 456000, tzinfo=UTC)


def tracker_at(uri: str, home: Path, environ: Mapping[str, str] = {}) -> MlflowTracker:
    """A tracker as `reprolock run` opens it for `mlflow.tracking_uri`; the environment names the same address."""
    environ = {"MLFLOW_TRACKING_URI": uri, **environ}
    return open_tracker(Place(uri, "mlflow.tracking_uri in repro.toml"), environ, home)
