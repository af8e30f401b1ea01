"""The examples, as a person follows them: every `run.sh` in a new folder, and what it leaves in MLflow and in the lake."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import services
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTED = sorted(path.parent.name for path in EXAMPLES.glob("*/run.sh"))


def follow(name: str, folder: Path, environ: Mapping[str, str] = {}) -> str:
    """Run an example's commands; what they print."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", str(EXAMPLES / name / "run.sh"), str(folder)],
        env={**os.environ, "PATH": path, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def recorded(folder: Path, experiment: str) -> dict[str, Run]:
    """The runs of an experiment by their names, the oldest first."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id], order_by=["attributes.start_time"])
    return {run.info.run_name: run for run in runs}


@pytest.mark.parametrize("name", SCRIPTED)
def test_a_readme_names_every_file(name: str) -> None:
    named = set(re.findall(r"^\| `([^`]+)` \|", (EXAMPLES / name / "README.md").read_text(), re.MULTILINE))
    assert named == {path.name for path in (EXAMPLES / name).iterdir() if path.is_file()} - {"README.md"}


@pytest.mark.long
def test_one_change_and_all_else_constant(tmp_path: Path, bare: None) -> None:
    said = follow("what_if", tmp_path)
    assert len(re.findall(r"^One input changed, and \w+ results?\.$", said, re.M)) == 2
    assert "params    changed  max_depth 2 → 4\n" in said
    assert "data      changed  wines " in said
    runs = recorded(tmp_path, "wines")
    assert list(runs) == ["baseline", "deeper", "usual-wines"]
    assert [run.data.params["max_depth"] for run in runs.values()] == ["2", "4", "2"]
    assert [run.data.metrics["wines"] for run in runs.values()] == [178, 178, 168]
    commits = [run.data.tags["reprolock.dataset.wines.commit"] for run in runs.values()]
    assert commits[0] == commits[1] != commits[2]
    table = said.splitlines()[-4:]
    assert table[0].split() == ["run", "max_depth", "wines", "accuracy", "wines"]
    for line, run, commit in zip(table[1:], runs.values(), commits, strict=True):
        accuracy = f"{run.data.metrics['accuracy']:.6f}"
        assert line.split() == [
            run.info.run_name,
            run.data.params["max_depth"],
            commit[:12],
            accuracy,
            str(run.data.metrics["wines"]),
        ]


@pytest.mark.long
def test_pictures_and_an_unmodified_script(tmp_path: Path, bare: None) -> None:
    assert "reprolock" not in re.sub(
        r'""".*?"""', "", (EXAMPLES / "pictures" / "palette.py").read_text(), flags=re.DOTALL
    )
    said = follow("pictures", tmp_path)
    runs = recorded(tmp_path, "palettes")
    day, evening = runs["day"], runs["evening"]
    assert (
        day.data.metrics["pictures"] == evening.data.metrics["pictures"] == 2
    )  # the note beside them is not a picture
    assert day.data.metrics["brightness"] > 2 * evening.data.metrics["brightness"]
    listed = [line.split()[-1] for line in said.splitlines() if re.match(r" +\d+ k?B  ", line)]
    assert listed == ["palettes.json", "photos/README.txt", "photos/china.jpg", "photos/flower.jpg"] * 2
    assert f"mlflow_run = {day.info.run_id}\n" in said
    assert "REPRODUCED   3 of 3 compared" in said
    [replay] = [run for run in runs.values() if "reprolock.replay_of" in run.data.tags]
    assert replay.data.tags["reprolock.replay_of"] == day.info.run_id


def test_the_demo_on_a_cluster_says_what_it_needs(tmp_path: Path) -> None:
    demo = subprocess.run(
        [sys.executable, EXAMPLES / "demo" / "demo.py", "--cluster"],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (demo.returncode, demo.stdout, demo.stderr) == (
        1,
        "",
        "error: demo-cluster needs minio and lakefs on PATH\nhint: `make demo` needs no server\n",
    )


@pytest.mark.live
@pytest.mark.spark
@pytest.mark.long
def test_a_table(tmp_path: Path, bare: None, lakefs: services.LakeFS) -> None:
    said = follow("table", tmp_path, {**lakefs.lakectl, "STORAGE": f"{lakefs.storage}clinic"})
    run = recorded(tmp_path, "clinic")["first"]
    commit = run.data.tags["lakefs_head_commit_id"]
    assert (run.data.tags["lakefs_repo"], run.data.tags["lakefs_branch"]) == ("clinic", "experiment")
    assert run.data.metrics["patients"] == 569
    assert run.data.metrics["area_under_roc"] > 0.98
    inputs = {given.dataset.name.partition(" ")[0]: given.dataset for given in run.inputs.dataset_inputs}
    assert set(inputs) == {"measurements", "read_by_hand"}
    for dataset in inputs.values():
        source = f"{dataset.source_type} s3://clinic/{commit}/measurements"
        assert f"{dataset.name}   digest {dataset.digest}   {source}   31 columns\n" in said
    assert inputs["measurements"].schema == inputs["read_by_hand"].schema
    assert f"experiment moved on by 1 commit, {commit[:12]} → " in said
    assert "   159 kB  measurements/  4 objects\n" in said  # the tag still shows what the branch has not
    assert re.search(r"\n +\d+ kB  predictions/  \d+ objects\n", said)


@pytest.mark.long
def test_a_notebook_on_the_locked_kernel(
    tmp_path: Path, bare: None, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names a kernel that is not here; a record with another param is compared, and the replay reproduces."""
    asked = subprocess.run(["uv", "pip", "compile", "-q", "-"], input=b"nbconvert", capture_output=True)
    if asked.returncode:
        pytest.skip(f"the package index, which has Jupyter, does not answer: {asked.stderr.decode()[-200:].strip()}")
    said = follow("notebook", tmp_path, {"REPROLOCK_CACHE_DIR": str(cache)})
    assert "params    changed  longest 30 → 60\n" in said
    assert "REPRODUCED   1 of 1 compared   not compared: notebook\n" in said
    executed = json.loads((tmp_path / "out/visits.ipynb").read_text())
    assert executed["cells"][-1]["outputs"][0]["data"]["text/plain"] == ["{'visits': 5, 'mean': 13.2, 'longest': 45}"]
    assert json.loads((tmp_path / "out/summary.json").read_text()) == {"visits": 5, "mean": 13.2, "longest": 45}
