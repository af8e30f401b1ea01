"""Did these runs use the same data? One command, and one line of Python."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import Cli
from project import Project
from replaying import edit_record, reseal

import reprolock
from reprolock.errors import NotReplayable, UsageError
from reprolock.model.record import Record
from reprolock.tracker import open_tracker
from reprolock.tracker.tracking_uri import Place


def run(project: Project, cli: Cli, *upgrade: str) -> Record:
    said = cli("lock", *upgrade)
    assert said.code == 0, said.err
    said = cli("run", "-q")
    assert said.code == 0, said.err
    return project.record


def downloaded(project: Project, record: Record, folder: Path) -> Path:
    tracker = open_tracker(Place(project.database, "the test"), {}, folder)
    return tracker.download(record.run_id, folder)


def test_the_same_bytes_and_others(project: Project, cli: Cli, tmp_path: Path) -> None:
    first = run(project, cli)
    project.commit("other/c.csv", b"beside the data")
    second = run(project, cli, "--upgrade")
    project.commit("train/b.csv", b"x,y\n3,4\n")
    third = run(project, cli, "--upgrade")
    assert len({record.datasets[0].commit for record in (first, second, third)}) == 3

    # Another commit, the same bytes.
    assert cli("same-data", first.run_id, second.run_id[:8]) == (0, "The 2 runs used the same data: train\n", "")
    assert reprolock.same_data(first.run_id, second.run_id, root=project.root)

    commits = [record.datasets[0].commit[:12] for record in (first, third)]
    difference = (
        f"train is example-repo {commits[0]} (1 object, 8 B) in run {first.run_id[:8]}, "
        f"example-repo {commits[1]} (2 objects, 16 B) in run {third.run_id[:8]}"
    )
    said = cli("same-data", first.run_id, second.run_id, third.run_id)
    assert said == (
        6,
        f"{difference}\n",
        "error: the runs did not use the same data\nhint: `reprolock diff` shows which objects differ\n",
    )
    answer = reprolock.same_data(first.run_id, third.run_id, root=project.root)
    assert (bool(answer), answer.differences) == (False, (difference,))
    said = cli("same-data", "--json", first.run_id, third.run_id)
    document = json.loads(said.out)
    assert (said.code, document["exit_code"], document["error"]) == (6, 6, said.err.splitlines()[0][len("error: ") :])
    assert {name: document[name] for name in ("same", "runs", "differences")} == {
        "same": False, "runs": [first.run_id, third.run_id], "differences": [difference],
    }  # fmt: skip

    # Folders do as well as IDs; what was changed in one is not an answer to anything.
    folder = downloaded(project, first, tmp_path / "downloaded" / "reprolock")
    assert reprolock.same_data(str(folder.parent), second.run_id, root=project.root)
    edit_record(folder, lambda record: record["datasets"][0].update(digest=third.datasets[0].digest))
    with pytest.raises(NotReplayable) as raised:
        reprolock.same_data(str(folder), third.run_id, root=project.root)
    assert raised.value.problems == ("datasets: not as it was when record.json was written",)

    # In MLflow a new seal does not help either.
    edit_record(folder, lambda record: record["datasets"][0].update(digest=third.datasets[0].digest))
    reseal(folder)
    [kept] = (project.root / "mlruns").rglob(f"{first.run_id}/artifacts/reprolock/record.json")
    shutil.copy(folder / "record.json", kept)
    with pytest.raises(NotReplayable) as raised:
        reprolock.same_data(first.run_id, third.run_id, root=project.root)
    assert raised.value.problems[0].startswith("reprolock.seal: record.json says ")


def test_names_count(project: Project, cli: Cli) -> None:
    first = run(project, cli)
    project.edit("[datasets.train]", "[datasets.test]")
    second = run(project, cli)
    assert reprolock.same_data(first.run_id, second.run_id, root=project.root).differences == (
        f"test is only in run {second.run_id[:8]}",
        f"train is only in run {first.run_id[:8]}",
    )


def test_nothing_to_compare(project: Project, cli: Cli) -> None:
    first = run(project, cli)
    said = cli("same-data", first.run_id)
    assert (said.code, said.err) == (2, "error: a comparison needs more than one run\nhint: name two runs or more\n")
    with pytest.raises(UsageError):
        reprolock.same_data(root=project.root)
    project.spec('[project]\nname = "flights"\n\n[run]\ncommand = ["python", "train.py"]\n')
    second = run(project, cli)
    said = cli("same-data", first.run_id, second.run_id)
    assert (said.code, said.err.splitlines()[0]) == (
        7,
        f"error: run {second.run_id[:8]} declares no dataset, so nothing is known of its data",
    )


def test_digests_of_two_lakes_are_not_compared(project: Project, cli: Cli, tmp_path: Path) -> None:
    first = run(project, cli)
    folder = downloaded(project, first, tmp_path / "other")
    edit_record(folder, lambda record: record["datasets"][0].update(digest="lakefs-etag-v1:" + "0" * 64))
    reseal(folder)
    said = cli("same-data", first.run_id, str(folder))
    assert (said.code, said.err.splitlines()[0]) == (
        7,
        "error: dataset train has a git-sha1-1 digest in one run and a lakefs-etag-v1 digest in another: "
        "the checksums of two kinds of lake cannot be compared",
    )
