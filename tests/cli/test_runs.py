"""`runs`: what changed from run to run, params that vary, declared metrics, verdicts; MLflow's own filter."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from command_line import Cli
from html_page import checked
from project import NAMES, Project

from reprolock.cli.main import run_command_line
from reprolock.model.record import Record
from reprolock.steps.project.run_folders import local_records

TRAIN = """
    import json, mlflow, os, reprolock
    for step in (1, 2):
        mlflow.log_metric("auc", reprolock.current().params["depth"] * step / 20, step=step)
    os.makedirs("out", exist_ok=True)
    json.dump(1, open("out/model.json", "w"))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path, cache: Path) -> Project:
    """Three runs: new data, then another param; the second replayed. A fourth that MLflow has not got yet."""
    project = Project(tmp_path_factory.mktemp("history"))
    shutil.copy(empty_mlflow, project.root / "mlflow.db")

    def cli(*arguments: str) -> int:
        return run_command_line(["-C", str(project.root), *arguments])

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(NAMES)]:
            patch.delenv(name)
        patch.setenv("REPROLOCK_CACHE_DIR", str(cache))
        _run_all(project, cli)
    return project


@pytest.fixture
def history(made: Project, bare: None, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The same project for every test, none of which writes to it."""
    monkeypatch.setenv("REPROLOCK_CACHE_DIR", str(cache))
    monkeypatch.chdir(made.root)
    return made


def _run_all(project: Project, cli: Callable[..., int]) -> None:
    project.script(TRAIN)
    project.edit("[run]", '[environment]\nisolated = false\n\n[run]\ncode = ["train.py"]')
    project.add(
        '\n[params]\ndepth = 3\nfixed = 1\n\n[outputs.model]\npath = "out/model.json"\ncompare = "json"\n\n[metrics]\nauc = "exact"\n'
    )
    assert cli("lock") == cli("run", "--name", "#1") == 0
    project.commit("train/a.csv", b"x,y\n3,4\n")
    assert cli("lock", "--upgrade") == cli("run", "--name", "#2") == 0
    assert cli("replay", project.record.run_id) == 0
    project.edit("depth = 3", "depth = 5")
    assert cli("run", "--name", "#3") == 0
    project.script(TRAIN + "\n    print('more')\n")
    assert cli("run", "--name", "#4", "--offline") == 0


@pytest.fixture
def here(cli: Cli, history: Project) -> Cli:
    """The command line in that project."""
    return partial(cli, root=history.root)


def named(project: Project, name: str) -> Record:
    return next(record for record in local_records(project.root) if record.run_name == name)


def test_the_table(history: Project, here: Cli) -> None:
    said = here("runs")
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
    assert [line.split()[1] for line in here("runs", "--last", "2").out.splitlines()] == ["NAME", "#4", "#3"]
    assert len(here("runs", "--replays").out.splitlines()) == 6
    said = here("runs", "--last", "1", "--json")
    [run] = json.loads(said.out)["runs"]
    assert (run["name"], run["changed"], run["metrics"], run["inputs"]["params"]) == (
        "#4", ["code"], {"auc": 0.5}, {"depth": "5", "fixed": "1"},
    )  # fmt: skip


@pytest.mark.parametrize(("name", "curves"), [("#2", ["auc by step"]), ("#4", [])])
def test_the_page_of_a_run_has_its_curves(history: Project, here: Cli, name: str, curves: list[str]) -> None:
    """As the page of all runs has them; a run that MLflow has not got has none, and a page all the same."""
    file = history.root / "run.html"
    said = here("show", name, "--html", str(file))
    assert (said.code, said.err) == (0, f"Wrote {file}\n")
    page = checked(file.read_text())
    drawn = [value for key, value in page.attributes if key == "aria-label" and " by step" in (value or "")]
    lines = [value for key, value in page.attributes if key == "points" and value != "0,4 32,4"]
    assert (drawn, [len(line.split()) for line in lines if line]) == (curves, [2] * len(curves))
    assert f"auc by step {name}" in " ".join(page.text.split()) or not curves


def test_side_by_side(history: Project, here: Cli) -> None:
    """As a page with MLflow's curves, and as a table of what differs between more than two."""
    said = here("runs", "--html", str(history.root / "runs.html"))
    assert (said.code, said.err) == (0, f"Wrote {history.root}/runs.html\n")
    page = checked((history.root / "runs.html").read_text())
    assert "Runs of flights" in page.text
    assert [value for name, value in page.attributes if name == "aria-label"] == ["auc by step"]
    lines = [value for name, value in page.attributes if name == "points" and value != "0,4 32,4"]
    assert len(lines) == 3  # the run that MLflow has not got yet has no curve
    assert len(set(lines)) == 2 and all(len(line.split()) == 2 for line in lines)
    labels = [value for name, value in page.attributes if name == "data-label"]
    assert labels[:8] == ["Run", "Name", "Started", "Status", "auc", "depth", "Changed", "Replayed"]
    assert page.text.count("REPRODUCED") == 1

    said = here("diff", "#1", "#2", "#3")
    [one, two] = [item.commit[:12] for name in ("#1", "#2") for item in named(history, name).datasets]
    lines = [re.split(r"  +", line.strip()) for line in said.out.splitlines()]
    assert lines[0] == ["#1", "#2", "#3"]
    assert lines[1][:2] == ["data", "train"] and lines[1][2] != lines[1][3] == lines[1][4]
    assert [one in lines[1][2], two in lines[1][3]] == [True, True]
    assert lines[2:] == [
        ["params", "depth", "3", "3", "5"],
        ["metrics", "auc", "0.3", "0.3", "0.5"],
        ["Two inputs and one result differ."],
    ]
    document = json.loads(here("diff", "#1", "#2", "#3", "--json").out)
    assert document["rows"][1] == {"section": "params", "name": "depth", "values": ["3", "3", "5"]}
    markdown = here("diff", "#1", "#2", "#3", "--format", "markdown").out.splitlines()
    assert markdown[2] == "| section | | \\#1 | \\#2 | \\#3 |"
    assert "| metrics | auc | 0.3 | 0.3 | 0.5 |" in markdown
    assert here("diff", "#2", "#2", "#2").out == "Nothing differs.\n"
    assert here("diff", "#1", "#2", "#3", "--exit-code").code == 1
    assert here("diff", "#1", "#2", "nope").code == 2


def test_a_lock_among_more_than_two(history: Project, here: Cli) -> None:
    assert here("diff", "#1", "#2", "repro.lock") == (
        2,
        "",
        "error: repro.lock is a file, and of more than two only runs are compared\n"
        "hint: compare two locks or revisions at a time: `reprolock diff A B`\n",
    )


def test_a_filter_is_mlflows_own(history: Project, here: Cli) -> None:
    said = here("runs", "--where", "params.depth = '3' AND metrics.auc < 0.4")
    assert [line.split()[1] for line in said.out.splitlines()] == ["NAME", "#2", "#1"]
    assert here("runs", "--where", "metrics.auc > 7") == (0, "", "No runs match the filter\n")
    said = here("runs", "--where", "depth 3")
    assert (said.code, said.err) == (
        2,
        f"error: MLflow at {history.database} (the default of mlflow.tracking_uri) does not take the filter 'depth 3': "
        "Invalid clause(s) in filter string: 'depth', '3'\n"
        "hint: write it in MLflow's language: `metrics.auc >= 0.9 AND params.depth = '3'`; values of params are quoted\n",
    )


def test_an_mlflow_that_is_away(history: Project, here: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's own runs are shown all the same; a filter needs MLflow."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said = here("runs", "--tracking-uri", "http://127.0.0.1:9")
    assert said.code == 0
    assert [line.split()[1] for line in said.out.splitlines()] == ["NAME", "#4", "#3", "#2", "#1"]
    assert said.err.startswith(
        "warning: only runs of this folder are shown: no answer from MLflow at http://127.0.0.1:9 "
    )
    assert here("runs", "--tracking-uri", "http://127.0.0.1:9", "--where", "metrics.auc > 0").code == 5


def test_a_run_that_is_no_sweep(history: Project, here: Cli) -> None:
    parent = named(history, "#4").run_id[:8]
    said = here("runs", "--parent", parent)
    expected = f"No runs of a sweep {parent}: --parent takes the ID that `reprolock sweep` names at its end\n"
    assert said == (0, "", expected)


def test_no_runs(project: Project, cli: Cli) -> None:
    assert cli("runs") == (0, "", "No runs yet; `reprolock run` makes one\n")
