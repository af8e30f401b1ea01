"""A month of a repository, by the files that are shipped and local git alone: 20 merges, three data upgrades, and a bad one stopped red."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import yaml
from command_line import Cli
from project import Project
from test_ci_files import ROOT, bash, forge

from reprolock.files.lock_file import read_lock

DATASET = """
[datasets.{name}]
uri = "lakefs://example-repo/{name}/rent/"
format = "csv"
"""
NAMES = ("north", "south")
TRAIN = """
    import mlflow, sys
    from pathlib import Path
    rows = [float(line) for folder in sys.argv[1:] for file in Path(folder).glob("*.csv") for line in file.read_text().split()[1:]]
    mlflow.log_metric("mean", sum(rows) / len(rows))
"""


class Month:
    """The project's checkout, with a bare repository as `origin`, and a runner whose `gh` keeps what it is asked."""

    def __init__(self, project: Project, cli: Cli, runner: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project, self.cli, self.root, self.runner = project, cli, project.root, runner
        self.environ = forge(runner) | {"BRANCH": "reprolock/data-upgrade", "BASE": "main", "DATASETS": "north"}
        for name, value in self.environ.items():
            if name.startswith(("PATH", "GIT_CONFIG", "GIT_AUTHOR", "GIT_COMMITTER")):
                monkeypatch.setenv(name, value)
        for name in NAMES:
            project.lake.create_branch("example-repo", name, project.lake.resolve("example-repo", "main").id)
            self.put(name, "1.csv", "10\n")
        text = (self.root / "repro.toml").read_text()
        start, end = text.index("[datasets.train]"), text.index("[run]")
        datasets = "".join(DATASET.format(name=name) for name in NAMES)
        command = ["python", "train.py", *(f"{{datasets.{name}.path}}" for name in NAMES)]
        project.spec(
            text[:start]
            + datasets
            + f'\n[environment]\nisolated = false\n\n[run]\ncommand = {command}\ncode = ["train.py"]\n'.replace(
                "'", '"'
            )
            + "\n[metrics]\nmean = { rel = 0.1 }\n"
        )
        assert end > start
        project.script(TRAIN)
        (self.root / ".gitignore").write_text("lake/\nmlflow.db*\nmlruns/\n.reprolock/\n")
        assert cli("lock").code == 0
        self.git(
            f"git init -q -b main; git init -q --bare {runner}/origin.git; git remote add origin {runner}/origin.git"
        )
        assert cli("git-driver", "install").code == 0
        self.git("git add -A; git commit -qm 'A project'; git push -q -u origin main")

    def git(self, script: str) -> str:
        done = bash(script, self.root, **self.environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def put(self, name: str, file: str, text: str) -> None:
        """New data on one of the lake's branches."""
        self.project.lake.put("example-repo", name, f"rent/{file}", io.BytesIO(f"y\n{text}".encode()))
        self.project.lake.commit("example-repo", name, f"{file} of {name}")

    def upgrade(self, branch: str, name: str) -> str:
        """A branch of somebody's that takes new data for one dataset, from main; the pinned commit."""
        self.git(f"git switch -q -c {branch} main")
        assert self.cli("lock", "--upgrade-dataset", name).code == 0
        self.git(f"git commit -qam 'Take new data for {name}'")
        return self.pinned(name)

    def pinned(self, name: str) -> str:
        lock = read_lock(self.root)
        pin = lock.dataset_pin(name) if lock else None
        assert pin is not None
        return pin.commit

    def job(self) -> tuple[int, str, str]:
        """The scheduled job: its exit code, the report, and the branch's files."""
        steps = yaml.safe_load((ROOT / "templates" / "data-upgrade.yml").read_text())["jobs"]["upgrade"]["steps"]
        take, report = (step["run"] for step in steps if "run" in step and "uv tool" not in step["run"])
        (self.runner / "output").write_text("")
        done = bash(take, self.root, **self.environ)
        assert done.returncode == 0, done.stderr
        code = 0
        if (self.runner / "output").read_text() == "moved=true\n":
            done = bash(report, self.root, **self.environ)
            code = done.returncode
        tree = self.git("git rev-parse origin/reprolock/data-upgrade^{tree}")
        self.git("git switch -q main")
        return code, (self.runner / "report.md").read_text(), tree


@pytest.fixture
def month(
    project: Project, cli: Cli, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Month:
    return Month(project, cli, tmp_path_factory.mktemp("runner"), monkeypatch)


@pytest.mark.long
def test_a_month_of_work(month: Month) -> None:
    merges = 0
    for day in range(10):
        pins = {}
        for name in NAMES:
            month.put(name, f"day-{day}.csv", "10\n")
            pins[name] = month.upgrade(f"day-{day}-{name}", name)
        month.git("git switch -q main")
        for name in NAMES:
            month.git(f"git merge -q --no-ff -m 'Merge {name}' day-{day}-{name}")
            merges += 1
        assert {name: month.pinned(name) for name in NAMES} == pins
        assert month.cli("lock", "--check").code == 0
    assert merges == 20 == int(month.git("git rev-list --count --merges main"))
    month.git("git push -q origin main")

    for week, (values, red) in enumerate([("10.2\n" * 5, False), ("900\n" * 5, True), ("10.4\n" * 5, False)]):
        if week == 2:
            month.put("north", "week-1.csv", "10\n")  # mended at its source
        month.put("north", f"week-{week}.csv", values)
        before = month.pinned("north")
        first, again = month.job(), month.job()
        assert first == again  # the same branch, the same text
        code, report, _ = first
        assert (code, "| ✗ | mean |" in report) == ((6, True) if red else (0, False))
        assert month.pinned("north") == before
        if not red:
            month.git("git merge -q --no-ff -m 'Take new data' origin/reprolock/data-upgrade; git push -q origin main")
            assert month.pinned("north") != before
            assert month.cli("lock", "--check").code == 0
    assert month.job()[0] == 0  # nothing moved
    asked = [" ".join(line.split()[:2]) for line in (month.runner / "asked").read_text().splitlines()]
    assert asked == ["pr edit", "pr create", *["pr edit"] * 5]
    assert os.environ["GIT_CONFIG_GLOBAL"] == os.devnull
