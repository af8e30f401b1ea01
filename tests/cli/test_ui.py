"""`ui`: MLflow's page at the project's experiment, served where runs are in a file; and errors for programs."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request

import pytest
from command_line import Cli
from project import Project, in_background

from reprolock.stack.process import free_ports


@pytest.mark.parametrize("ends", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_page_is_served_until_a_signal_ends_it(
    project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    project.edit("[run]", '[environment]\nisolated = false\n\n[run]\ncode = ["train.py"]')
    assert cli("lock").code == cli("run").code == 0
    [port] = free_ports(1)
    experiment = project.stored().info.experiment_id
    # What stands in the folder is not executed, whatever its name.
    trap = f'open({str(project.root / "executed")!r}, "w").close()\nraise SystemExit("executed")\n'
    for name in ("mlflow", "flask", "uvicorn", "gunicorn", "gunicorn.conf", "json", "sitecustomize"):
        (project.root / f"{name}.py").write_text(trap)
    monkeypatch.chdir(project.root)
    with in_background(project.root, "ui", "--port", str(port), "--no-browser") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"http://127.0.0.1:{port}/#/experiments/{experiment}\n"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
            assert b"MLflow" in page.read()
        process.send_signal(getattr(signal, ends))
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert not (project.root / "executed").exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_nothing_to_show_yet(project: Project, cli: Cli) -> None:
    assert cli("ui", "--no-browser") == (
        2,
        "",
        f"error: nothing is recorded in {project.database} (the default of mlflow.tracking_uri) yet\n"
        "hint: `reprolock run` records a run there\n",
    )


def test_an_error_is_in_the_one_object(project: Project, cli: Cli) -> None:
    said = cli("run", "--json")
    assert (said.code, json.loads(said.out)) == (
        3,
        {
            "error": "no repro.lock beside repro.toml",
            "hint": "run `reprolock lock` and commit repro.lock",
            "exit_code": 3,
        },
    )
    assert said.err.startswith("error: no repro.lock beside repro.toml\n")
    project.add("\n[nope]\n\n[neither]\n")
    said = cli("lock", "--json")
    document = json.loads(said.out)
    assert (document["exit_code"], len(document["problems"])) == (2, 2)
    assert json.loads(cli("lock", "--json", "--nope").out)["error"].startswith("no such option")
    assert cli("lock", "--nope").out == ""


def test_a_command_that_failed_is_told_with_its_record(project: Project, cli: Cli) -> None:
    project.script("raise SystemExit(3)")
    project.edit("[run]", '[environment]\nisolated = false\n\n[run]\ncode = ["train.py"]')
    assert cli("lock").code == 0
    said = cli("run", "--json")
    document = json.loads(said.out)
    assert (said.code, document["status"], document["exit_code"]) == (1, "FAILED", 1)
    assert document["error"] == "the command failed: exit code 3"
