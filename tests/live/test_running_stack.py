"""The stack as a person uses it: a real object store, lakeFS and MLflow servers, started once, broken, restarted, ended."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest
import services
from command_line import Cli

from reprolock.engine.process_tree import MARKER
from reprolock.stack.files import read_keys, stack_folder
from reprolock.stack.verbs import down, status, up, variables

pytestmark = [pytest.mark.live, pytest.mark.long]
ROOT = Path(__file__).parents[2]
SPEC = """\
[project]
name = "flights"

[datasets.train]
uri = "lakefs://example-repo/main/train/"
format = "csv"
options = { header = true }

[run]
command = ["python", "train.py"]
code = ["train.py"]

[metrics]
rows = "exact"
"""
SCRIPT = """\
import mlflow, reprolock
rows = len(reprolock.current().dataset("train").pandas())
mlflow.log_metric("rows", rows)
mlflow.log_text("kept on MinIO", "note.txt")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose stack is up."""
    for name, program, reason in (
        ("MinIO", "minio", services.MINIO_ABSENT),
        ("lakeFS", "lakefs", services.LAKEFS_ABSENT),
    ):
        if absent := services.missing(name, program, reason):
            pytest.skip(absent)
        services.used.setdefault(name, "")
    root = tmp_path_factory.mktemp("a project?")  # a name that an address would not hold
    up(root)
    yield root
    down(root, purge=True)


@pytest.fixture
def exported(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What `stack env` prints, as a shell takes it."""
    text = cli("stack", "env", root=project).out
    shell = subprocess.run(["sh", "-c", f"{text} env -0"], env={}, capture_output=True, text=True, check=True).stdout
    found = dict(line.split("=", 1) for line in shell.split("\0") if line.startswith(("LAKECTL_", "MLFLOW_")))
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def processes(project: Path) -> list[psutil.Process]:
    """All that runs for the stack of a project."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER, "").startswith(str(project)) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            pass
    return found


def rows(text: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in text.splitlines()]


def asked(address: str) -> Any:
    with urllib.request.urlopen(address) as answer:
        return json.load(answer)


def test_it_is_up_and_says_where(project: Path, cli: Cli) -> None:
    said = cli("stack", "status", root=project)
    assert [row[:2] for row in rows(said.out)] == [["MinIO", "up"], ["lakeFS", "up"], ["MLflow", "up"]]
    before = status(project)
    again = cli("stack", "up", root=project)
    assert again == (0, "The stack is already running.\n", "")
    assert status(project) == before
    port = before.servers[1].endpoint.rpartition(":")[2]  # type: ignore[union-attr]
    assert cli("stack", "up", "--lakefs-port", port, root=project).code == 0
    said = cli("stack", "up", "--lakefs-port", "9", root=project)
    assert said == (
        2,
        "",
        f"error: the stack is up with lakeFS on port {port}, and --lakefs-port says 9\nhint: run `reprolock stack down` first\n",
    )
    assert status(project) == before


def test_env_prints_what_a_shell_and_a_program_take(project: Path, cli: Cli, exported: dict[str, str]) -> None:
    keys = read_keys(stack_folder(project))
    assert keys is not None
    assert exported == {
        "LAKECTL_SERVER_ENDPOINT_URL": status(project).servers[1].endpoint,
        "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": keys.lakefs_key_id,
        "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": keys.lakefs_secret,
        "MLFLOW_TRACKING_URI": status(project).servers[2].endpoint,
    }
    assert json.loads(cli("stack", "env", "--json", root=project).out) == exported


def test_a_project_without_a_lake_works_on_it(
    project: Path, cli: Cli, exported: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "repro.toml").write_text(SPEC)
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    for arguments in (
        ("data", "create", "lakefs://example-repo", "--storage", "s3://lakefs/example-repo"),
        ("data", "put", "a.csv", "lakefs://example-repo/main/train/"),
        ("data", "commit", "lakefs://example-repo/main", "-m", "Two rows"),
        ("lock",),
        ("run",),
    ):
        arguments = tuple(str(tmp_path / word) if word == "a.csv" else word for word in arguments)
        said = cli(*arguments)
        assert said.code == 0, said.err
    assert cli("data", "ls", "-r", "lakefs://example-repo/main/").out == "     12 B  train/a.csv\n"
    run = json.loads(cli("show", "--json").out)["run_id"]
    found = asked(f"{exported['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/runs/get?run_id={run}")["run"]
    assert [metric["value"] for metric in found["data"]["metrics"] if metric["key"] == "rows"] == [2]
    artifact = found["info"]["artifact_uri"].replace("mlflow-artifacts:/", "")
    assert (stack_folder(project) / "store/minio/mlflow" / artifact / "note.txt").is_dir()  # as MinIO keeps an object


def test_no_key_is_in_a_list_of_processes_or_in_a_log(project: Path, cli: Cli, exported: dict[str, str]) -> None:
    keys = read_keys(stack_folder(project))
    assert keys is not None
    seen = [" ".join(process.cmdline()) for process in processes(project)]
    assert len(seen) >= 3
    seen += [cli("stack", *words, root=project).out for words in (["logs"], ["status"], ["status", "--json"], ["up"])]
    seen += [path.read_text(errors="replace") for path in stack_folder(project).glob("*/log")]
    assert "Uvicorn running" in "".join(seen)
    for name, key in asdict(keys).items():
        assert not any(key in text for text in seen), name


def test_a_server_that_crashed_comes_back_as_it_was(project: Path, cli: Cli, exported: dict[str, str]) -> None:
    before = {server.name: server for server in status(project).servers}
    for name in ("lakefs", "mlflow"):
        crashed = psutil.Process(before[name].pid)
        crashed.kill()  # MLflow's worker outlives it, with its port
        crashed.wait()
    said = cli("stack", "env", root=project)
    assert (said.code, said.out) == (5, "")
    assert said.err == (
        f"error: lakeFS and MLflow of the stack in {stack_folder(project)} are not up\nhint: run `reprolock stack up`\n"
    )
    said = cli("stack", "up", root=project)
    assert [row[:2] for row in rows(said.out)[:3]] == [["MinIO", "was"], ["lakeFS", "started"], ["MLflow", "started"]]
    after = {server.name: server for server in status(project).servers}
    assert after["store"] == before["store"]
    assert [server.endpoint for server in after.values()] == [server.endpoint for server in before.values()]
    assert cli("data", "ls", "-r", "lakefs://example-repo/main/").out == "     12 B  train/a.csv\n"


def test_down_leaves_nothing_but_the_data(project: Path, cli: Cli) -> None:
    assert cli("stack", "down", root=project) == (0, "Ended MinIO, lakeFS, MLflow\n", "")
    assert processes(project) == []
    assert [row[:2] for row in rows(cli("stack", "status", root=project).out)] == [
        ["MinIO", "down"],
        ["lakeFS", "down"],
        ["MLflow", "down"],
    ]
    assert cli("stack", "down", root=project) == (0, "The stack was not running.\n", "")
    assert (stack_folder(project) / "lakefs" / "metadata").is_dir()


def test_an_up_that_fails_halfway_ends_what_it_started(project: Path, cli: Cli) -> None:
    """lakeFS finds a file where its metadata should be."""
    metadata = stack_folder(project) / "lakefs" / "metadata"
    aside = metadata.rename(metadata.with_name("aside"))
    metadata.write_text("")
    said = cli("stack", "up", root=project)
    assert (said.code, said.out) == (5, "")
    first, *rest = said.err.splitlines()
    assert first == "error: lakeFS did not come up: it ended, and says last"
    assert any("not a directory" in line for line in rest)
    assert rest[-1] == "hint: `reprolock stack logs lakefs` shows more of its log"
    assert processes(project) == []
    metadata.unlink()
    aside.rename(metadata)
    assert cli("stack", "down", "--purge", root=project) == (
        0,
        "The stack was not running.\nIts data was removed.\n",
        "",
    )
    assert not stack_folder(project).exists()


@pytest.mark.parametrize("store", ["versitygw", "seaweedfs"])
def test_another_store(cli: Cli, tmp_path: Path, store: str) -> None:
    """What was put there comes back by lakeFS after a restart."""
    title = services.STORES[store][0]
    absent = services.missing(*services.STORES[store]) or services.missing("lakeFS", "lakefs", services.LAKEFS_ABSENT)
    if absent:
        pytest.skip(absent)
    root = tmp_path / "a project"
    root.mkdir()
    try:
        said = cli("stack", "up", "--store", store, root=root)
        assert [row[:2] for row in rows(said.out)[:3]] == [
            [title, "started"],
            ["lakeFS", "started"],
            ["MLflow", "started"],
        ]
        found = variables(root)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in found.items():
                patch.setenv(name, value)
            (tmp_path / "a.csv").write_text("x\n1\n")
            for words in (
                ("create", "lakefs://shop", "--storage", "s3://lakefs/shop"),
                ("put", str(tmp_path / "a.csv"), "lakefs://shop/main/"),
            ):
                assert cli("data", *words).code == 0
            assert cli("stack", "down", root=root) == (0, f"Ended {title}, lakeFS, MLflow\n", "")
            assert cli("stack", "up", root=root).code == 0  # of the store that holds the data
            assert cli("data", "get", "lakefs://shop/main/a.csv", str(tmp_path / "back.csv")).code == 0
        assert (tmp_path / "back.csv").read_text() == "x\n1\n"
        assert (
            cli("stack", "down", "--purge", root=root).out == f"Ended {title}, lakeFS, MLflow\nIts data was removed.\n"
        )
    finally:
        down(root, purge=True)


def test_ctrl_c_ends_what_was_started(project: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "reprolock", "-C", str(tmp_path), "stack", "up"]
    with subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True) as command:
        while len(processes(tmp_path)) < 2:
            assert command.poll() is None, "it ended by itself"
            time.sleep(0.1)
        command.send_signal(signal.SIGINT)
        assert command.communicate(timeout=60)[1] == "\nerror: interrupted\n"
    assert command.returncode == 130
    assert processes(tmp_path) == []


def test_a_first_up_on_a_full_disk_leaves_no_half_made_data(project: Path, tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=200k none "$1" && cd "$1" && PYTHONPATH="$2" "$3" -m reprolock stack up; code=$?; ls "$1/.reprolock/stack"; exit $code'
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(tmp_path), str(ROOT), sys.executable]
    if shutil.which("unshare") is None:
        pytest.skip("no `unshare`: a small disk cannot be mounted here")
    done = subprocess.run(argv, capture_output=True, text=True)
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    assert done.stderr == (
        f"error: MLflow did not come up: the disk that holds {stack_folder(tmp_path)} is full\nhint: free space there and try again\n"
    )
    assert (done.returncode, done.stdout.split()) == (8, ["lakefs", "mlflow", "store"])
    assert processes(tmp_path) == []
