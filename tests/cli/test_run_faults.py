"""`run` when things go wrong: signals, kills, services that are down, pins that are gone, full disks, keys."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import services
from breakable_proxy import breakable_proxy
from command_line import Cli
from mlflow.tracking import MlflowClient
from project import Project, in_background, lines_of, wait_for

from reprolock.files.journal import Journal
from reprolock.files.lock_file import read_lock, write_lock
from reprolock.files.secrets import Scanner
from reprolock.lake.git.lake import GitLake
from reprolock.model.lock import DatasetPin

WAITS = """
    import os, pathlib, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    pathlib.Path(os.environ["HERE"], "started").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(300)
"""
HERE = 'pass_env = ["HERE"]'


@pytest.fixture
def waiting(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A locked project whose command waits, with a child, until somebody ends it."""
    project.edit("[run]", f"[run]\n{HERE}")
    project.script(WAITS)
    monkeypatch.setenv("HERE", str(project.root))
    assert cli("lock").code == 0
    return project


def started(project: Project) -> list[int]:
    """The processes of the command, once it is under way and its opening record stands in MLflow."""
    note = project.root / "started"
    wait_for(lambda: note.exists() and note.read_text())
    wait_for(lambda: project.artifacts(project.record.run_id)[1:2] == ["reprolock/record.json"])
    return [int(word) for word in note.read_text().split()]


def are_gone(processes: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in processes)


# Signals and kills


@pytest.mark.parametrize(("number", "word", "code"), [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)])
def test_a_run_that_is_ended(waiting: Project, number: int, word: str, code: int) -> None:
    with in_background(waiting.root, "run") as process:
        children = started(waiting)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    record = waiting.record
    assert err.endswith(
        f"error: the run was ended: {word}\n"
        f"hint: `reprolock show {record.run_id[:8]}` shows the record; its folder is .reprolock/runs/{record.run_id}\n"
    )
    assert (process.returncode, out) == (code, "")
    assert are_gone(children)
    assert (record.status, record.ending.signal, record.ending.reason) == ("KILLED", number, word)
    assert waiting.stored().info.status == "KILLED"
    assert waiting.stored_record(record.run_id) == record


def test_a_killed_reprolock_is_closed_by_the_next_command(waiting: Project, cli) -> None:
    with in_background(waiting.root, "run") as process:
        children = started(waiting)
        process.kill()
        process.wait()
        wait_for(lambda: are_gone(children))  # the guard sees to that
        run_id = waiting.record.run_id
        assert waiting.stored().info.status == "RUNNING"
        assert waiting.record.status == "RUNNING"
        said = cli("status")
        assert (said.code, said.err) == (0, "")
        assert are_gone(children)
    record = waiting.record
    assert (record.run_id, record.status, record.ending.reason) == (run_id, "KILLED", "reprolock was killed")
    assert waiting.stored().info.status == "KILLED"
    assert waiting.stored_record(run_id) == record
    # What a replay needs was there from the start.
    assert waiting.artifacts(run_id) == [
        "reprolock/code.tar.gz", "reprolock/record.json", "reprolock/repro.lock", "reprolock/repro.toml",
    ]  # fmt: skip
    assert not list((waiting.root / ".reprolock/open").glob("*.json"))


def test_a_reprolock_that_is_killed_on_its_last_step(project: Project, cli) -> None:
    """The record had its end on the disk, and MLflow had not: the next command tells it, and does not say KILLED."""
    cli("lock")
    assert cli("run", "-q").code == 0
    record = project.record
    MlflowClient(project.database).update_run(record.run_id, status="RUNNING")
    Journal.open(project.root, record.run_id, project.database, record.started).release()
    assert cli("status").code == 0
    assert project.record == record
    assert project.stored().info.status == "FINISHED"
    assert not list((project.root / ".reprolock/open").glob("*.json"))


def test_a_run_that_is_under_way_is_not_closed_by_another_command(waiting: Project, cli) -> None:
    with in_background(waiting.root, "run") as process:
        children = started(waiting)
        assert cli("status").code == 0
        assert waiting.record.status == "RUNNING"
        assert not are_gone(children)
        process.terminate()
        process.communicate(timeout=60)
    assert waiting.record.status == "KILLED"
    assert waiting.record.ending.reason == "SIGTERM"


def test_two_runs_at_once(project: Project, cli) -> None:
    project.add('[outputs.model]\npath = "model.txt"\n')
    project.script("""
        import os, pathlib, time
        time.sleep(1)
        pathlib.Path("model.txt").write_text(os.environ["MLFLOW_RUN_ID"])
    """)
    assert cli("lock").code == 0
    with in_background(project.root, "run") as one, in_background(project.root, "run") as other:
        ends = [process.communicate(timeout=90) for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], ends
    stored = project.all_stored()
    assert [run.info.status for run in stored] == ["FINISHED", "FINISHED"]
    records = [project.stored_record(run.info.run_id) for run in stored]
    assert len({record.outputs[0].digest for record in records}) == 2  # each wrote its own, into a folder of its own
    last = (project.root / "model.txt").read_text()
    [first] = [run.info.run_id for run in stored if run.info.run_id != last]
    assert (project.root / ".reprolock/replaced" / last / "model.txt").read_text() == first


# Locks and pins


def test_a_stale_lock(project: Project, cli) -> None:
    cli("lock")
    project.edit('format = "csv"', 'format = "csv"\nglob = "*.csv"')
    for arguments in (["run"], ["run", "--locked"], ["run", "--dry-run"]):
        said = cli(*arguments)
        assert said.err == (
            'error: repro.lock is out of date: datasets.train.glob is "*.csv", pinned for not set\n'
            "hint: run `reprolock lock` and commit repro.lock\n"
        )
        assert (said.code, said.out) == (3, "")
    assert project.all_stored() == []
    assert cli("run", "--relock").code == 0
    assert cli("lock", "--check").code == 0


def test_a_pinned_commit_that_is_gone(project: Project, cli) -> None:
    cli("lock")
    [pinned] = json.loads(cli("show", "--lock", "--json").out)["dataset"]
    shutil.rmtree(project.root / "lake")
    other = GitLake(project.root / "lake", "file:lake")
    other.create_repository("example-repo")
    other.put("example-repo", "main", "train/a.csv", io.BytesIO(b"other data"))
    other.commit("example-repo", "main", "Another history")
    said = cli("run")
    assert said.err == (
        f"error: dataset train is pinned at {pinned['resolved']}, which is gone: "
        f'no branch, tag or commit "{pinned["commit"]}" in the repository "example-repo"\n'
        "hint: restore the commit in the lake; `reprolock lock --upgrade` pins what is there now\n"
    )
    assert said.code == 4
    assert project.all_stored() == []


# Services


def closed_port() -> str:
    return f"http://127.0.0.1:{services.free_port()}"


def test_mlflow_is_down_before(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    address = closed_port()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    project.add(f'[mlflow]\ntracking_uri = "{address}"\n')
    cli("lock")
    said = cli("run")
    assert said.err == (
        f"error: no answer from MLflow at {address} (mlflow.tracking_uri in repro.toml) after 2 tries\n"
        "hint: see whether it is running; `reprolock run --offline` records on disk and `reprolock sync` sends it later\n"
    )
    assert (said.code, said.out) == (5, "")
    assert not (project.root / ".reprolock/runs").exists()


@pytest.fixture
def server(mlflow_server: services.Server) -> Iterator[services.Server]:
    """The MLflow server, for a test that ends it; it runs again afterwards."""
    yield mlflow_server
    if mlflow_server.process is None:
        mlflow_server.start()


def test_mlflow_goes_down_during_a_run(
    project: Project, cli, server: services.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("HERE", str(project.root))
    project.edit("[run]", f"[run]\n{HERE}")
    project.add(f'[params]\nrate = 0.5\n\n[mlflow]\ntracking_uri = "{server.endpoint}"\nexperiment = "goes-down"\n')
    project.script("""
        import os, pathlib, time
        import mlflow
        mlflow.log_metric("loss", 0.25)
        pathlib.Path(os.environ["HERE"], "logged").touch()
        while not pathlib.Path(os.environ["HERE"], "down").exists():
            time.sleep(0.05)
    """)
    cli("lock")

    def stop() -> None:
        wait_for((project.root / "logged").exists)
        wait_for(lambda: len(project.artifacts(project.record.run_id, server.endpoint)) == 4)
        server.stop()
        (project.root / "down").touch()

    thread = threading.Thread(target=stop)
    thread.start()
    said = cli("run")
    thread.join()
    away = f"no answer from MLflow at {server.endpoint} (mlflow.tracking_uri in repro.toml) after 1 try"
    assert lines_of(said.err, "warning") == [
        f"warning: the metrics that the command logged could not be read: {away}",
        f"warning: the record is kept in .reprolock/outbox until `reprolock sync`: {away}",
    ]
    record = project.record
    assert lines_of(said.err, "Kept") == ["Kept     on disk: `reprolock sync` sends it to MLflow"]
    assert lines_of(said.err, "Look") == [f"Look     reprolock show {record.run_id[:8]}"]
    assert (said.code, record.status) == (0, "FINISHED")

    said = cli("sync")
    assert lines_of(said.err, "warning") == [f"warning: run {record.run_id[:8]} stays"]
    assert said.code == 5

    server.start()
    assert cli("sync") == (0, f"Sent run {record.run_id[:8]}\n", "")
    assert cli("sync") == (0, "Nothing to send\n", "")
    stored = project.stored(record.run_id, server.endpoint)
    assert (stored.info.status, stored.data.params, stored.data.metrics) == (
        "FINISHED",
        {"rate": "0.5"},
        {"loss": 0.25},
    )
    assert len(stored.inputs.dataset_inputs) == 1
    assert len(project.artifacts(record.run_id, server.endpoint)) == 4
    history = MlflowClient(server.endpoint).get_metric_history(record.run_id, "loss")
    assert [metric.value for metric in history] == [0.25]
    assert len(project.all_stored(server.endpoint, "goes-down")) == 1
    # What could not be read then is known now, here as there.
    assert project.stored_record(record.run_id, server.endpoint).metrics == {"loss": 0.25}
    assert project.record.metrics == {"loss": 0.25}


CREATE = b"POST /api/2.0/mlflow/runs/create"


def test_mlflows_answer_is_lost_when_it_has_made_the_run(project: Project, cli, mlflow_server: services.Server) -> None:
    with breakable_proxy(int(mlflow_server.endpoint.rpartition(":")[2])) as proxy:
        project.add(f'[mlflow]\ntracking_uri = "{proxy.endpoint}"\nexperiment = "lost-answer"\n')
        cli("lock")
        proxy.cut_answer_to = CREATE
        said = cli("run", "-q")
        assert (proxy.cuts, said) == (1, (0, "hello\n", ""))
    [stored] = project.all_stored(mlflow_server.endpoint, "lost-answer")
    assert (stored.info.run_id, stored.info.status) == (project.record.run_id, "FINISHED")


def test_a_reprolock_that_is_killed_before_it_knows_its_run(
    project: Project, cli, mlflow_server: services.Server
) -> None:
    with breakable_proxy(int(mlflow_server.endpoint.rpartition(":")[2])) as proxy:
        project.add(f'[mlflow]\ntracking_uri = "{proxy.endpoint}"\nexperiment = "killed-early"\n')
        cli("lock")
        proxy.cut_answer_to = CREATE
        with in_background(project.root, "run") as process:
            proxy.at_cut = process.kill
            process.wait(60)
        assert proxy.cuts == 1
        [stored] = project.all_stored(mlflow_server.endpoint, "killed-early")
        assert stored.info.status == "RUNNING"
        assert cli("status").code == 0
    [stored] = project.all_stored(mlflow_server.endpoint, "killed-early")
    assert (stored.info.status, stored.data.tags["reprolock.reason"]) == ("KILLED", "reprolock was killed")
    assert stored.data.tags["reprolock.run_id"] == stored.info.run_id
    assert not list((project.root / ".reprolock/open").glob("*.json"))


def test_offline_and_sync(project: Project, cli, mlflow_server: services.Server) -> None:
    project.add(f'[params]\nrate = 0.5\n\n[mlflow]\ntracking_uri = "{closed_port()}"\nexperiment = "offline"\n')
    project.script("""
        import mlflow
        for step in range(3):
            mlflow.log_metric("loss", 1 - step / 4, step=step)
        mlflow.log_metric("broken", float("nan"))
    """)
    cli("lock")
    said = cli("run", "--offline")
    record = project.record
    assert lines_of(said.err, "warning", "error") == []
    assert lines_of(said.err, "Kept") == ["Kept     on disk: `reprolock sync` sends it to MLflow"]
    assert said.code == 0
    assert str(record.metrics) == "{'loss': 0.5, 'broken': nan}"
    # The address that a person names later is another one: the server that is up now.
    said = cli("sync", "--tracking-uri", mlflow_server.endpoint, "--json")
    [sent] = json.loads(said.out)["sent"]
    assert (sent["run_id"], sent["error"], said.code) == (record.run_id, None, 0)
    stored = project.stored(sent["mlflow_run"], mlflow_server.endpoint)
    assert str(stored.data.metrics) in ("{'loss': 0.5, 'broken': nan}", "{'broken': nan, 'loss': 0.5}")
    assert (stored.info.status, stored.data.params) == ("FINISHED", {"rate": "0.5"})
    assert stored.data.tags["reprolock.run_id"] == record.run_id
    assert [given.dataset.name.partition(" ")[0] for given in stored.inputs.dataset_inputs] == ["train"]
    assert cli("sync", "--tracking-uri", mlflow_server.endpoint).out == "Nothing to send\n"
    assert len(project.all_stored(mlflow_server.endpoint, "offline")) == 1


def test_an_offline_run_that_is_killed_is_sent_too(waiting: Project, cli) -> None:
    with in_background(waiting.root, "run", "--offline") as process:
        wait_for((waiting.root / "started").exists)
        wait_for((waiting.root / ".reprolock/outbox" / waiting.record.run_id / "outbox.json").exists)
        process.kill()
        process.wait()
    assert cli("status").code == 0
    assert waiting.record.status == "KILLED"
    said = cli("sync")
    assert (said.code, said.err) == (0, "")
    [stored] = waiting.all_stored()
    assert stored.info.status == "KILLED"
    assert said.out == f"Sent run {waiting.record.run_id[:8]} as {stored.info.run_id[:8]}\n"


@pytest.mark.parametrize("set_keys", [True, False], ids=["down", "no keys"])
def test_a_lakefs_that_cannot_be_asked(project: Project, cli, monkeypatch: pytest.MonkeyPatch, set_keys: bool) -> None:
    cli("lock")
    address = closed_port()
    monkeypatch.setenv("HOME", str(project.root / "home"))
    if set_keys:
        monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", address)
        monkeypatch.setenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", "AKIAIOSFOLKFSSAMPLES")
        monkeypatch.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    project.edit('endpoint = "file:lake"', f'endpoint = "{address}"')
    lock_for_lakefs(project)
    said = cli("run")
    if set_keys:
        assert said.err.startswith(f"error: no answer from lakeFS at {address} (LAKECTL_SERVER_ENDPOINT_URL) after ")
    else:
        assert said.err.startswith(
            f"error: no credentials are known for the lakeFS at {address} (repro.toml)\nhint: set LAKECTL_"
        )
    assert said.code == 5
    assert project.all_stored() == []


def lock_for_lakefs(project: Project) -> None:
    """A lock of a lakeFS that no longer answers: made here, since no lakeFS is needed to find it away."""
    lock = read_lock(project.root)
    assert lock is not None
    pins = tuple(DatasetPin.sealed(**pin.model_dump(exclude={"seal"}) | {"kind": "lakefs"}) for pin in lock.dataset)
    write_lock(project.root, lock.model_copy(update={"dataset": pins}), Scanner({}))


def test_a_spec_that_names_another_lakefs_than_the_keys_belong_to(
    project: Project, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("lock")
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", "https://lakefs.example.com")
    monkeypatch.setenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", "AKIAIOSFOLKFSSAMPLES")
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    project.edit('endpoint = "file:lake"', 'endpoint = "https://lakefs.example.org"')
    lock_for_lakefs(project)
    said = cli("run")
    assert said.err.startswith(
        "error: no credentials may be sent to the lakeFS at https://lakefs.example.org that repro.toml names: "
        "those of LAKECTL_CREDENTIALS_ACCESS_KEY_ID belong to https://lakefs.example.com\n"
    )
    assert said.code == 2


# Disks and keys


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/mounts").exists(), reason="mounting a small disk needs root on Linux"
)
def test_a_full_disk(project: Project, cli) -> None:
    cli("lock")
    own = project.root / ".reprolock"
    shutil.rmtree(own)
    own.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(own)], capture_output=True).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        cli("run", "--dry-run")  # makes the data's tree and the small files, so that a run's own folder is what fails
        with (own / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
            while True:
                filler.write(b"\0" * 512)
        said = cli("run")
        [path] = re.findall(r"(\S+/\.reprolock/open/[0-9a-f]{32}\.json) cannot", said.err)
        assert said == (
            8,
            "",
            f"error: {path} cannot be written: the disk is full\n"
            f"hint: free space on the disk that holds {own}/open and try again\n",
        )
        assert project.all_stored() == []
    finally:
        subprocess.run(["umount", str(own)], check=True)


def test_a_key_in_what_a_call_gives(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    project.add('[params]\nmodel = "small"\n')
    cli("lock")
    monkeypatch.setenv("SOME_TOKEN", "k3y-that-is-long")
    for arguments, place in (
        (["--set", "model=k3y-that-is-long"], "--set model"),
        (["--name", "k3y-that-is-long"], "--name"),
    ):
        said = cli("run", *arguments)
        assert said.err == (
            f"error: {place} carries the value of SOME_TOKEN\n"
            "hint: remove it, and read it from a variable (run.pass_env passes one to the command)\n"
        )
        assert said.code == 2
    assert project.all_stored() == []


def test_a_key_in_the_code(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    project.script("\n\nkey = 'k3y-that-is-long'")
    cli("lock")
    monkeypatch.setenv("SOME_TOKEN", "k3y-that-is-long")
    said = cli("run")
    assert said.err.startswith("error: train.py:3 carries the value of SOME_TOKEN\n")
    assert said.code == 2
    assert project.all_stored() == []


def test_a_user_without_a_home(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container's, whose user ID is a number alone."""

    def unknown(user: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert cli("status") == (
        8,
        "",
        f"error: HOME is not set, and user {os.getuid()} has no home folder on this machine\n"
        "hint: set HOME to a folder that this user may write to\n",
    )


def test_a_library_for_which_there_is_no_memory(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise ImportError("/lib/_umath.so: failed to map segment from shared object")

    monkeypatch.setattr("reprolock.cli.main.import_module", load)
    said = cli("status")
    assert (said.code, said.err) == (8, "error: there is not enough memory\nhint: end other programs and try again\n")


def test_links_of_the_code_that_lead_nowhere_in_a_run_are_named(project: Project, cli) -> None:
    """As git-annex makes them, and people to a folder that git ignores."""
    data = project.root / ".venv/data.csv"  # hidden, so no code
    data.parent.mkdir()
    data.write_text("1\n")
    (project.root / "data.csv").symlink_to(".venv/data.csv")
    project.script("import os; print(os.path.exists('data.csv'))")
    assert cli("lock").code == 0
    sentence = "warning: data.csv is a link to .venv/data.csv, which is not among the code, and a run's folder has no such file"
    assert cli("run", "-q", "--offline") == (0, "False\n", f"{sentence}\n")
    (project.root / "more.csv").symlink_to("data.csv")
    assert cli("run", "-q", "--offline") == (0, "False\n", f"{sentence}; 1 more likewise\n")
