"""`reprolock.open`: a dataset as it is pinned, without a run."""

from __future__ import annotations

import pytest
from command_line import Cli
from project import Project

import reprolock
from reprolock.errors import LockError, UsageError


def test_a_dataset_as_it_is_pinned(project: Project, cli: Cli) -> None:
    with pytest.raises(LockError, match="datasets.train is not pinned"):
        reprolock.open("train", project.root)
    assert cli("lock").code == 0
    before = {path.name: path.read_bytes() for path in reprolock.open("train", project.root).path.iterdir()}
    project.commit("train/later.csv", b"x,y\n9,9\n")
    opened = reprolock.open("train", project.root)
    assert {path.name: path.read_bytes() for path in opened.path.iterdir()} == before
    assert (opened.recorded, opened.format, opened.name) == (False, "csv", "train")
    assert len(opened.pandas()) > 0
    assert opened.url == f"file://{opened.path}"
    with pytest.raises(UsageError) as error:
        reprolock.open("trian", project.root)
    assert error.value.message == 'repro.toml declares no dataset "trian"'
    assert error.value.hint == 'did you mean "train"? it declares train'


def test_in_a_run_it_is_the_runs_own(project: Project, cli: Cli) -> None:
    project.script("import reprolock\nprint(reprolock.open('train').recorded, reprolock.open('train').commit)")
    project.edit("[run]", '[environment]\nisolated = false\n\n[run]\ncode = ["train.py"]')
    assert cli("lock").code == 0
    said = cli("run")
    assert said.out == f"True {project.record.datasets[0].commit}\n"
