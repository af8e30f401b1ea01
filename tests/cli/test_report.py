"""`report`: a pull request that changes data, from both sides' runs to the exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
from command_line import Cli
from project import Project

from reprolock.cli.report_markdown import LIMIT, markdown
from reprolock.model.difference import Change, Difference, Section
from reprolock.model.report import MetricChange, Report, ReportSide, RowChange

SCHEMA = Path(__file__).parents[2] / "schemas" / "report.schema.json"
SUM = """
    import json, mlflow, os, sys
    rows = [line.split(",") for line in open(sys.argv[1] + "/a.csv").read().split()[1:]]
    mlflow.log_metric("total", sum(float(y) for _, y in rows))
    os.makedirs("out", exist_ok=True)
    json.dump({"rows": len(rows)}, open("out/model.json", "w"))
"""
DECLARED = """
[outputs.model]
path = "out/model.json"
compare = "json"

[metrics]
total = { abs = 1.0 }
"""


def git(root: Path, *arguments: str) -> str:
    names = {f"GIT_{who}_{what}": "ann@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environ = {**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", "-C", str(root), *arguments], env=environ, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def changed(project: Project, cli: Cli) -> Project:
    """A committed project, and a branch on which train.csv has one row more."""
    project.script(SUM)
    project.command("python", "train.py", "{datasets.train.path}")
    project.edit(
        'command = ["python", "train.py", "{datasets.train.path}"]',
        'command = ["python", "train.py", "{datasets.train.path}"]\ncode = ["train.py"]',
    )
    project.edit("[run]", "[environment]\nisolated = false\n\n[run]")
    project.add(DECLARED)
    (project.root / ".gitignore").write_text("lake/\nmlflow.db*\nmlruns/\nout/\n")
    git(project.root, "init", "-q", "-b", "main")
    assert cli("lock").code == 0
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "One")
    git(project.root, "checkout", "-qb", "data")
    return project


def upgrade(project: Project, cli: Cli, text: bytes) -> None:
    project.commit("train/a.csv", text)
    assert cli("lock", "--upgrade").code == 0
    git(project.root, "commit", "-qam", "Take new data")


def test_what_new_data_did(changed: Project, cli: Cli) -> None:
    """Within its tolerance, then beyond it; each side is run once, and found from then on."""
    base = git(changed.root, "rev-parse", "--short=12", "main")
    upgrade(changed, cli, b"x,y\n1,2\n3,0.5\n")
    said = cli("report", "--base", "main")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[:5] == [
        "<!-- reprolock report: flights -->",
        "## flights: main → this change",
        "",
        "**One thing changed.**",
        "",
    ]
    assert "1 object changed |" in said.out and lines[-1] == "</details>"

    said = cli("report", "--base", "main", "--run")
    assert said.code == 0, said.err
    runs = {run.info.run_name: run.info.run_id for run in changed.all_stored()}
    assert len(runs) == 2 and f"base {base}" in runs
    head = changed.record.run_id
    assert said.out.splitlines()[3:14] == [
        "**Every declared metric is within its tolerance.** One input changed, and two results.",
        "",
        f"main is run `{runs[f'base {base}'][:8]}`; this change is run `{head[:8]}`.",
        "",
        "| | metric | before | after | tolerance | |",
        "| --- | --- | ---: | ---: | --- | --- |",
        "| ✓ | total | 2.0 | 2.5 | ±1 absolute | +0.5, within tolerance |",
        "",
        "| output | compared as | before | after | |",
        "| --- | --- | --- | --- | --- |",
        said.out.splitlines()[13],
    ]
    assert said.out.splitlines()[13].startswith("| model | json | `") and said.out.splitlines()[13].endswith(
        "| **different** |"
    )
    assert [path.name for path in (changed.root / ".reprolock").iterdir() if path.name.startswith("report-")] == []

    again = cli("report", "--base", "main", "--run")
    assert again.code == 0
    assert again.out == said.out
    assert len(changed.all_stored()) == 2

    upgrade(changed, cli, b"x,y\n1,2\n3,7\n")
    said = cli("report", "--base", "main", "--run", "--format", "json")
    assert (said.code, said.err.splitlines()[-2]) == (6, "error: a metric left the declared tolerance: total")
    document = json.loads(said.out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["metrics"] == [
        {"name": "total", "before": 2.0, "after": 9.0, "tolerance": "±1 absolute", "state": "beyond tolerance"}
    ]
    changed.edit("total = { abs = 1.0 }", "total = { abs = 100.0 }")
    git(changed.root, "commit", "-qam", "Loosen the rule in the same change")
    said = cli("report", "--base", "main", "--run")
    assert said.code == 6
    assert "| ✗ | total | 2.0 | 9.0 | ±1 absolute → ±100 absolute | +7, beyond tolerance |" in said.out.splitlines()
    assert (document["beyond"], document["base"]["found"], document["head"]["found"]) == (["total"], True, False)


def test_a_run_of_the_base_that_fails(changed: Project, cli: Cli) -> None:
    changed.script("raise SystemExit(3)")
    git(changed.root, "commit", "-qam", "Break it")
    git(changed.root, "branch", "-qf", "main", "HEAD")
    said = cli("report", "--base", "main", "--run")
    assert (said.code, said.out) == (1, "")
    base = git(changed.root, "rev-parse", "--short=12", "main")
    assert said.err.splitlines()[-1] == f"error: the run of base {base} failed: exit code 3"


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        ("nowhere", "error: this git repository has no revision nowhere"),
        ("--upload-pack=x", "error: this git repository has no revision --upload-pack=x"),
        ("apart", "error: apart has no commit in common with this project's history"),
        ("empty", "error: empty has no repro.lock to compare with"),
    ],
)
def test_a_base_that_is_none(changed: Project, cli: Cli, base: str, sentence: str) -> None:
    if base == "apart":
        git(changed.root, "branch", "apart", git(changed.root, "commit-tree", "HEAD^{tree}", "-m", "Apart"))
    if base == "empty":
        git(changed.root, "checkout", "-q", "--orphan", "other")
        git(changed.root, "rm", "-q", "--cached", "repro.lock")
        git(changed.root, "commit", "-qm", "Nothing locked")
        git(changed.root, "branch", "empty")
    said = cli("report", f"--base={base}")
    assert (said.code, said.err.splitlines()[0]) == (2, sentence)


def test_a_report_outside_of_git(changed: Project, cli: Cli) -> None:
    (changed.root / ".git").rename(changed.root / "git")
    said = cli("report")
    assert (said.code, said.err) == (
        2,
        "error: this folder is in no git repository, and a report compares with a revision\n"
        "hint: run `git init` and commit the project, or name a clone with -C\n",
    )


def test_foreign_text_and_length() -> None:
    """Names are text in Markdown and mention nobody; what is too long for a comment is cut by whole lines."""
    name = "<script>|@everyone[x](y)`"
    section = Section(
        name="packages", changes=tuple(Change(name=f"p{n}-{name}", old="1", new="2") for n in range(4000))
    )
    report = Report(
        project=name,
        base=ReportSide(label="main", run_id="0" * 32),
        head=ReportSide(label="this change", run_id="1" * 32),
        difference=Difference(kind="run", left="main", right="this change", sections=(section,)),
        rows=(RowChange(name=name, before=10, after=12345),),
        metrics=(MetricChange(name=name, before=None, after=0.5, tolerance="exact", state="missing"),),
    )
    lines = markdown(report)
    text = "\n".join(lines)
    assert len(text) < LIMIT and len(text) > LIMIT - 500
    assert re.findall(r"(?<!\\)<script|@everyone", text) == []
    shown = "\\<script\\>\\|&#64;everyone\\[x\\](y)\\`"
    assert lines[0] == f"<!-- reprolock report: {shown} -->"
    assert f"| ✗ | {shown} | – | 0.5 | exact | not logged before |" in lines
    assert f"Rows: {shown} 10 → 12,345." in lines
    assert lines[-3].endswith(" more; `reprolock diff` shows all.")
