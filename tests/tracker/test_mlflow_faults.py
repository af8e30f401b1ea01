"""What goes wrong with MLflow, each with its whole sentence, its hint and its exit code."""

from __future__ import annotations

import http.server
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest
import services
from recorded import tracker_at

from reprolock.errors import ReprolockError
from reprolock.model.record import Record
from reprolock.tracker.mlflow_tracker import MlflowTracker

ROOT = Path(__file__).parents[2]
DECLARED = "mlflow.tracking_uri in repro.toml"
OFFLINE = "`reprolock run --offline` records on disk and `reprolock sync` sends it later"


def problem_of(tracker: MlflowTracker, record: Record) -> tuple[str, str | None, int]:
    """What `create` raises: sentence, hint, exit code."""
    with pytest.raises(ReprolockError) as raised:
        tracker.create(record.experiment, None, record.started)
    return raised.value.message, raised.value.hints, raised.value.exit_code


def test_nobody_listens(record: Record, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{services.free_port()}"
    before = time.monotonic()
    assert problem_of(tracker_at(address, tmp_path), record) == (
        f"no answer from MLflow at {address} ({DECLARED}) after 3 tries",
        f"see whether it is running; {OFFLINE}",
        5,
    )
    assert time.monotonic() - before < 6


def test_a_fresh_process_says_it_once(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{services.free_port()}"
    said = create_at(address, tmp_path)
    assert said == [
        f"no answer from MLflow at {address} ({DECLARED}) after 3 tries",
        f"see whether it is running; {OFFLINE}",
        "5",
    ]


def test_the_users_own_patience_counts(record: Record, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environ = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "1"}
        message, _, code = problem_of(tracker_at(address, tmp_path, environ), record)
    assert (message, code) == (f"no answer from MLflow at {address} ({DECLARED}) after 1 try", 5)


def test_a_password_in_the_address_is_never_said(record: Record, tmp_path: Path) -> None:
    port = services.free_port()
    with pytest.raises(ReprolockError) as raised:
        tracker_at(f"http://ann:pw-Zq81xx@127.0.0.1:{port}", tmp_path).create("x", None, record.started)
    shown: BaseException | None = raised.value
    while shown is not None:
        assert "pw-Zq81xx" not in f"{shown!r} {shown}"
        shown = shown.__cause__


@pytest.fixture
def not_mlflow(tmp_path: Path) -> Iterator[str]:
    """Another real server: Python's own, of files."""
    (tmp_path / "web").mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path / "web"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_something_else_listens(record: Record, tmp_path: Path, not_mlflow: str) -> None:
    assert problem_of(tracker_at(not_mlflow, tmp_path), record) == (
        f"the server at {not_mlflow} ({DECLARED}) is not an MLflow tracking server",
        "correct the address",
        5,
    )


def test_a_server_that_ends_and_comes_back(
    own_server: services.Server, record: Record, files: dict[str, Path], tmp_path: Path
) -> None:
    tracker = tracker_at(own_server.endpoint, tmp_path)
    run_id = tracker.create(record.experiment, None, record.started)
    own_server.stop()
    with pytest.raises(ReprolockError) as raised:
        tracker.log(run_id, record, files)
    assert str(raised.value) == f"no answer from MLflow at {own_server.endpoint} ({DECLARED}) after 3 tries"
    own_server.start()
    assert tracker.log(run_id, record, files) == ()
    assert tracker.read(run_id) == record


CREATE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from reprolock.errors import ReprolockError
from reprolock.tracker import open_tracker
from reprolock.tracker.tracking_uri import Place
try:
    tracker = open_tracker(Place(sys.argv[1], "mlflow.tracking_uri in repro.toml"), {}, Path("/nowhere"))
    print(len(tracker.create("x", None, datetime.now(UTC))))
except ReprolockError as error:
    print(error, error.hints, error.exit_code, sep="\\n")
"""


def create_in(file: Path, home: Path) -> list[str]:
    """What `create_at` says for an SQLite file."""
    return create_at(f"sqlite:///{file}", home)


def create_at(uri: str, home: Path) -> list[str]:
    """The lines of a fresh process that creates a run: MLflow looks at a file's schema once a process."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    argv = [sys.executable, "-c", CREATE, uri]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, env=environ, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.long
def test_a_file_of_another_mlflow(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    assert create_in(file, tmp_path) == ["32"]
    with sqlite3.connect(file) as database:
        (needed,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    assert create_in(file, tmp_path) == [
        f"{file} ({DECLARED}) has the schema 451aebb31d03 of an older MLflow, and MLflow {mlflow.__version__} needs {needed}",
        f"copy the file, then run `mlflow db upgrade sqlite:///{file}`",
        "4",
    ]
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    assert create_in(file, tmp_path) == [
        f"{file} ({DECLARED}) has the schema ffffffffffff of another MLflow, and MLflow {mlflow.__version__} needs {needed}",
        "use the MLflow that made it, or name another file in mlflow.tracking_uri",
        "4",
    ]


def test_creating_a_run_leaves_one_file_and_says_nothing_else(tmp_path: Path) -> None:
    assert create_in(tmp_path / "project" / "mlflow.db", tmp_path) == ["32"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project"]
    assert sorted(path.name for path in (tmp_path / "project").iterdir()) == [".reprolock", "mlflow.db"]


def test_two_first_runs_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: create_in(tmp_path / "mlflow.db", tmp_path), range(2)))
    assert both == [["32"], ["32"]]


def _has_begun(path: Path) -> bool:
    """Whether this is a database in the making; a journal beside it comes and goes."""
    try:
        return path.name.startswith(".mlflow.db") and path.stat().st_size > 0
    except FileNotFoundError:
        return False


def test_a_first_run_that_was_killed_leaves_no_half_database(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    process = subprocess.Popen([sys.executable, "-c", CREATE, f"sqlite:///{file}"], cwd=ROOT)
    while not any(_has_begun(path) for path in tmp_path.iterdir()):
        time.sleep(0.01)
        assert process.poll() is None
    process.kill()
    process.wait()
    assert file.stat().st_size == 0
    assert create_in(file, tmp_path) == ["32"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".reprolock", "mlflow.db"]


def test_a_file_that_is_no_database(record: Record, tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.write_text("this is a text, and long enough to be looked at " * 40)
    assert problem_of(tracker_at(f"sqlite:///{file}", tmp_path), record) == (
        f"{file} ({DECLARED}) is not an SQLite database, or is damaged",
        "move it away, or name another file",
        8,
    )


def test_a_folder_in_the_way(record: Record, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    message, _, code = problem_of(tracker_at(f"sqlite:///{tmp_path}/x/mlflow.db", tmp_path), record)
    assert (message, code) == (f"{tmp_path}/x cannot be written: another file or folder has its name", 8)
    (tmp_path / "mlflow.db").mkdir()
    assert problem_of(tracker_at(f"sqlite:///{tmp_path}/mlflow.db", tmp_path), record) == (
        f"{tmp_path}/mlflow.db ({DECLARED}) cannot be written: permission denied or read-only",
        f"allow yourself to write in {tmp_path}, or name another file in mlflow.tracking_uri",
        8,
    )


def in_a_small_disk(folder: Path, prepare: str) -> str:
    """Create a run in `folder`/mlflow.db, after a shell line has prepared the folder; stdout and stderr together."""
    script = f'{prepare}; cd "$2" && "$3" -c "$4" "sqlite:///$1/mlflow.db" 2>&1'
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", folder, ROOT, sys.executable, CREATE]
    try:
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        pytest.skip("no `unshare`: a small disk cannot be mounted here")
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    return done.stdout


def test_a_full_disk(tmp_path: Path) -> None:
    assert in_a_small_disk(tmp_path, 'mount -t tmpfs -o size=200k none "$1"') == (
        f"{tmp_path}/mlflow.db ({DECLARED}) cannot be written: the disk is full\n"
        f"free space on the disk that holds {tmp_path} and try again\n8\n"
    )


def test_a_disk_that_is_read_only(tmp_path: Path, record: Record) -> None:
    tracker_at(f"sqlite:///{tmp_path}/mlflow.db", tmp_path).create("x", None, record.started)
    assert in_a_small_disk(tmp_path, 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"') == (
        f"{tmp_path}/mlflow.db ({DECLARED}) cannot be written: permission denied or read-only\n"
        f"allow yourself to write in {tmp_path}, or name another file in mlflow.tracking_uri\n8\n"
    )


DIES = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
connection.execute("CREATE TABLE half (text)")
connection.executemany("INSERT INTO half VALUES (?)", [("x" * 1000,)] * 500)
os._exit(0)
"""


def test_a_writer_that_died(record: Record, tmp_path: Path) -> None:
    """Its journal stands beside the file, and is undone by the next who opens it: a reader, too."""
    file = tmp_path / "mlflow.db"
    tracker_at(f"sqlite:///{file}", tmp_path).create("x", None, record.started)
    subprocess.run([sys.executable, "-c", DIES, str(file)], check=True)
    assert (tmp_path / "mlflow.db-journal").stat().st_size > 0
    assert len(list(tracker_at(f"sqlite:///{file}", tmp_path).runs("x", recorded=False))) == 1
    assert not (tmp_path / "mlflow.db-journal").exists()


def test_a_locked_file(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reprolock.tracker.stores.sqlite_check._WAIT_SECONDS", 0.2)  # not to wait the whole twenty
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert problem_of(tracker_at(f"sqlite:///{file}", tmp_path), record) == (
            f"{file} ({DECLARED}) is locked by another program",
            "end that program and try again",
            8,
        )


def test_unknown_kinds_of_mlflow(record: Record, tmp_path: Path) -> None:
    assert problem_of(tracker_at("nonsense://x", tmp_path), record) == (
        f"nonsense://x ({DECLARED}) is no address that MLflow knows",
        'write "sqlite:///mlflow.db", or the address of an MLflow server',
        2,
    )


def test_databricks_without_credentials(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    assert problem_of(tracker_at("databricks", tmp_path), record) == (
        f"no credentials for MLflow at databricks ({DECLARED}) are here",
        'set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a profile of ~/.databrickscfg: "databricks://PROFILE"',
        5,
    )


@pytest.mark.parametrize(
    ("address", "module", "package", "requirement"),
    [
        ("postgresql+psycopg://ann:pw-Zq81xx@127.0.0.1:1/x", "psycopg", "psycopg", "psycopg[binary]"),
        ("postgresql+psycopg2://ann:pw-Zq81xx@127.0.0.1:1/x", "psycopg2", "psycopg2-binary", "psycopg2-binary"),
        ("mysql+pymysql://ann:pw-Zq81xx@127.0.0.1:1/x", "pymysql", "pymysql", "pymysql"),
        ("mysql://ann:pw-Zq81xx@127.0.0.1:1/x", "MySQLdb", "mysqlclient", "mysqlclient"),
        ("databricks", "databricks", "databricks-sdk", "databricks-sdk"),
    ],
)
def test_a_database_whose_driver_is_not_installed(
    address: str, module: str, package: str, requirement: str,
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)  # as where it is not installed
    shown = address.replace("ann:pw-Zq81xx@", "")
    assert problem_of(tracker_at(address, tmp_path), record) == (
        f"MLflow at {shown} ({DECLARED}) needs {package}, which is not installed beside reprolock",
        f'run `pip install "{requirement}"`, or with uv `uv pip install "{requirement}"`',
        8,
    )
