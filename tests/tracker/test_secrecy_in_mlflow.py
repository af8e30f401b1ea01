"""Keys that a tracker was given, or that stand around it, are in nothing that it wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from recorded import tracker_at

from reprolock.model.record import Record
from reprolock.tracker.outbox import Outbox, log_or_keep

ROOT = Path(__file__).parents[2]
KEY = "pw-Zq81xx/planted+key"
"""Stands in for every key that a run has around it."""
VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "HF_TOKEN",
)


def bytes_under(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


RUN = """
import sys
from pathlib import Path
import os
from reprolock.model.record import Record
from reprolock.tracker import open_tracker
from reprolock.tracker.outbox import Outbox, log_or_keep
from reprolock.tracker.tracking_uri import find_place
root = Path(sys.argv[1])
record = Record.model_validate_json((root / "record").read_bytes())
tracker = open_tracker(find_place(None, root / "project", os.environ), os.environ, root)
run_id = tracker.create(record.experiment, None, record.started)
print(tracker.log(run_id, record, {"record-copy": root / "record"}), tracker.runs()[0].run_id == run_id)
"""


def test_no_key_is_in_the_database_nor_the_artifacts(tmp_path: Path, ended: Record) -> None:
    (tmp_path / "record").write_text(ended.model_dump_json())
    environ = {name: os.environ[name] for name in ("PATH", "HOME")} | dict.fromkeys(VARIABLES, KEY)
    argv = [sys.executable, "-c", RUN, str(tmp_path)]
    done = subprocess.run(argv, env=environ, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("() True\n", "")
    written = bytes_under(tmp_path / "project")
    assert b"lakefs_head_commit_id" in written and b"record-copy" not in written.replace(b"reprolock/record-copy", b"")
    assert KEY.encode() not in written


def test_no_password_of_the_address_is_kept_on_disk(tmp_path: Path, ended: Record, files: dict[str, Path]) -> None:
    uri = f"http://ann:{KEY.replace('/', '%2F')}@127.0.0.1:1"
    tracker = tracker_at(uri, tmp_path, {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"})
    outbox = Outbox(tmp_path / "outbox")
    kept = log_or_keep(tracker, outbox, "0" * 32, ended, files)
    assert (
        str(kept.error) == "no answer from MLflow at http://127.0.0.1:1 (mlflow.tracking_uri in repro.toml) after 1 try"
    )
    written = bytes_under(tmp_path / "outbox")
    assert b'"tracking_uri": "http://127.0.0.1:1"' in written
    assert b"Zq81xx" not in written
    assert "Zq81xx" not in repr(tracker_at(uri, tmp_path)) + str(tracker.place) + repr(kept)
