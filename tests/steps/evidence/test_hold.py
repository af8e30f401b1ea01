"""Holds on the embedded lake, over Git's references: made, shared, listed, checked, released."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from command_line import Cli
from evidence import SPEC, TRAIN
from project import Project

from reprolock.steps.evidence.attestations import read_lines


@pytest.fixture
def pinned(project: Project, cli: Cli) -> Project:
    """A project whose lock pins a commit that its branch has left behind."""
    project.spec(SPEC)
    project.script(TRAIN)
    assert cli("lock").code == 0
    project.commit("train/b.csv", b"x,y\n9,9\n")
    return project


def pin(project: Project) -> str:
    found = [line for line in (project.root / "repro.lock").read_text().splitlines() if line.startswith("commit")]
    return found[0].split('"')[1]


def test_a_hold_from_its_making_to_its_release(pinned: Project, cli: Cli) -> None:
    commit = pin(pinned)
    said = cli("hold", "check")
    assert (said.code, said.err) == (
        4,
        f"error: 1 pinned commit is not held: {commit[:12]} of example-repo: gone: its branch was deleted, or never made\n"
        "hint: `reprolock hold` makes the hold again, as long as the lake still has the commit\n",
    )
    made = cli("hold", "repro.lock", "--until", "2099-12-31", "--reason", "the filing of 2026")
    assert (made.code, made.out) == (
        0,
        f"{commit[:12]}  example-repo  reprolock-hold-{commit[:12]}…  until 2099-12-31   the filing of 2026\n",
    ), made.err
    head = pinned.lake.resolve("example-repo", f"reprolock-hold-{commit}")
    assert head.parents == (commit,)
    assert not list(pinned.lake.diff("example-repo", commit, head.id))
    assert cli("hold", "ls").out == made.out
    checked = cli("hold", "check")
    assert (checked.code, checked.out) == (
        0,
        f"{commit[:12]}  example-repo  reprolock-hold-{commit[:12]}…  until 2099-12-31, kept by the lake's garbage collection\n",
    )

    # A shorter one shares it, and makes no commit; a longer one lasts.
    assert cli("hold", "repro.lock", "--for", "1d").code == 0
    assert pinned.lake.resolve("example-repo", head.id) == pinned.lake.resolve(
        "example-repo", f"reprolock-hold-{commit}"
    )
    longer = json.loads(cli("hold", "repro.lock", "--until", "2199-01-01", "--json").out)
    assert longer["holds"][0]["until"] == "2199-01-01T23:59:59+00:00"

    refused = cli("hold", "release", "repro.lock")
    assert (refused.code, refused.err) == (
        2,
        f"error: commit {commit[:12]} of example-repo is held until 2199-01-01\n"
        "hint: wait until then; --force releases it now, for every run that rests on it\n",
    )
    assert cli("hold", "release", "repro.lock", "--force").out == f"Released {commit[:12]} of example-repo\n"
    assert cli("hold", "ls").out == "Nothing is held\n"
    assert cli("hold", "release", "repro.lock").err.startswith(
        f"error: commit {commit[:12]} of example-repo is not held\n"
    )


def test_git_keeps_what_is_held(pinned: Project, cli: Cli) -> None:
    """`git gc --prune=now` after the branch was rewritten by plain git: the held commit is the only one that stays."""
    commit = pin(pinned)
    assert cli("hold", "repro.lock").code == 0
    git = ["git", "--git-dir", str(pinned.root / "lake" / "example-repo.git")]
    tree = subprocess.run([*git, "mktree"], input=b"", capture_output=True, check=True).stdout.decode().strip()
    lost = subprocess.run([*git, "rev-parse", "main"], capture_output=True, check=True, text=True).stdout.strip()
    environ = {name: "x@example.com" for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")}
    environ |= {name: "x" for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME")}
    made = subprocess.run(
        [*git, "commit-tree", tree, "-m", "new"], capture_output=True, check=True, text=True, env=environ
    )
    subprocess.run([*git, "update-ref", "refs/heads/main", made.stdout.strip()], check=True)
    subprocess.run([*git, "reflog", "expire", "--expire=now", "--all"], check=True)
    subprocess.run([*git, "gc", "--quiet", "--prune=now"], check=True)
    assert subprocess.run([*git, "cat-file", "-e", commit]).returncode == 0
    assert subprocess.run([*git, "cat-file", "-e", lost], capture_output=True).returncode != 0
    assert cli("hold", "check").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--until", "soon"], '--until: "soon" is not a date'),
        (["--until", "2020-01-01"], "a hold until 2020-01-01 would have passed already"),
        (["--for", "forever"], '--for: "forever" is not a period'),
        (["--for", "1y", "--until", "2099-01-01"], "--until and --for cannot be used together"),
    ],
)
def test_ends_that_are_none(arguments: list[str], message: str, pinned: Project, cli: Cli) -> None:
    said = cli("hold", "repro.lock", *arguments)
    assert (said.code, said.err.splitlines()[0]) == (2, f"error: {message}")


def test_a_run_that_is_signed_and_held(
    pinned: Project, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`[evidence]`: signed before and after, held, each statement in MLflow too; the audit names the hold."""
    pinned.add('[evidence]\nsign = true\nhold = "10y"\n')
    refused = cli("run")
    assert (refused.code, refused.err.splitlines()[0]) == (
        2,
        "error: evidence.sign in repro.toml asks for a signature, and REPROLOCK_SIGNING_KEY is not set",
    )
    assert not (pinned.root / ".reprolock" / "runs").exists()
    assert cli("key", "new", "ci.pem").code == 0
    monkeypatch.setenv("REPROLOCK_SIGNING_KEY", str(pinned.root / "ci.pem"))
    done = cli("run")
    assert done.code == 0, done.err
    assert "Signed   by " in done.err
    record = pinned.record
    assert len(read_lines(pinned.run_folder(record.run_id))) == 3
    assert "reprolock/attestations.jsonl" in pinned.artifacts(record.run_id)
    (pinned.root / "trust.toml").write_text('[keys.ci]\npublic = "ci.pem.pub"\nroles = ["run"]\n')
    audited = cli("audit", record.run_id, "--trust", "trust.toml")
    assert audited.code == 0, audited.err
    assert f"held      {pin(pinned)[:12]} in example-repo until " in audited.out
    assert cli("hold", "check", record.run_id).code == 0


@pytest.mark.parametrize("table", ['pass_env = ["REPROLOCK_SIGNING_KEY"]', 'env = { REPROLOCK_SIGNING_KEY_X = "a" }'])
def test_a_command_is_never_given_the_key(table: str, project: Project, cli: Cli) -> None:
    project.edit('command = ["python", "train.py"]', f'command = ["python", "train.py"]\n{table}')
    said = cli("lock")
    assert said.code == 2
    assert "is for the key that signs a run's evidence, which a command must not get" in said.err
