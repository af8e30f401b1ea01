"""`sweep`: every combination side by side, nested, with records of their own; stopped, and gone on with."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
from pathlib import Path

import pytest
from command_line import Cli
from mlflow import MlflowClient
from project import Project, in_background, wait_for

from reprolock.steps.project.run_folders import local_records

TRAIN = """
    import json, mlflow, os, sys, time, reprolock
    run = reprolock.current()
    depth, rows = run.params["depth"], sum(len(p.read_text()) for p in run.dataset("train").path.rglob("*.csv"))
    print("the token is", os.environ.get("MY_TOKEN"))
    gate = os.environ.get("GATE")
    if gate and depth == 3:
        open(gate + ".waits", "w").close()
        while not os.path.exists(gate):
            time.sleep(0.05)
    if depth == 9:
        sys.exit("too deep")
    mlflow.log_metric("auc", depth / 10 + rows / 1000)
    os.makedirs("out", exist_ok=True)
    json.dump([depth, rows], open("out/model.json", "w"))
"""


@pytest.fixture
def swept(project: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a dataset on two branches."""
    monkeypatch.setenv("MY_TOKEN", "s3cr3t-t0ken-of-mine")
    project.script(TRAIN)
    project.edit(
        "[run]",
        '[environment]\nisolated = false\n\n[run]\ncode = ["train.py"]\nseed = 7\npass_env = ["GATE", "MY_TOKEN"]',
    )
    project.add(
        '\n[params]\ndepth = 1\nrate = 0.5\nkind = "a"\n\n[outputs.model]\npath = "out/model.json"\ncompare = "json"\n\n[metrics]\nauc = "exact"\n'
    )
    assert cli("lock").code == 0
    assert cli("data", "branch", "lakefs://example-repo/main", "exp").code == 0
    (project.root.parent / "more.csv").write_bytes(b"x,y\n1,2\n3,4\n")
    assert (
        cli("data", "put", str(project.root.parent / "more.csv"), "lakefs://example-repo/exp/train/more.csv").code == 0
    )
    assert cli("data", "commit", "lakefs://example-repo/exp", "-m", "more").code == 0
    return project


def test_a_grid_of_params_and_data(swept: Project, cli: Cli, tmp_path: Path) -> None:
    said = cli(
        "sweep",
        "--set",
        "depth=2,4",
        "--data",
        "train=main,exp",
        "--jobs",
        "2",
        "--max",
        "auc",
        "--html",
        str(tmp_path / "s.html"),
    )
    assert said.code == 0, said.err
    lines = [re.split(r"  +", line) for line in said.out.splitlines()]
    assert lines[0] == ["depth", "train", "auc", "RUN", "STATUS"]
    assert [line[:2] for line in lines[1:]] == [["2", "main"], ["2", "exp"], ["4", "main"], ["4", "exp"]]
    assert [line[4:] for line in lines[1:]] == [["finished"], ["finished"], ["finished"], ["finished", "best"]]
    assert said.err.startswith("4 runs\n") and "4 of 4  " in said.err
    records = {record.run_name: record for record in local_records(swept.root)}
    assert sorted(records) == [f"depth={depth}, train={ref}" for depth in (2, 4) for ref in ("exp", "main")]
    best = records["depth=4, train=exp"]
    assert (best.params, best.seed, best.status) == (
        {"depth": 4, "rate": 0.5, "kind": "a"},
        7,
        "FINISHED",
    )
    [parent] = {record.parent for record in records.values()}
    assert f"Parent run {parent[:8]} holds them" in said.err
    stored = swept.stored(best.run_id)
    assert stored.data.tags["mlflow.parentRunId"] == parent
    above = swept.stored(parent)
    assert (above.info.status, above.info.run_name) == ("FINISHED", "sweep of depth, train")
    # Outputs stay in the run's own folder, and the project's are as they were.
    assert not (swept.root / "out").exists()
    kept = swept.run_folder(best.run_id) / "outputs" / "out" / "model.json"
    assert json.loads(kept.read_text())[0] == 4
    assert len(cli("runs", "--parent", parent[:8]).out.splitlines()) == 5
    page = (tmp_path / "s.html").read_text()
    assert "<p>The best: depth 4, train exp; run " in page and ">finished, best</td>" in page
    assert page.count("<svg") == 2 and page.count('class="best"') == 3 and "auc against depth" in page
    # Each is a whole record: it can be named, and replayed.
    done = cli("replay", "depth=4, train=exp")
    assert (done.code, "REPRODUCED" in done.out) == (0, True), done.err
    # The same again runs nothing.
    unmarked = cli("sweep", "--set", "depth=2,4", "--data", "train=main,exp", "--max", "acu")
    assert unmarked.code == 0 and "best" not in unmarked.out
    assert "warning: no run of the sweep has a metric acu: none is marked as best\n" in unmarked.err
    again = cli("sweep", "--set", "depth=2,4", "--data", "train=main,exp", "--json")
    assert again.err.splitlines()[0] == "4 runs, 4 of them finished before"
    document = json.loads(again.out)
    assert document["parent"] == parent and all(run["earlier"] for run in document["runs"])
    assert len(list(local_records(swept.root))) == 4


def test_a_failure_ends_no_other_run_and_is_tried_again(swept: Project, cli: Cli) -> None:
    said = cli("sweep", "--set", "depth=9,2")
    assert said.code == 1
    assert said.err.splitlines()[-2] == "error: 1 of 2 runs failed"
    log = re.search(r"the output of the first that failed is in (\S+); call it again", said.err.splitlines()[-1])
    assert log and "too deep" in Path(log[1]).read_text()
    # What a command printed of what was passed to it is in no file.
    assert "the token is ***" in Path(log[1]).read_text() and "s3cr3t-t0ken" not in Path(log[1]).read_text()
    assert [re.split("  +", line)[-1] for line in said.out.splitlines()] == ["STATUS", "failed", "finished"]
    said = cli("sweep", "--set", "depth=9,2")
    assert said.err.splitlines()[0] == "2 runs, 1 of them finished before"
    assert [re.split("  +", line)[-1] for line in said.out.splitlines()] == ["STATUS", "failed", "finished, earlier"]
    # Another project is another sweep.
    swept.script(TRAIN.replace("depth == 9", "depth == 10"))
    said = cli("sweep", "--set", "depth=9,2")
    assert (said.code, said.err.splitlines()[0]) == (0, "2 runs")


def test_stopped_killed_and_gone_on_with(swept: Project, cli: Cli, tmp_path: Path) -> None:
    gate = tmp_path.parent / f"{tmp_path.name}.gate"
    waits = Path(f"{gate}.waits")
    arguments = ["sweep", "--set", "depth=2,3,4"]
    with in_background(swept.root, *arguments, environ={"GATE": str(gate)}) as process:
        wait_for(waits.exists)
        said = cli(*arguments)  # a second one at the same time
        assert (said.code, said.err) == (
            8,
            "error: another reprolock is running this sweep\nhint: wait until it has finished and try again\n",
        )
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines()[-2:] == ["error: the sweep was stopped with 2 runs to go", "hint: call it again to go on"]
    assert [re.split("  +", line)[-1] for line in out.splitlines()] == ["STATUS", "finished", "killed", "not run"]
    waits.unlink()
    with in_background(swept.root, *arguments, environ={"GATE": str(gate)}) as process:
        wait_for(waits.exists)
        process.kill()
    said = cli(*arguments)
    assert said.code == 0, said.err
    assert said.err.splitlines()[0] == "3 runs, 1 of them finished before"
    statuses = sorted(record.status for record in local_records(swept.root))
    assert statuses == ["FINISHED", "FINISHED", "FINISHED", "KILLED", "KILLED"]


def test_a_run_of_other_code_is_none_of_the_grid(swept: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE", str(swept.root / "train.py"))
    change = """
    if depth == 2:
        open(os.environ["GATE"], "a").write("# changed")
    """
    swept.script(TRAIN.replace('gate = os.environ.get("GATE")', f"gate = None{change}"))
    before = (swept.root / "train.py").read_text()
    said = cli("sweep", "--set", "depth=2,4")
    assert said.code == 2
    assert said.err.splitlines()[-2] == "error: the sweep was stopped because the project changed while it ran: code"
    assert [record.status for record in local_records(swept.root)] == ["FINISHED", "FINISHED"]
    (swept.root / "train.py").write_text(before)
    said = cli("sweep", "--set", "depth=2,4")
    assert said.err.splitlines()[0] == "2 runs, 1 of them finished before"


def test_what_was_not_published_is_not_done(swept: Project, cli: Cli) -> None:
    swept.edit(
        'compare = "json"', 'compare = "json"\npublish = "lakefs://example-repo/{datasets.train.branch}/{params.rate}/"'
    )
    arguments = ["sweep", "--set", "rate=nan, 2", "--data", "train=main", "--json"]
    assert cli(*arguments, "--no-publish").code == 0
    said = cli(*arguments, "--merge")
    assert (said.code, said.err.splitlines()[0]) == (0, "2 runs"), said.err
    document = json.loads(said.out, parse_constant=pytest.fail)
    assert [run["params"] for run in document["runs"]] == [{"rate": "NaN"}, {"rate": 2}]
    there = {rate: cli("data", "ls", f"lakefs://example-repo/main/{rate}/").code for rate in ("nan", "2.0", "0.5")}
    assert there == {"nan": 0, "2.0": 0, "0.5": 2}
    said = cli(*arguments, "--merge")  # of a branch that has moved, by what was merged, and whose data is the same
    assert said.err.splitlines()[0] == "2 runs, 2 of them finished before"
    assert cli("replay", json.loads(said.out)["runs"][0]["run_id"]).code == 0


def test_what_could_not_be_merged_is_run_again(swept: Project, cli: Cli, tmp_path: Path) -> None:
    swept.edit('compare = "json"', 'compare = "json"\npublish = "lakefs://example-repo/main/{params.depth}/"')
    gate = tmp_path.parent / f"{tmp_path.name}.merge"
    waits = Path(f"{gate}.waits")
    arguments = ["sweep", "--set", "depth=2,3", "--merge"]
    with in_background(swept.root, *arguments, environ={"GATE": str(gate)}) as process:
        wait_for(waits.exists)
        swept.lake.put("example-repo", "main", "half", io.BytesIO(b"half"))
        gate.touch()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 9, err
    assert [re.split("  +", line)[-1] for line in out.splitlines()] == ["STATUS", "finished", "finished"]
    assert err.splitlines()[-2].startswith(
        'error: 1 of 2 runs left something undone, the first of them: outputs.model is not published: the branch "main" '
    )
    assert err.splitlines()[-1].endswith("; call it again to run them again")
    swept.lake.commit("example-repo", "main", "The other half")
    said = cli(*arguments)
    assert (said.code, said.err.splitlines()[0]) == (0, "2 runs, 1 of them finished before"), said.err
    assert cli("data", "ls", "lakefs://example-repo/main/3/").code == 0


def test_what_is_refused_before_anything_runs(swept: Project, cli: Cli) -> None:
    def refused(*arguments: str) -> str:
        said = cli("sweep", *arguments)
        assert (said.code, said.out) == (2, "")
        return said.err.splitlines()[0].removeprefix("error: ")

    assert refused("--set", "nope=1,2") == '--set nope: repro.toml declares no param "nope"'
    assert refused("--set", "depth=1,two") == '--set depth: repro.toml has the integer 1 there, not the text "two"'
    assert refused("--set", 'kind="a", "AKIAIOSFODNN7EXAMPLE"').startswith("--set kind")
    assert refused("--set", "rate=1, 1.0") == "--set rate: 1 and 1.0 are the same value"
    assert refused("--set", "rate=nan,nan") == "--set rate names nan twice"
    assert refused("--set", f"depth=1,{'9' * 5000}").startswith("--set depth: repro.toml has the integer 1 there, not")
    assert refused("--set", "depth=1]\nb=[2").startswith("--set depth: repro.toml has the integer 1 there, not")
    assert refused("--set", "depth=1,2 # 3").startswith("--set depth: repro.toml has the integer 1 there, not")
    assert refused("--data", "train=main,exp/more") == '--data train: "exp/more" is not a branch, tag or commit'
    assert refused("--data", "train=main,nope").startswith("--data train=nope: ")
    assert refused("--set", "depth=1", "--max", "a", "--min", "b") == "--max and --min cannot be used together"
    swept.edit('compare = "json"', 'compare = "json"\npublish = "lakefs://example-repo/main/model/"')
    assert refused("--data", "train=main,exp").startswith("--data train=exp: outputs.model is published to")
    assert refused("--set", "depth=1,2", "--merge") == (
        "--merge: outputs.model of more than one run would be published to lakefs://example-repo/main/model/"
    )
    assert list(local_records(swept.root)) == []
    said = cli("sweep", "--set", "depth=1,2,3", "--sample", "2", "--seed", "1", "--dry-run")
    assert (said.code, len(said.out.splitlines())) == (0, 3)


def test_the_runs_of_a_sweep_are_found_however_many_came_after(swept: Project, cli: Cli) -> None:
    """Of a sweep in another folder there is only what MLflow has."""
    assert cli("sweep", "--set", "depth=2,4").code == 0
    [parent] = {record.parent for record in local_records(swept.root)}
    shutil.rmtree(swept.root / ".reprolock")
    client = MlflowClient(swept.database)
    experiment = client.get_experiment_by_name("flights").experiment_id
    for number in range(200):
        client.create_run(experiment, tags={"reprolock.run_id": f"{number:032x}"})
    found = json.loads(cli("runs", "--parent", parent[:8], "--json").out)["runs"]
    assert [run["name"] for run in found] == ["depth=4", "depth=2"]
    # What LIKE would take for a pattern is none.
    assert json.loads(cli("runs", "--parent", "%", "--json").out)["runs"] == []
