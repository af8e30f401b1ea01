"""What opening a tracker costs, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("mlflow", "requests", "pyarrow", "deltalake", "sqlalchemy")
START = """
import os, sys, threading
from pathlib import Path
from reprolock.tracker import open_tracker, warm
from reprolock.tracker.tracking_uri import find_place
heavy = HEAVY
place = find_place(None, Path.cwd(), os.environ)
tracker = open_tracker(place, os.environ, Path.home())
print([name for name in heavy if name in sys.modules])
""".replace("HEAVY", repr(HEAVY))
WARM = """
warm(place)
for thread in threading.enumerate():
    if thread.name == "load-mlflow":
        thread.join()
print([name for name in heavy if name in sys.modules])
print(os.environ.get("MLFLOW_DISABLE_TELEMETRY"))
"""
TELEMETRY = "import mlflow.telemetry; print(mlflow.telemetry.get_telemetry_client())"


def say(script: str, environ: dict[str, str], folder: Path) -> list[str]:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)} | environ
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_opening_loads_nothing(tmp_path: Path) -> None:
    assert say(START, {}, tmp_path) == ["[]"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("before", [None, "false"])
def test_warming_loads_mlflow_without_telemetry_and_leaves_the_variable(tmp_path: Path, before: str | None) -> None:
    environ = {} if before is None else {"MLFLOW_DISABLE_TELEMETRY": before}
    _, loaded, variable, client = say(START + WARM + TELEMETRY, environ, tmp_path)
    assert "'mlflow'" in loaded
    assert (variable, client) == (str(before), "None")


def test_a_server_needs_no_warming(tmp_path: Path) -> None:
    assert say(START + WARM, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}, tmp_path) == ["[]", "[]", "None"]


def test_a_tracker_waits_for_what_loads_mlflow(tmp_path: Path) -> None:
    """Where loading fails in the thread, for lack of memory say, the module would be without half of its names here."""
    told = say(
        START
        + """
import reprolock.tracker as package, time
def slow():
    time.sleep(0.3)
    print("loaded")
package._load = slow
warm(place)
from datetime import UTC, datetime
tracker.create("x", None, datetime.now(UTC))
print("made")
""",
        {},
        tmp_path,
    )
    assert told == ["[]", "loaded", "made"]
