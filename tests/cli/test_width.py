"""Lines fit the terminal that shows them, and are whole where a program reads them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime
from pathlib import Path

import pytest
from command_line import Cli
from project import Project
from terminal import on_terminal

from reprolock.cli.difference import comparison_tables
from reprolock.cli.run import _look
from reprolock.cli.runs import _table
from reprolock.cli.terminal import styled
from reprolock.cli.width import cut_start, narrowed, table_width
from reprolock.model.difference import ComparedRow, Comparison
from reprolock.model.history import Inputs, PastRun
from reprolock.steps.inspecting.runs import History

REPROLOCK = (sys.executable, "-P", "-m", "reprolock")
OFFLINE = ("run", "--offline")


def results_at(columns: int, root: Path, *arguments: str) -> tuple[list[str], str]:
    """The lines on stdout of a command whose stdout is a terminal, and its stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environ |= {"NO_COLOR": "1", "TERM": "xterm"}
    done = subprocess.run(
        [*REPROLOCK, "-C", str(root), *arguments], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environ
    )
    os.close(theirs)
    said = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", said).splitlines(), done.stderr.decode()


def test_addresses_lose_their_beginning_and_texts_their_end() -> None:
    assert cut_start("file:///home/ann/data/city/homes", 12) == "…/city/homes"
    rows = [[styled("NAME", bold=True), "X"], ["a long name", "1"], ["short", "2"]]
    assert [row[0] for row in narrowed(rows, 9, {0: 6})[1:]] == ["a lon…", "short"]
    assert table_width(narrowed(rows, 9, {0: 6})) == 9
    assert narrowed(rows, None, {0: 6}) == rows


def test_metrics_that_decide_come_first_and_the_others_as_they_fit(project: Project, cli: Cli) -> None:
    project.add("[metrics]\nvalidation_accuracy = 'exact'\n")
    logged = {f"training_metric_{number}": number for number in range(5)} | {"validation_accuracy": 0.5}
    project.script(f"import mlflow; mlflow.log_metrics({logged})")
    assert cli("lock").code == 0
    assert cli("run").code == 0
    [narrow] = [line for line in results_at(80, project.root, "show")[0] if line.startswith("Metrics")]
    assert narrow == "Metrics   validation_accuracy 0.5   training_metric_0 0   and 4 more"
    [whole] = [line for line in cli("show").out.splitlines() if line.startswith("Metrics")]
    assert whole.split()[1::2] == sorted(logged)


@pytest.mark.parametrize(
    ("tracking", "width", "said"),
    [
        (None, 80, "Look     reprolock show 01234567"),
        ("http://mlflow:5000", 80, "Look     reprolock show 01234567      http://mlflow:5000"),
        ("sqlite:////home/ann/rents/of/the/city/mlflow.db", 80, "Look     reprolock show 01234567      reprolock ui"),
        (
            "sqlite:////home/ann/rents/of/the/city/mlflow.db",
            None,
            "Look     reprolock show 01234567      mlflow ui --backend-store-uri "
            "sqlite:////home/ann/rents/of/the/city/mlflow.db",
        ),
    ],
)
def test_where_to_look(tracking: str | None, width: int | None, said: str) -> None:
    assert _look("0123456789abcdef", tracking, width) == said


def test_a_column_that_says_the_same_of_every_run_goes_before_one_that_tells_them_apart() -> None:
    def table(status: str) -> tuple[list[list[str]], list[str]]:
        runs = [
            PastRun(
                run_id=f"{degree}" * 32,
                name=f"degree={degree}, train=experiment1",
                started=datetime(2026, 11, 28, tzinfo=UTC),
                status=status if degree == 3 else "FINISHED",
                inputs=Inputs(params={"degree": f"{degree}"}),
                changed=("data train f7fc725 → d28e893", f"degree 1 → {degree}"),
                metrics={"mean_absolute_error": 10.27},
                verdicts=("REPRODUCED",),
            )
            for degree in (3, 2)
        ]
        rows, left_out = _table(History(runs, ("mean_absolute_error",)), ["degree"], 90)
        assert table_width(rows) <= 90
        return rows, left_out

    rows, left_out = table("FINISHED")
    assert ("STATUS" in "".join(rows[0]), "degree" in "".join(rows[0])) == (False, True)
    assert left_out == []
    rows, left_out = table("FAILED")
    assert "failed" in "".join(rows[1])
    assert left_out == ["degree"]


def test_runs_that_have_no_room_side_by_side_stand_in_several_tables_with_the_first() -> None:
    digests = [f"table {number}399993c5ce6" for number in range(5)]
    found = Comparison(
        labels=("#1", "#2", "#3", "#4", "#5"),
        run_ids=tuple("12345"),
        rows=(ComparedRow(section="outputs", name="predictions", values=digests),),
    )
    tables = [[row[2:] for row in table[1:]] for table in comparison_tables(found, 80)]
    assert [[re.sub(r"\x1b\w*\[\d*m", "", cell) for cell in row] for [row] in tables] == [
        digests[:3],
        [digests[0], *digests[3:]],
    ]
    assert all(table_width(table) <= 80 for table in comparison_tables(found, 80))
    [whole] = comparison_tables(found, None)
    assert len(whole[0]) == 7
    assert list(comparison_tables(found.replaced({"rows": ()}), 80)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is made as on Unix")
def test_a_run_and_the_table_of_runs_fit_80_columns(project: Project, cli: Cli) -> None:
    project.add("[params]\ndepth = 1\nrate = 0.25\nregularisation_strength_of_the_model = 1\n")
    project.commit("train/a.csv", b"x\n1\n")
    assert cli("lock").code == 0
    drawn = on_terminal([*REPROLOCK, "-C", str(project.root), *OFFLINE], columns=80)
    lines = [line for line in "\n".join(drawn.screens).splitlines() if line]
    assert drawn.code == 0
    assert max(len(line) for line in lines if line.startswith(("Inputs", "Look"))) <= 80
    commit = project.record.datasets[0].commit[:12]
    assert any(line.startswith("Inputs  train  …") and f"{commit}…/train  1 object" in line for line in lines)

    shown, _ = results_at(80, project.root, "show")
    assert max(map(len, shown)) <= 80
    assert any(line.startswith("Commits   train  …") and f"/{commit}…/train/  git-sha1-1:" in line for line in shown)
    assert f"/{project.record.datasets[0].commit}/train/  git" in cli("show").out

    values = [("depth", "2"), ("rate", "0.5"), ("regularisation_strength_of_the_model", "3")]
    whatif = [part for name, value in values for part in ("--set", f"{name}={value}")]
    assert cli(*OFFLINE, *whatif, "--name", "a name of more than eight letters").code == 0
    narrow, remarks = results_at(80, project.root, "runs")
    assert max(map(len, narrow)) <= 80
    assert narrow[0].split() == ["RUN", "NAME", "STARTED", "STATUS", "CHANGED", "depth", "rate", "REPLAYED"]
    assert remarks == (
        "No room for regularisation_strength_of_the_model: a wider terminal, --json and --html show them\n"
    )
    assert "  a name of more than eight letters  " in cli("runs").out
    assert "depth 1 → 2, rate 0.25 → 0.5, regularisation_strength_of_the_model 1 → 3" in cli("runs").out


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is made as on Unix")
def test_what_was_published_fits_80_columns(project: Project, cli: Cli) -> None:
    address = "lakefs://example-repo/main/predictions/of/the/second/model/"
    project.add(f'[outputs.predictions]\npath = "p.csv"\npublish = "{address}"\n')
    project.script("import pathlib; pathlib.Path('p.csv').write_text('1')")
    assert cli("lock").code == 0
    assert cli("run", "-q", "--tag", "best").code == 0
    [item] = project.record.published
    told = f"commit {str(item.commit)[:12]}", f"tagged best, on {item.branch}"
    whole = cli("show").out.splitlines()
    assert f"Published  predictions  {address}  {'  '.join(told)}" in whole
    narrow, _ = results_at(80, project.root, "show")
    at = next(at for at, line in enumerate(narrow) if line.startswith("Published"))
    assert narrow[at].startswith("Published  predictions  …") and narrow[at].endswith("/of/the/second/model/")
    assert narrow[at + 1].split() == ", ".join(told).split()
    assert [line for line in narrow if len(line) > 80] == []
