"""`runs`: what changed from run to run, params that vary, declared metrics, verdicts; MLflow's own filter."""

from __future__ import annotations

import json
import re

import pytest
from command_line import Cli
from project import Project

TRAIN = """
    import json, mlflow, os, reprolock
    mlflow.log_metric("auc", reprolock.current().params["depth"] / 10)
    os.makedirs("out", exist_ok=True)
    json.dump(1, open("out/model.json", "w"))
"""


@pytest.fixture
def history(project: Project, cli: Cli) -> Project:
    """Three runs: new data, then another param; the second replayed. A fourth that MLflow has not got yet."""
    project.script(TRAIN)
    project.edit("[run]", '[environment]\nisolated = false\n\n[run]\ncode = ["train.py"]')
    project.add(
        '\n[params]\ndepth = 3\nfixed = 1\n\n[outputs.model]\npath = "out/model.json"\ncompare = "json"\n\n[metrics]\nauc = "exact"\n'
    )
    assert cli("lock").code == cli("run", "--name", "#1").code == 0
    project.commit("train/a.csv", b"x,y\n3,4\n")
    assert cli("lock", "--upgrade").code == cli("run", "--name", "#2").code == 0
    assert cli("replay", project.record.run_id).code == 0
    project.edit("depth = 3", "depth = 5")
    assert cli("run", "--name", "#3").code == 0
    project.script(TRAIN + "\n    print('more')\n")
    assert cli("run", "--name", "#4", "--offline").code == 0
    return project


def test_the_table(history: Project, cli: Cli) -> None:
    said = cli("runs")
    assert (said.code, said.err) == (0, "")
    lines = [re.split(r"  +", re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", line)) for line in said.out.splitlines()]
    assert lines[0] == ["RUN", "NAME", "STARTED", "STATUS", "CHANGED", "depth", "auc", "REPLAYED"]
    moved = lines[3][4]
    assert re.fullmatch(r"data train [0-9a-f]{7} → [0-9a-f]{7}", moved)
    assert [line[1:] for line in lines[1:]] == [
        ["#4", "TIME", "finished", "code", "5", "0.5", "–"],
        ["#3", "TIME", "finished", "depth 3 → 5", "5", "0.5", "–"],
        ["#2", "TIME", "finished", moved, "3", "0.3", "REPRODUCED"],
        ["#1", "TIME", "finished", "–", "3", "0.3", "–"],
    ]
    assert [line.split()[1] for line in cli("runs", "--last", "2").out.splitlines()] == ["NAME", "#4", "#3"]
    assert len(cli("runs", "--replays").out.splitlines()) == 6
    said = cli("runs", "--last", "1", "--json")
    [run] = json.loads(said.out)["runs"]
    assert (run["name"], run["changed"], run["metrics"], run["inputs"]["params"]) == (
        "#4", ["code"], {"auc": 0.5}, {"depth": "5", "fixed": "1"},
    )  # fmt: skip


def test_a_filter_is_mlflows_own(history: Project, cli: Cli) -> None:
    said = cli("runs", "--where", "params.depth = '3' AND metrics.auc < 0.4")
    assert [line.split()[1] for line in said.out.splitlines()] == ["NAME", "#2", "#1"]
    assert cli("runs", "--where", "metrics.auc > 7")[:2] == (0, "")
    said = cli("runs", "--where", "depth 3")
    assert (said.code, said.err) == (
        2,
        f"error: MLflow at {history.database} (the default of mlflow.tracking_uri) does not take the filter 'depth 3': "
        "Invalid clause(s) in filter string: 'depth', '3'\n"
        "hint: write it in MLflow's language: `metrics.auc >= 0.9 AND params.depth = '3'`; values of params are quoted\n",
    )


def test_an_mlflow_that_is_away(history: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's own runs are shown all the same; a filter needs MLflow."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said = cli("runs", "--tracking-uri", "http://127.0.0.1:9")
    assert said.code == 0
    assert [line.split()[1] for line in said.out.splitlines()] == ["NAME", "#4", "#3", "#2", "#1"]
    assert said.err.startswith(
        "warning: only runs of this folder are shown: no answer from MLflow at http://127.0.0.1:9 "
    )
    assert cli("runs", "--tracking-uri", "http://127.0.0.1:9", "--where", "metrics.auc > 0").code == 5


def test_no_runs(project: Project, cli: Cli) -> None:
    assert cli("runs") == (0, "", "No runs yet; `reprolock run` makes one\n")
