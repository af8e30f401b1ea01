"""--json: every command prints the one object that its schema describes; so do commands that fail."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import json_answers
import pytest
from command_line import Cli
from every_command import every_command
from project import Project

from reprolock.steps.maintenance.answers import answers

ELSEWHERE = {
    "ui",  # tests/cli/test_ui.py: it starts a server
    *("stack up", "stack down", "stack env", "stack logs"),  # tests/stack
    *("hold add", "hold check", "hold ls", "hold release"),  # tests/live/test_hold_lakefs.py: lakeFS alone has holds
}


@pytest.fixture
def given(
    project: Project, cli: Cli, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The artifacts of a signed run, with the keys and the trust that `every_command` names."""
    folder = tmp_path_factory.mktemp("given")
    project.add(
        '\n[params]\ndepth = 3\n\n[outputs.result]\npath = "out"\n\n[environment]\nisolated = false\n\n[metrics]\nauc = "exact"\n'
    )
    project.script(
        """
        import math, mlflow, os
        mlflow.log_metrics({"auc": 0.5, "loss": math.nan})
        os.makedirs("out", exist_ok=True)
        open("out/a", "w").write("x")
        """
    )
    assert cli("key", "new", str(folder / "key.pem"), "--json").code == 0
    monkeypatch.setenv("REPROLOCK_SIGNING_KEY", str(folder / "key.pem"))
    (folder / "trust.toml").write_text('[keys.ann]\npublic = "key.pem.pub"\nroles = ["run"]\n')
    assert cli("lock", "--json").code == 0
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "repro.toml", "repro.lock", "train.py"], ["commit", "-qm", "locked"]):
        subprocess.run([*git, *words], cwd=project.root, check=True)
    assert cli("run", "--json").code == 0
    shutil.copytree(project.run_folder(project.record.run_id), folder / "run", ignore=shutil.ignore_patterns("work"))
    return folder / "run"


def test_every_command_has_a_shape() -> None:
    assert answers().keys() == json_answers.commands()


def test_what_is_printed_is_of_that_shape(project: Project, cli: Cli, given: Path) -> None:
    """`cli` checks each answer against its schema."""
    run = project.record.run_id
    uri, branch = "lakefs://example-repo/main/train/", "lakefs://example-repo/main"
    more = [
        ["add", "output", "more", "more.json", "--no-lock"],
        ["remove", "output", "more", "--no-lock"],
        ["add", "dataset", "again", uri, "--no-lock"],
        ["remove", "dataset", "again", "--no-lock"],
        ["add", "package", "pandas", "--no-lock"],
        ["remove", "package", "pandas", "--no-lock"],
        ["data", "create", "lakefs://second-repo"],
        ["data", "put", str(project.root / "train.py"), uri + "new.csv"],
        ["data", "commit", branch, "-m", "more"],
        ["data", "status", branch],
        ["data", "tag", branch, "v1"],
        ["data", "tag", branch, "v2"],
        ["data", "tag", "lakefs://example-repo/v2", "--delete"],
        ["data", "revert", branch, "main"],
        ["data", "revert", branch, "main"],
        ["data", "branch", branch, "side"],
        ["data", "rm", "lakefs://example-repo/side/train/new.csv"],
        ["data", "commit", "lakefs://example-repo/side", "-m", "less"],
        ["data", "diff", branch, "lakefs://example-repo/side"],
        ["data", "merge", "lakefs://example-repo/side", branch],
        ["data", "branch", "lakefs://example-repo/side", "--delete"],
        ["data", "get", uri, str(project.root / "got")],
        ["data", "ls", "lakefs://example-repo"],
        ["data", "ls"],
        ["status"],
        ["sweep", "--set", "depth=1"],
        ["diff", run, run, run],
        ["env", "--prune"],
        ["schema", "--write", str(given.parent / "schemas")],
        ["stack", "status"],
        ["runs", "--where", "nonsense"],
        ["run", "--tag", "nothing-is-published"],
        ["replay", "nothing"],
    ]
    calls = [call for row in every_command(run, given).values() for call in row if call != ["init"]]
    for call in (*calls, *more):
        said = cli(*call, *([] if "--json" in call else ["--json"]))
        assert said.out.startswith("{"), (call, said)
    assert cli("init", "--json", root=given.parent).code == 0
    missing = json_answers.commands() - json_answers.checked - ELSEWHERE
    assert missing == set()
