"""Servers of other kinds: one that asks who is there, and one that leaves artifacts to its clients."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import services
from recorded import tracker_at

from reprolock.errors import ServiceError
from reprolock.model.record import Record

PASSWORD = "pw-Zq81xx-and-more"


def start(folder: Path, *options: str, environ: dict[str, str], health: str = "/health") -> services.Server:
    """An MLflow server with options of its own."""
    port = services.free_port()
    argv = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    argv += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", *options]
    environ = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **environ}
    server = services.Server("MLflow server", argv, environ, port, health, folder)
    folder.mkdir()
    server.start()
    return server


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[services.Server]:
    """MLflow's own basic authentication; admin's password stands in its configuration file."""
    pytest.importorskip("flask_wtf", reason="MLflow's basic-auth app needs Flask-WTF (mlflow[auth])")
    settings = tmp_path / "auth.ini"
    settings.write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
        f"admin_password = {PASSWORD}\ndatabase_uri = sqlite:///{tmp_path}/auth.db\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environ = {"MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "for the tests"}
    server = start(tmp_path / "server", "--app-name", "basic-auth", environ=environ)
    yield server
    server.stop()


def test_keys_that_are_missing_wrong_and_right(
    guarded: services.Server, record: Record, files: dict[str, Path], tmp_path: Path
) -> None:
    wrong = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "wrong-Zq81xx"}
    for environ in ({}, wrong, {"MLFLOW_TRACKING_TOKEN": "wrong-Zq81xx"}):
        with pytest.raises(ServiceError) as refused:
            tracker_at(guarded.endpoint, tmp_path, environ).create("x", None, record.started)
        assert (refused.value.message, refused.value.hint, refused.value.exit_code) == (
            f"MLflow at {guarded.endpoint} (mlflow.tracking_uri in repro.toml) does not accept the user name and password",
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
            5,
        )
    right = tracker_at(guarded.endpoint, tmp_path, wrong | {"MLFLOW_TRACKING_PASSWORD": PASSWORD})
    run_id = right.create("x", None, record.started)
    right.log(run_id, record, files)

    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text(
        f"[mlflow]\nmlflow_tracking_username = admin\nmlflow_tracking_password = {PASSWORD}\n"
    )
    assert tracker_at(guarded.endpoint, tmp_path).read(run_id) == record
    (tmp_path / ".mlflow" / "credentials").unlink()
    in_address = guarded.endpoint.replace("://", f"://admin:{PASSWORD}@")
    assert tracker_at(in_address, tmp_path).read(run_id) == record


def test_a_server_that_leaves_artifacts_to_its_clients(record: Record, files: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    server = start(tmp_path / "server", "--no-serve-artifacts", "--default-artifact-root", str(folder), environ={})
    try:
        tracker = tracker_at(server.endpoint, tmp_path)
        run_id = tracker.create("x", None, record.started)
        tracker.log(run_id, record, files)
        assert tracker.read(run_id) == record
        logged = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        names = ("code.tar.gz", "record.json", "repro.lock", "repro.toml", "spark/events.ndjson")
        assert logged == {f"1/{run_id}/artifacts/reprolock/{name}" for name in names}
    finally:
        server.stop()


def test_a_server_with_a_prefix_of_its_own(record: Record, files: dict[str, Path], tmp_path: Path) -> None:
    """`--static-prefix`: its pages and its API stand under a path, which is part of the address."""
    server = start(tmp_path / "server", "--static-prefix", "/team/ml", environ={}, health="/team/ml/health")
    try:
        tracker = tracker_at(f"{server.endpoint}/team/ml", tmp_path)
        run_id = tracker.create("x", None, record.started)
        tracker.log(run_id, record, files)
        assert tracker.read(run_id) == record
        assert tracker.artifact(run_id, "repro.lock") == files["repro.lock"].read_bytes()
    finally:
        server.stop()


def test_what_only_mlflows_client_can_do_is_left_to_it(
    mlflow_server: services.Server, record: Record, tmp_path: Path
) -> None:
    tracker = tracker_at(mlflow_server.endpoint, tmp_path, {"MLFLOW_TRACKING_AUTH": "some-plug-in"})
    tracker.create("x", None, record.started)
    assert type(tracker._store).__name__ == "ClientStore"
    assert type(tracker_at(mlflow_server.endpoint, tmp_path)._store).__name__ == "RestStore"
