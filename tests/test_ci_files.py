"""The files by which CI systems use reprolock: valid by their public schemas, and every command in them executed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Cli
from lake_project import LakeProject

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("file", "schema"),
    [("action.yml", "vendor.github-actions"), ("templates/data-upgrade.yml", "vendor.github-workflows")],
)
def test_the_public_schema_accepts(file: str, schema: str) -> None:
    program = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [program, "--builtin-schema", schema, str(ROOT / file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def hook(name: str) -> dict[str, Any]:
    [found] = [item for item in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()) if item["id"] == name]
    return found


def bash(script: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **environ},
        capture_output=True,
        text=True,
    )


def test_the_hook_fails_where_the_lock_is_out_of_date(lake_project: LakeProject, cli: Cli) -> None:
    assert cli("lock").code == 0
    assert bash(hook("reprolock-check")["entry"], lake_project.root).returncode == 0
    lake_project.edit("/main/train/", "/main/other/")
    done = bash(hook("reprolock-check")["entry"], lake_project.root)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        3,
        'error: repro.lock is out of date: datasets.train.uri is "lakefs://example-repo/main/other/", '
        'pinned for "lakefs://example-repo/main/train/"',
    )


def test_the_hook_after_a_checkout_says_what_moved(lake_project: LakeProject, cli: Cli) -> None:
    (lake_project.root / ".gitignore").write_text("lake/\n.reprolock/\n")
    git = "git -c user.name=Ann -c user.email=ann@example.com -c init.defaultBranch=main"
    assert cli("lock").code == 0
    assert (
        bash(f"git -c init.defaultBranch=main init -q; git add -A; {git} commit -qm one", lake_project.root).returncode
        == 0
    )
    commit = lake_project.commit("train/b.csv", b"x,y\n3,4\n")
    assert cli("lock", "--upgrade").code == 0
    assert bash(f"{git} commit -qam two", lake_project.root).returncode == 0
    done = bash(
        hook("reprolock-moved")["entry"], lake_project.root, PRE_COMMIT_FROM_REF="HEAD~1", PRE_COMMIT_TO_REF="HEAD"
    )
    assert done.returncode == 0
    [gone, come] = done.stdout.splitlines()
    assert gone.startswith("- dataset train  lakefs://example-repo/main/train/  ")
    assert come.startswith(f"+ dataset train  lakefs://example-repo/main/train/  {commit[:12]}  ")
    assert bash(hook("reprolock-moved")["entry"] + " HEAD HEAD", lake_project.root).stdout == ""


def action_steps() -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    return steps


def action_step(lake_project: LakeProject, command: str) -> tuple[int, str, str]:
    """The action's command, as a runner executes it: its code, what it prints on stdout, and the summary."""
    [step] = [step for step in action_steps() if step.get("name") == "Run it"]
    summary = lake_project.root / "summary.md"
    summary.write_text("")
    done = bash(
        step["run"],
        lake_project.root,
        COMMAND=command,
        RUNNER_TEMP=str(lake_project.root),
        GITHUB_STEP_SUMMARY=str(summary),
    )
    return done.returncode, done.stdout, summary.read_text()


def test_the_action_annotates_and_sums_up(lake_project: LakeProject, cli: Cli) -> None:
    assert cli("lock").code == 0
    assert action_step(lake_project, "lock --check") == (
        0,
        "repro.lock is up to date (1 dataset)\n",
        "### `reprolock lock --check` ended with exit code 0\n```\n```\n",
    )
    (lake_project.root / "repro.lock").unlink()
    assert action_step(lake_project, "lock --check") == (
        3,
        "::error file=repro.toml,title=reprolock lock --check::no repro.lock beside repro.toml\n",
        "### `reprolock lock --check` ended with exit code 3\n```\nerror: no repro.lock beside repro.toml\n"
        "hint: run `reprolock lock` and commit repro.lock\n```\n",
    )


@pytest.mark.parametrize(
    ("text", "begins"),
    [("bogus = 1", "repro.toml:{line}: run.bogus: unknown key"), ("= 1", "repro.toml is not valid TOML: ")],
)
def test_an_annotation_stands_at_the_line(lake_project: LakeProject, text: str, begins: str) -> None:
    file = lake_project.root / "repro.toml"
    lines = [*file.read_text().rstrip("\n").splitlines(), text]
    file.write_text("\n".join(lines) + "\n")
    code, out, _ = action_step(lake_project, "lock --check")
    place = f"file=repro.toml,line={len(lines)},title=reprolock lock --check"
    assert (code, out.startswith(f"::error {place}::{begins.format(line=len(lines))}")) == (2, True), out


def test_a_command_of_the_action_is_never_a_script(lake_project: LakeProject) -> None:
    code, _, _ = action_step(lake_project, "lock --check; touch made")
    assert code == 2
    assert not (lake_project.root / "made").exists()


def test_the_gitlab_component_runs_what_it_is_given(lake_project: LakeProject, cli: Cli) -> None:
    spec, jobs = yaml.safe_load_all((ROOT / "templates" / "reprolock.yml").read_text())
    [job] = jobs.values()
    assert {name for name in spec["spec"]["inputs"]} >= {"command", "version", "extras", "stage", "report"}
    assert cli("lock").code == 0
    _, command, report = job["script"]
    assert bash(command, lake_project.root, REPROLOCK_COMMAND="lock --check").returncode == 0
    environ = {"GIT_CONFIG_GLOBAL": os.devnull, "REPROLOCK_REPORT": "--base HEAD"}
    git = "git -c user.name=Ann -c user.email=ann@example.com -c init.defaultBranch=main"
    assert (
        bash(
            f"{git} init -q; git add repro.toml repro.lock; {git} commit -qm one", lake_project.root, **environ
        ).returncode
        == 0
    )
    assert bash(report, lake_project.root, REPROLOCK_REPORT="").returncode == 0
    assert not (lake_project.root / "report.md").exists()
    assert bash(report, lake_project.root, **environ).returncode == 0
    assert (lake_project.root / "report.md").read_text() == (
        "<!-- reprolock report: flights -->\n## flights: HEAD → this change\n\n**Nothing changed.**\n"
    )
    assert job["artifacts"]["paths"] == ["report.md"]


def test_the_public_schema_accepts_the_component(tmp_path: Path) -> None:
    """As GitLab sees it: with its inputs filled in, and without their declaration."""
    spec, jobs = (ROOT / "templates" / "reprolock.yml").read_text().split("---\n")
    for name, declared in yaml.safe_load(spec)["spec"]["inputs"].items():
        jobs = jobs.replace(f"$[[ inputs.{name} ]]", declared["default"])
    assert "$[[" not in jobs
    (tmp_path / ".gitlab-ci.yml").write_text(jobs)
    program = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [program, "--builtin-schema", "vendor.gitlab-ci", str(tmp_path / ".gitlab-ci.yml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


GH = """#!/bin/bash
# Keeps what it is asked, and has one comment once that was made.
printf '%s\\n' "$*" >> "$GH_ASKED"
case "$*" in
  *--paginate*) cat "$GH_COMMENTS" ;;
  *POST*) echo 4711 > "$GH_COMMENTS" ;;
  "pr edit"*) [ -s "$GH_COMMENTS" ] ;;
  "pr create"*) echo 1 > "$GH_COMMENTS" ;;
esac
"""
"""In GitHub's place, which cannot be reached from here."""


def forge(folder: Path) -> dict[str, str]:
    """Variables of a runner whose `gh` only keeps what it is asked, in `asked`."""
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "bin" / "gh").write_text(GH)
    (folder / "bin" / "gh").chmod(0o755)
    for name in ("asked", "comments", "summary.md", "output"):
        (folder / name).touch()
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {
        "PATH": path,
        "GH_ASKED": str(folder / "asked"),
        "GH_COMMENTS": str(folder / "comments"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "RUNNER_TEMP": str(folder),
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{who}_NAME": "Ann" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "ann@example.com" for who in ("AUTHOR", "COMMITTER")},
    }


def test_the_action_keeps_one_comment(
    lake_project: LakeProject, cli: Cli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The report is in the summary; the first comment is made, and the same one is written anew from then on."""
    folder = tmp_path_factory.mktemp("runner")
    environ = forge(folder) | {
        "REPORT": "--base HEAD",
        "COMMENT": "true",
        "COMMENTS": "repos/a/b/issues",
        "NUMBER": "7",
    }
    (lake_project.root / ".gitignore").write_text("lake/\n.reprolock/\n")
    assert cli("lock").code == 0
    assert bash("git init -q; git add -A; git commit -qm one", lake_project.root, **environ).returncode == 0
    lake_project.commit("train/b.csv", b"x,y\n3,4\n")
    assert cli("lock", "--upgrade").code == 0
    [step] = [step for step in action_steps() if step.get("name") == "Write the report"]
    for _ in range(2):
        done = bash(step["run"], lake_project.root, **environ)
        assert done.returncode == 0, done.stderr
    report = (folder / "report.md").read_text()
    assert report.startswith(
        "<!-- reprolock report: flights -->\n## flights: HEAD → this change\n\n**One thing changed.**"
    )
    assert (folder / "summary.md").read_text() == report * 2
    look = "api --paginate repos/a/b/issues/7/comments --jq .[] | select(.body | startswith(env.MARKER)) | .id"
    assert (folder / "asked").read_text().splitlines() == [
        look,
        f"api --silent --method POST repos/a/b/issues/7/comments --field body=@{folder}/report.md",
        look,
        f"api --silent --method PATCH repos/a/b/issues/comments/4711 --field body=@{folder}/report.md",
    ]


def test_renovate_finds_packages_in_repro_toml(tmp_path: Path) -> None:
    """The configuration of docs/guides/ci.md: valid by Renovate's public schema, and its expression finds what is pinned."""
    page = (ROOT / "docs" / "guides" / "ci.md").read_text()
    text = page.partition('```json title="renovate.json"\n')[2].partition("```")[0]
    (tmp_path / "renovate.json").write_text(text)
    program = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [program, "--builtin-schema", "vendor.renovate", str(tmp_path / "renovate.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [manager] = json.loads(text)["customManagers"]
    [expression] = manager["matchStrings"]
    spec = 'packages = ["pandas==2.2.0", "scikit-learn==1.7.1", "numpy"]\n[run]\nenv = { A = "x=1" }\n'
    found = [match.group("depName", "currentValue") for match in re.finditer(expression.replace("(?<", "(?P<"), spec)]
    assert found == [("pandas", "2.2.0"), ("scikit-learn", "1.7.1")]
