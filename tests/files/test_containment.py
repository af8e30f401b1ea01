"""Nothing is written through a link that leads out of the project, for every file and folder that reprolock writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Cli
from lake_project import SPEC
from project import Project

from reprolock.errors import UsageError
from reprolock.files.atomic_write import own_folder, write_whole
from reprolock.files.containment import check_folder, check_inside

OUTPUT = '\n[outputs.result]\npath = "out/a/b"\n\n[environment]\nisolated = false\n'
WRITE = "import pathlib as p; p.Path('out/a').mkdir(parents=True, exist_ok=True); p.Path('out/a/b').write_text('x')"


def message(name: str, target: Path) -> str:
    return f'"{name}" is a link that leads out of the project, to {target}; nothing is written through it'


def test_each_part_of_a_path_is_looked_at(tmp_path: Path) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    (project / "a").mkdir(parents=True)
    outside.mkdir()
    (project / "a" / "b").symlink_to(outside)
    with pytest.raises(UsageError) as refused:
        check_inside(project, "fine", "a/b/c")
    assert (refused.value.message, refused.value.exit_code) == (message("a/b", outside), 2)
    (project / "fine").symlink_to("a")
    check_inside(project, "fine/c", "a")


def test_a_link_into_git_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(".git/hooks")
    with pytest.raises(UsageError, match=r'"out" is a link that leads into .git/hooks, which is git\'s own'):
        check_inside(tmp_path, "out/pre-commit")


@pytest.mark.parametrize("name", [".reprolock", ".reprolock/runs", ".reprolock/.gitignore", ".reprolock/runs/x"])
def test_links_in_reprolocks_own_folder(name: str, tmp_path: Path) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    outside.mkdir()
    (project / name).parent.mkdir(parents=True)
    (project / name).symlink_to(outside / "victim")
    with pytest.raises(UsageError) as refused:
        own_folder(project)
    assert refused.value.message == message(name, outside / "victim")
    assert list(outside.iterdir()) == []
    with pytest.raises(UsageError):
        check_folder(project, ".reprolock")


def test_deep_in_the_own_folder_a_link_is_replaced(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    link = tmp_path / "project" / ".reprolock" / "runs" / "x" / "record.json"
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    write_whole(link, b"record")
    assert (link.is_symlink(), link.read_text(), victim.read_text()) == (False, "record", "mine")


@pytest.mark.parametrize("name", ["repro.lock", ".reprolock", "lake", "mlflow.db", "out", "out/a", "mlruns"])
def test_every_command_that_writes(
    name: str, project: Project, cli: Cli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    project.spec(SPEC + OUTPUT)
    project.command("python", "-c", WRITE)
    assert cli("lock").code == 0
    place = project.root / name
    if place.exists():
        place.rename(outside / "there")
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(outside / "there")
    before = sorted(outside.rglob("*"))
    if name != "lake":
        project.commit("train/b.csv", b"x,y\n3,4\n")  # there is something to write
    (project.root / "new.csv").write_text("x\n1\n")
    refused = 0
    for call in (
        ["lock", "--upgrade"],
        ["run"],
        ["run", "--in-place"],
        ["sync"],
        ["data", "put", "new.csv", "lakefs://example-repo/main/train/new.csv"],
        ["data", "create", "lakefs://another"],
    ):
        said = cli(*call)
        told = (
            f'"{name}" is a link' in said.err
            or f'code file "{name.split("/")[0]}" is a link' in said.err
            or f"{name} is a link" in said.err
        )
        refused += said.code == 2 and told
        assert said.code in (0, 2), said
        assert sorted(outside.rglob("*")) == before, call
    assert refused


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        (".git/hooks/pre-commit", "git's own"),
        (".GIT/hooks", "git's own"),
        ("sub/.git/hooks", "git's own"),
        (".g\u200cit/hooks", "git's own"),
        (".Reprolock/x", "reprolock's own"),
        ("REPRO.toml", "reprolock's own"),
        ("mlflow.db", "MLflow's own"),
        ("MLflow.db-wal", "MLflow's own"),
        ("mlruns/0", "MLflow's own"),
        ("LAKE/x", "the lake"),
    ],
)
def test_an_output_names_nothing_of_anybodys(path: str, whose: str, project: Project, cli: Cli) -> None:
    project.add(f"\n[outputs.result]\npath = {json.dumps(path)}\n")
    said = cli("lock")
    assert said.code == 2
    assert "outputs.result.path: " in said.err
    assert whose in said.err
