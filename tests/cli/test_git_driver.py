"""repro.lock in real git: merge, rebase, cherry-pick, stash pop and revert, with and without the driver."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Cli
from lake_project import LakeProject

from reprolock.files.lock_file import read_lock

THREE = """
[datasets.{name}]
uri = "lakefs://example-repo/{name}/train/"
format = "csv"
"""


class Clone:
    """A project in git, on an embedded lake with a branch for each dataset."""

    def __init__(self, lake_project: LakeProject, cli: Cli) -> None:
        self.lake_project, self.cli, self.root = lake_project, cli, lake_project.root
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.email", "ann@example.com")
        self.git("config", "user.name", "Ann")

    def git(self, *arguments: str, fails: bool = False) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environ = {**os.environ, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_EDITOR": "true"}
        done = subprocess.run(["git", "-C", str(self.root), *arguments], env=environ, capture_output=True, text=True)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def move(self, branch: str, text: str) -> None:
        """A commit on a branch of the lake."""
        self.lake_project.lake.put("example-repo", branch, "train/more.csv", io.BytesIO(text.encode()))
        self.lake_project.lake.commit("example-repo", branch, text)

    def upgrade(self, name: str, text: str) -> str:
        """Take new data for one dataset, in a commit of its own; the lake's commit."""
        self.move(name, text)
        assert self.cli("lock", "--upgrade-dataset", name).code == 0
        self.git("commit", "-qam", f"Take {text}")
        return self.pinned(name)

    def pinned(self, name: str) -> str:
        lock = read_lock(self.root)
        pin = lock.dataset_pin(name) if lock else None
        assert pin is not None
        return pin.commit


@pytest.fixture
def clone(lake_project: LakeProject, cli: Cli) -> Clone:
    made = Clone(lake_project, cli)
    declared = (made.root / "repro.toml").read_text()
    head, run = declared.partition("[datasets")[0], declared[declared.index("[run]") :]
    for name in ("one", "two", "three"):
        assert cli("data", "branch", "lakefs://example-repo/main", name).code == 0
    (made.root / "repro.toml").write_text(
        head + "".join(THREE.format(name=name) for name in ("one", "two")) + "\n" + run
    )
    (made.root / ".gitignore").write_text("lake/\nmlflow.db\n.reprolock/\n")
    assert cli("lock").code == 0
    made.git("add", "-A")
    made.git("commit", "-qm", "Start")
    return made


@pytest.fixture
def driven(clone: Clone, cli: Cli) -> Clone:
    said = cli("git-driver", "install")
    assert said == (
        0,
        "git merges and shows repro.lock by its pins in this clone\nNext: git add .gitattributes, and commit it\n",
        "",
    )
    clone.git("add", "-A")
    clone.git("commit", "-qm", "Merge repro.lock by its pins")
    return clone


def test_each_sides_dataset_survives_a_merge(driven: Clone, cli: Cli) -> None:
    driven.git("switch", "-qc", "other")
    two = driven.upgrade("two", "b\n2\n")
    driven.git("switch", "-q", "main")
    one = driven.upgrade("one", "b\n1\n")
    driven.git("merge", "-q", "--no-edit", "other")
    assert (driven.pinned("one"), driven.pinned("two")) == (one, two)
    assert cli("lock", "--check").code == 0


@pytest.mark.parametrize("way", ["rebase", "cherry-pick", "stash", "revert"])
def test_every_way_that_git_merges(driven: Clone, cli: Cli, way: str) -> None:
    start = driven.pinned("one")
    driven.git("switch", "-qc", "other")
    two = driven.upgrade("two", "b\n2\n")
    if way == "stash":
        driven.git("switch", "-q", "main")
        driven.move("one", "b\n1\n")
        assert cli("lock", "--upgrade-dataset", "one").code == 0
        one = driven.pinned("one")
        driven.git("stash", "-q")
        driven.git("merge", "-q", "other")
        driven.git("stash", "pop", "-q")
    elif way == "revert":
        one = driven.upgrade("one", "b\n1\n")
        driven.git("revert", "--no-edit", "HEAD")
        one = start
    else:
        driven.git("switch", "-q", "main")
        one = driven.upgrade("one", "b\n1\n")
        driven.git(*(["rebase", "-q", "other"] if way == "rebase" else ["cherry-pick", "other"]))
    assert (driven.pinned("one"), driven.pinned("two")) == (one, two)
    assert cli("lock", "--check").code == 0


def both_upgrade_one(clone: Clone) -> tuple[str, str]:
    clone.git("switch", "-qc", "other")
    theirs = clone.upgrade("one", "b\n2\n")
    clone.git("switch", "-q", "main")
    return clone.upgrade("one", "b\n1\n"), theirs


def test_two_commits_of_one_dataset_are_a_persons_to_decide(driven: Clone, cli: Cli) -> None:
    ours, theirs = both_upgrade_one(driven)
    said = driven.git("merge", "other", fails=True)
    assert 'error: repro.lock: both sides changed dataset "one" at different commits\n' in said
    assert "hint: merge repro.toml, run `reprolock lock`, and `git add` both\n" in said
    found = cli("lock")
    day = read_lock_time(driven)
    assert (found.code, found.err) == (
        3,
        "error: repro.lock has a conflict that is yours to decide: both sides pinned a dataset at different commits\n"
        f"  datasets.one: ours {ours[:12]} ({day}), theirs {theirs[:12]} ({day})\n"
        "hint: `reprolock lock --upgrade-dataset one` pins what the branch holds now; or take a side whole with "
        "`git checkout --ours repro.lock`\n",
    )
    assert cli("lock", "--upgrade-dataset", "one").code == 0
    assert cli("lock", "--check").code == 0


def read_lock_time(clone: Clone) -> str:
    return clone.git("log", "-1", "--date=short", "--format=%cd").strip()


def test_lock_merges_what_git_left_without_the_driver(clone: Clone, cli: Cli) -> None:
    clone.git("switch", "-qc", "other")
    toml = clone.root / "repro.toml"
    toml.write_text(toml.read_text().replace("[datasets.two]", "[datasets.new]").replace("/two/", "/three/"))
    assert cli("lock").code == 0
    clone.git("commit", "-qam", "Another dataset")
    clone.git("switch", "-q", "main")
    one = clone.upgrade("one", "b\n1\n")
    two = clone.upgrade("two", "b\n2\n")
    clone.git("merge", "other", fails=True)
    assert cli("run").err == (
        "error: repro.lock has git's conflict markers\n"
        "hint: run `reprolock lock`, which merges both sides, and commit the result\n"
    )
    toml.write_text(toml.read_text() + THREE.format(name="two"))  # a person wants both
    assert cli("lock").code == 0
    assert (clone.pinned("one"), clone.pinned("two")) == (one, two)
    assert cli("lock", "--check").code == 0


def test_a_diff_is_told_by_pins(driven: Clone) -> None:
    before = driven.pinned("one")
    driven.upgrade("one", "b\n1\n")
    lines = [line for line in driven.git("diff", "HEAD~1", "--", "repro.lock").splitlines() if line[:1] in "+-"][2:]
    assert [line.split("  ")[:3] for line in lines] == [
        ["-dataset one", "lakefs://example-repo/one/train/", before[:12]],
        ["+dataset one", "lakefs://example-repo/one/train/", driven.pinned("one")[:12]],
    ]


def test_uninstall_leaves_what_others_wrote(driven: Clone, cli: Cli) -> None:
    attributes = driven.root / ".gitattributes"
    attributes.write_text("*.csv -text\n" + attributes.read_text())
    assert cli("git-driver", "uninstall").out == "git merges repro.lock as text again in this clone\n"
    assert attributes.read_text() == "*.csv -text\n"
    assert driven.git("config", "--get-regexp", "reprolock", fails=True) == ""


def test_outside_of_git(lake_project: LakeProject, cli: Cli) -> None:
    assert cli("git-driver", "install") == (
        2,
        "",
        f"error: {lake_project.root} is not in a git repository\nhint: run `git init` first, or name a clone with -C\n",
    )
