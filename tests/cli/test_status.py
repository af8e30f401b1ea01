"""`status` on what differs from the last run: everything that a run now would have of its own."""

from __future__ import annotations

import json

from command_line import Cli
from project import Project


def test_what_changed_since_the_last_run(project: Project, cli: Cli) -> None:
    project.edit("[run]", '[environment]\nisolated = false\n\n[run]\ncode = ["train.py", "lib"]')
    project.add("\n[params]\ndepth = 3\n")
    (project.root / "lib").mkdir()
    (project.root / "lib" / "a.py").write_text("a = 1\n")
    assert cli("lock").code == 0
    assert len(cli("status").out.splitlines()) == 2, "nothing has run"
    assert cli("run", "--name", "#1").code == 0
    run = f"run {project.record.run_id[:8]} (#1)"
    assert cli("status").out.splitlines()[1] == f"Nothing changed since {run}"
    assert json.loads(cli("status", "--json").out)["since"] == {
        "run_id": project.record.run_id, "name": "#1", "changes": [],
    }  # fmt: skip

    old = project.record.datasets[0].commit[:12]
    project.commit("train/more.csv", b"x,y\n7,8\n")
    project.edit("depth = 3", "depth = 5")
    project.edit("[run]\n", '[run]\nseed = 7\nenv = { OMP_NUM_THREADS = "2" }\n')
    (project.root / "lib" / "a.py").write_text("a = 2\n")
    (project.root / "lib" / "b.py").write_text("b = 1\n")
    assert cli("lock", "--upgrade").code == 0
    said = cli("status").out.splitlines()
    new = json.loads(cli("status", "--json").out)["datasets"][0]["pinned"][:12]
    assert said[1] == (
        f"Changed since {run}: train {old} → {new}; code: lib/a.py, lib/b.py; params.depth 3 → 5; seed none → 7; "
        "env.OMP_NUM_THREADS is new"
    )
    # A what-if was another run, too.
    assert cli("run", "--set", "depth=9").code == 0
    assert cli("status").out.splitlines()[1].endswith(": params.depth 9 → 5")
    # What cannot be taken as code is said, and ends nothing.
    (project.root / "train.py").unlink()
    said = cli("status")
    assert said.code == 0 and "; code: " in said.out.splitlines()[1]
