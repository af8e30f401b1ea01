"""`reprolock.record`: a cell of a notebook as a run of mode interactive, with all that a record has and without a replay."""

from __future__ import annotations

import linecache
import os
import subprocess
import sys

import pytest
from command_line import Cli
from project import Project

import reprolock
from reprolock.errors import LockError, UsageError

SPEC = """
[params]
depth = 3

[outputs.table]
path = "out/table.csv"
compare = "bytes"

[metrics]
auc = { rel = 1e-6 }
"""

SPARK = """
[spark]
conf = { "spark.ui.enabled" = "false", "spark.driver.memory" = "512m", "spark.sql.shuffle.partitions" = "3" }
"""


def run_cell(source: str, **names: object) -> dict[str, object]:
    """Execute a cell as IPython does: compiled under a made-up name, whose lines `linecache` has."""
    name = f"/tmp/ipykernel_1/{abs(hash(source))}.py"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space: dict[str, object] = {"reprolock": reprolock, **names}
    exec(compile(source, name, "exec"), space)
    return space


@pytest.fixture
def explored(project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A locked project, in whose folder a notebook would run."""
    project.add(SPEC)
    assert cli("lock").code == 0
    monkeypatch.chdir(project.root)
    return project


def test_a_cell_is_recorded_and_never_replayed(explored: Project, cli: Cli) -> None:
    before = dict(os.environ)
    cell = """
import mlflow
with reprolock.record("explore") as run:
    rows = run.dataset("train").pandas()
    assert reprolock.open("train").recorded
    mlflow.log_metric("rows", len(rows))
    mlflow.log_param("by_hand", 1)
    with mlflow.start_run(nested=True, run_name="inner"):
        mlflow.log_metric("inside", 2)
    rows.to_csv(run.output("table").path)
"""
    space = run_cell(cell)
    record = explored.record
    assert dict(os.environ) == before
    assert (record.mode, record.status, record.run_name, record.command) == (
        "interactive",
        "FINISHED",
        "explore",
        ("block.py",),
    )
    assert record.run_id == space["run"].run_id  # type: ignore[attr-defined]
    assert record.metrics == {"rows": len(space["rows"]), "inside": 2}  # type: ignore[arg-type]
    assert [child.name for child in record.children] == ["inner"]
    assert record.ending is not None and record.ending.reason == "the block ended"
    assert {"block.py", "train.py"} <= record.code.tree.keys()
    assert [item.name for item in record.datasets] == ["train"]
    assert (explored.root / "out/table.csv").is_file() and record.outputs[0].files == 1
    stored = explored.stored()
    assert (stored.info.status, stored.data.tags["reprolock.mode"]) == ("FINISHED", "interactive")
    assert stored.data.params == {"depth": "3", "by_hand": "1"}
    assert "reprolock/code.tar.gz" in explored.artifacts(record.run_id)

    said = cli("replay", "explore")
    assert said.code == 7
    assert said.err == (
        f"error: run {record.run_id[:8]} was recorded interactively: its block ran in a session whose state was not recorded\n"
        "hint: move the code into a script, and record that with `reprolock run`\n"
    )
    assert cli("bundle", "explore", "-o", "explore.zip").code == 7
    [line] = [line for line in cli("runs").out.splitlines() if "explore" in line]
    assert "finished, interactive" in line
    assert "Block     block.py, interactive: no replay can repeat it\n" in cli("show", "explore").out
    assert stored.data.tags["mlflow.note.content"].endswith("**Replay** never: an interactive session")
    assert "since" not in cli("status").out  # what differs is told against runs of the command
    assert not list((explored.root / ".reprolock/open").glob("*.json"))


def test_an_error_in_the_block_is_recorded_and_raised(explored: Project) -> None:
    with pytest.raises(ZeroDivisionError):
        run_cell("with reprolock.record('fails'):\n    1 / 0\n")
    record = explored.record
    assert record.ending is not None
    assert (record.status, record.ending.reason) == ("FAILED", "ZeroDivisionError: division by zero")
    assert explored.stored().info.status == "FAILED"
    with pytest.raises(KeyboardInterrupt):
        run_cell("with reprolock.record('stopped'):\n    raise KeyboardInterrupt\n")
    assert (explored.record.status, explored.record.interrupted_by) == ("KILLED", 2)


def test_what_is_refused_before_anything_is_recorded(explored: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow  # seconds

    with pytest.raises(UsageError, match=r"the source of this block is not known: it comes from <stdin>"):
        exec(compile("with reprolock.record(): pass", "<stdin>", "exec"), {"reprolock": reprolock})
    mlflow.set_tracking_uri(explored.database)
    with (
        mlflow.start_run() as active,
        pytest.raises(UsageError, match=f"MLflow's run {active.info.run_id[:8]} is under"),
    ):
        run_cell("with reprolock.record(): pass")
    monkeypatch.setenv("MY_PASSWORD", "s3cr3t-of-the-cell")
    with pytest.raises(UsageError, match="the source of the block"):
        run_cell("word = 's3cr3t-of-the-cell'\nwith reprolock.record(): pass")
    (explored.root / "repro.toml").write_text(
        (explored.root / "repro.toml").read_text().replace("main/train", "main/x")
    )
    with pytest.raises(LockError, match="out of date"):
        run_cell("with reprolock.record(): pass")
    assert not list((explored.root / ".reprolock/runs").glob("*"))


def test_in_a_run_it_is_a_part_of_that_run(explored: Project, cli: Cli) -> None:
    explored.script(
        """
        import mlflow, reprolock
        with reprolock.record("inside") as run:
            mlflow.log_metric("auc", 0.9)
            run.output("table").path.write_text("x")
        """
    )
    explored.add("\n[environment]\nisolated = false\n")
    assert cli("lock").code == 0
    assert cli("run").code == 0
    assert (explored.record.mode, explored.record.metrics) == ("isolated", {"auc": 0.9})
    assert len(explored.all_stored()) == 1


@pytest.mark.spark
@pytest.mark.long
def test_a_block_reads_with_spark_at_the_pinned_commit(project: Project, cli: Cli) -> None:
    """In a process of its own, as a notebook's kernel is one; a JVM ends with it."""
    project.add(SPARK)
    project.script("""
        import mlflow
        import reprolock
        with reprolock.record("look") as run:
            rows = run.dataset("train").spark()
            mlflow.log_metric("rows", rows.count())
            print(sorted(rows.columns), rows.sparkSession.conf.get("spark.sql.shuffle.partitions"))
    """)
    assert cli("lock").code == 0
    pinned = project.commit("train/more.csv", b"x,y\n7,8\n")
    done = subprocess.run([sys.executable, "train.py"], cwd=project.root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = project.record
    assert done.stdout == "['x', 'y'] 3\n"
    assert (record.mode, record.status, record.metrics) == ("interactive", "FINISHED", {"rows": 1})
    assert record.datasets[0].commit != pinned
    assert record.spark is not None and record.spark.master.startswith("local[")
