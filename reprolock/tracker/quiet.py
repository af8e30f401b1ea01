"""Import MLflow without its telemetry and warnings."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_TELEMETRY = "MLFLOW_DISABLE_TELEMETRY"


@contextmanager
def quiet_import() -> Iterator[None]:
    """MLflow decides about telemetry while it is imported; afterwards the variable is as the caller had it,
    for MLFLOW_* variables pass to the command, whose telemetry is its user's own affair."""
    before = os.environ.get(_TELEMETRY)
    os.environ[_TELEMETRY] = "true"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if before is None:
            del os.environ[_TELEMETRY]
        else:
            os.environ[_TELEMETRY] = before
