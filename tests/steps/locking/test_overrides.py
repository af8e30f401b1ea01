"""`--set` and `--data` as a person types them: one thing changes for one run, repro.lock never."""

from __future__ import annotations

import pytest
from project import Project, lines_of


def test_set_changes_one_thing_for_one_run(project: Project, cli) -> None:
    project.add("[params]\nmax_iter = 20\n\n[params.model]\nlr = 0.5\n")
    project.command("python", "train.py", "{params.max_iter}", "{params.model.lr}")
    project.script("import sys; print(sys.argv[1:])")
    assert cli("lock").code == 0
    before = (project.root / "repro.lock").read_bytes()
    assert cli("run", "-q").out == "['20', '0.5']\n"
    first = project.record
    said = cli("run", "--set", "max_iter=50", "--set", "model.lr=1")
    assert said.out == "['50', '1.0']\n"
    assert lines_of(said.err, "Why") == ["Why     params.max_iter 20 → 50; params.model.lr 0.5 → 1.0"]
    assert project.record.params == {"max_iter": 50, "model": {"lr": 1.0}}
    assert project.stored().data.params == {"max_iter": "50", "model.lr": "1.0"}
    changed = {name for name, digest in project.record.pinned.sections.items() if first.pinned.sections[name] != digest}
    assert changed == {"params"}
    assert (project.root / "repro.lock").read_bytes() == before


def test_data_takes_another_ref_for_one_run(project: Project, cli) -> None:
    project.script(
        "import reprolock; print(sorted(p.name for p in reprolock.current().dataset('train').path.iterdir()))"
    )
    assert cli("lock").code == 0
    before = (project.root / "repro.lock").read_bytes()
    project.lake.create_branch("example-repo", "more", "main")
    project.put("train/b.csv", b"x,y\n")
    new = project.commit("train/c.csv", b"x,y\n")
    said = cli("run", "--data", "train=main")
    assert said.out == "['a.csv', 'b.csv', 'c.csv']\n"
    [used] = project.record.datasets
    assert (used.commit, used.what_if, used.uri) == (new, True, "lakefs://example-repo/main/train/")
    assert project.stored().data.tags["reprolock.dataset.train.what_if"] == "true"
    assert (project.root / "repro.lock").read_bytes() == before
    assert cli("run", "-q").out == "['a.csv']\n"
    said = cli("run", "--data", "train=more")
    assert project.record.datasets[0].uri == "lakefs://example-repo/more/train/"
    assert project.stored().data.tags["lakefs_branch"] == "more"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--locked", "--relock"], "--locked and --relock cannot be used together\nhint: use one of them"),
        (["--locked", "--set", "n=2"], "--set and --data change what is locked, and --locked forbids it\nhint: leave out --locked"),
        (["--locked", "--data", "train=x"], "--set and --data change what is locked, and --locked forbids it\nhint: leave out --locked"),
        (["--relock", "--dry-run"], "--relock writes repro.lock, and --dry-run writes nothing\nhint: run `reprolock lock --dry-run` first"),
        (["--set", "m=2"], '--set m: repro.toml declares no param "m"\nhint: it declares deep, n, name'),
        (["--set", "deep.m=2"], '--set deep.m: repro.toml declares no param "deep.m"\nhint: it declares deep, n, name'),
        (["--set", "n.x=2"], '--set n.x: repro.toml declares no param "n.x"\nhint: it declares deep, n, name'),
        (["--set", "n=two"], '--set n: repro.toml has the integer 1 there, not the text "two"\nhint: give a value of the same type'),
        (["--set", "n=true"], "--set n: repro.toml has the integer 1 there, not the truth value true\nhint: give a value of the same type"),
        (["--set", "name=5"], "--set name: repro.toml has the text \"a\" there, not the integer 5\nhint: write it in quotes: --set 'name=\"5\"'"),
        (["--set", "n"], '"n" is not NAME=VALUE\nhint: write a name and its value, such as max_iter=50'),
        (["--data", "trian=main"], '--data trian: repro.toml declares no dataset "trian"\nhint: it declares train'),
        (["--data", "train=mian"], '--data train=mian: no branch, tag or commit "mian" in the repository "example-repo"\nhint: did you mean "main"?'),
        (["--data", "train"], 'invalid value for --data: "train" is not NAME=VALUE\nhint: `reprolock run --help` shows the options'),
    ],
)  # fmt: skip
def test_calls_that_are_wrong(project: Project, cli, arguments: list[str], message: str) -> None:
    project.add('[params]\nn = 1\nname = "a"\ndeep = { x = 1 }\n')
    assert cli("lock").code == 0
    said = cli("run", *arguments)
    assert said.err == f"error: {message}\n"
    assert (said.code, said.out) == (2, "")
    assert project.all_stored() == []
