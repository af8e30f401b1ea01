"""`add` and `remove`: repro.toml edited in place, comments and order kept, and locked or left as it was."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from command_line import Cli
from project import Project

from reprolock.files.lock_file import read_lock

SPEC = """\
# About flights.
[project]
name = "flights"  # its name

[lake]
endpoint = "file:lake"

[datasets.train]
uri = "lakefs://example-repo/main/train/"  # every flight
format = "csv"

[params]
depth = 3  # of the trees

[environment]
packages = [
    "pandas<3",  # tables
    "numpy",
]

[run]
command = ["python", "train.py", "{params.depth}"]
"""


@pytest.fixture
def edited(project: Project) -> Project:
    (project.root / "repro.toml").write_text(SPEC)
    return project


def text(project: Project) -> str:
    return (project.root / "repro.toml").read_text()


def test_a_dataset_is_looked_at_added_and_locked(project: Project, cli: Cli) -> None:
    project.put("test/a.tsv", b"x\ty\n1\t2\n")
    project.commit("test/b.tsv", b"x\ty\n3\t4\n")
    before = text(project)
    said = cli("add", "dataset", "test", "lakefs://example-repo/main/test/")
    assert said.code == 0, said.err
    assert said.out.splitlines()[0] == "Added dataset test  lakefs://example-repo/main/test/  csv"
    table = '[datasets.test]\nuri = "lakefs://example-repo/main/test/"\nformat = "csv"\noptions = {header = true, sep = "\\t"}\n'
    assert table in text(project)
    lock = read_lock(project.root)
    assert lock is not None and [pin.name for pin in lock.dataset] == ["test", "train"]
    assert cli("lock", "--check").code == 0
    said = cli("remove", "dataset", "test")
    assert (said.code, said.out.splitlines()[:1]) == (0, ["Removed dataset test"])
    assert tomllib.loads(text(project)) == tomllib.loads(before)
    assert cli("lock", "--check").code == 0


def test_what_cannot_be_locked_is_not_added(project: Project, cli: Cli) -> None:
    assert cli("lock").code == 0
    before = text(project), (project.root / "repro.lock").read_bytes()
    for arguments, message in (
        (["lakefs://example-repo/main/nope/"], "nothing is at lakefs://example-repo/main/nope/"),
        (["lakefs://example-repo/main/nope/", "--format", "csv"], "nothing is at lakefs://example-repo/main/nope"),
        (["example-repo/main"], '"example-repo/main" is not a lake address; write "lakefs://REPOSITORY/REF/PATH"'),
    ):
        said = cli("add", "dataset", "test", *arguments)
        assert said.code == 2
        assert message.rstrip("/") in said.err.splitlines()[0]
        assert (text(project), (project.root / "repro.lock").read_bytes()) == before
    said = cli("add", "dataset", "train", "lakefs://example-repo/main/train/")
    assert (said.code, said.err) == (
        2,
        "error: datasets.train is already in repro.toml\n"
        "hint: edit it there, or `reprolock remove dataset train` first\n",
    )


def test_comments_and_order_stay(edited: Project, cli: Cli) -> None:
    for arguments in (
        ["package", "scikit-learn>=1.5", "Pandas>=2.2"],
        ["param", "depth=5"],
        ["param", "model.rate=0.1"],
        ["output", "model", "out/model.json", "--compare", "json"],
    ):
        said = cli("add", *arguments, "--no-lock")
        assert said.code == 0, said.err
    assert text(edited) == (
        SPEC.replace('"pandas<3",', '"Pandas>=2.2",')
        .replace('    "numpy",\n', '    "numpy",\n    "scikit-learn>=1.5",\n')
        .replace("depth = 3", "depth = 5")
        .replace("# of the trees\n", "# of the trees\n\n[params.model]\nrate = 0.1\n")
        + '\n[outputs.model]\npath = "out/model.json"\ncompare = "json"\n'
    )
    for arguments in (["package", "numpy"], ["param", "model.rate"], ["output", "model"]):
        assert cli("remove", *arguments, "--no-lock").code == 0
    assert "numpy" not in text(edited) and "[outputs" not in text(edited)
    assert '"Pandas>=2.2",  # tables' in text(edited) and "# About flights." in text(edited)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["remove", "param", "nope"], "repro.toml has no nope in params"),
        (["remove", "package", "nope"], "repro.toml has no nope in environment.packages"),
        (["remove", "output", "nope"], "repro.toml has no nope in outputs"),
        (
            ["remove", "param", "depth"],
            "repro.toml:21: run.command[2]: {params.depth} names nothing: [params] is empty",
        ),
        (["add", "package", "no such"], '"no such" is not a requirement: expected semicolon'),
        (["add", "param", "depth.more=1"], "params.depth.more: depth is a value, not a table"),
        (["add", "output", "model", "../out"], None),
        (["add", "param", "key=AKIAIOSFODNN7EXAMPLE"], None),
    ],
)
def test_what_would_be_no_repro_toml_is_refused(
    edited: Project, cli: Cli, arguments: list[str], message: str | None
) -> None:
    said = cli(*arguments)
    assert (said.code, said.out) == (2, "")
    assert text(edited) == SPEC
    if message is not None:
        assert said.err.splitlines()[0].startswith(f"error: {message}")


@pytest.mark.parametrize(
    "tables",
    [
        'datasets = {a = {uri = "lakefs://example-repo/main/a/", format = "csv"}}\nparams = {x = nan}\n',
        'datasets.a.uri = "lakefs://example-repo/main/a/"\ndatasets.a.format = "csv"\nparams.x = nan\n',
    ],
)
def test_tables_without_a_line_of_their_own(project: Project, cli: Cli, tables: str) -> None:
    (project.root / "repro.toml").write_text(
        f'project.name = "f"\nlake.endpoint = "file:lake"\n{tables}run.command = ["python"]\n'
    )
    before = text(project)
    for arguments in (["dataset", "b", "lakefs://example-repo/main/b/", "--format", "csv"], ["param", "model.y=1"]):
        said = cli("add", *arguments, "--no-lock")
        assert (said.code, said.err) == (
            2,
            "error: repro.toml has a table on one line, or by dotted keys, which cannot be edited in place\n"
            "hint: write it as a table, with its name in brackets on a line of its own, or edit the file\n",
        )
        assert text(project) == before
    assert cli("add", "param", "y=1", "--no-lock").code == 0
    assert tomllib.loads(text(project))["params"]["y"] == 1


def test_packages_of_a_file_are_changed_there(project: Project, cli: Cli) -> None:
    (project.root / "requirements.txt").write_text("numpy\n")
    project.edit("[run]", '[environment]\nrequirements = "requirements.txt"\n\n[run]')
    assert cli("add", "package", "pandas") == (
        2,
        "",
        "error: the packages of this project come from environment.requirements (requirements.txt)\n"
        "hint: change them there, then run `reprolock lock`\n",
    )


def test_a_folder_without_a_project(tmp_path: Path, cli: Cli) -> None:
    assert cli("add", "param", "x=1").err.splitlines()[0] == f"error: no repro.toml in {tmp_path}"
    assert list(tmp_path.iterdir()) == []
