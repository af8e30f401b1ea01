"""`diff` as a person sees it: two runs, two locks, two git revisions; text, Markdown, JSON, exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from project import Project


def git(root: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    subprocess.run(command, cwd=root, check=True, capture_output=True)


def locked(project: Project, cli) -> None:
    said = cli("lock")
    assert said.code == 0, said.err


def prepared(project: Project) -> None:
    project.add("""
        code = ["train.py"]

        [params]
        max_iter = 20

        [outputs.scores]
        path = "scores.csv"
    """)
    project.script("""
        import sys
        from pathlib import Path
        Path("scores.csv").write_text(f"score\\n{sys.argv[1]}\\n")
    """)
    project.command("python", "train.py", "{params.max_iter}")


def digest(project: Project, run_id: str) -> str:
    record = project.stored_record(run_id)
    return record.outputs[0].digest[5:17]


def test_a_file_that_is_no_lock(project: Project, cli) -> None:
    locked(project, cli)
    assert cli("diff", "repro.lock", "repro.toml") == (
        3,
        "",
        "error: repro.toml has no version, which every lock must have\n"
        "hint: name a lock file as reprolock wrote it in place of repro.toml\n",
    )


def test_two_runs(project: Project, cli, tmp_path: Path) -> None:
    prepared(project)
    locked(project, cli)
    assert cli("run").code == 0
    one = project.record
    assert cli("run", "--set", "max_iter=50").code == 0
    two = project.record
    commit = one.datasets[0].commit[:12]
    packages = f"{len(one.environment.packages)} on Python {one.environment.python}"

    # In MLflow a run without a name is called by what tells it apart.
    named = [project.stored(run.run_id).info.run_name for run in (one, two)]
    assert named == [f"train main@{commit[:7]}, max_iter=20", "max_iter=50"]

    said = cli("diff", one.run_id[:8], two.run_id[:8])
    assert said.code == 0
    assert said.out.splitlines() == [
        f"data      same     train {commit}",
        f"packages  same     {packages}",
        f"code      same     digest {one.code.digest[:7]}",
        "params    changed  max_iter 20 → 50",
        "command   same     python train.py '{params.max_iter}'",
        f"outputs   changed  scores bytes {digest(project, one.run_id)} → bytes {digest(project, two.run_id)}",
        "One input changed, and one result.",
    ]
    assert cli("diff", one.run_id, two.run_id, "--exit-code").code == 1
    assert cli("diff", one.run_id, one.run_id, "--exit-code").code == 0
    assert cli("diff", one.run_id, one.run_id).out.splitlines()[-1] == "Nothing changed."

    said = cli("diff", one.run_id, two.run_id, "--format", "markdown")
    assert said.out.splitlines()[:8] == [
        f"### run {one.run_id[:8]} → run {two.run_id[:8]}",
        "",
        "**One input changed, and one result.**",
        "",
        "| section | | |",
        "| --- | --- | --- |",
        f"| data | same | train {commit} |",
        f"| packages | same | {packages} |",
    ]
    assert "| params | **changed** | max\\_iter 20 → 50 |" in said.out.splitlines()

    # A third one, with other code and data; and the first from a folder of its artifacts, far from where it was recorded.
    (project.root / "train.py").write_text((project.root / "train.py").read_text() + "print('a ``` fence')\n")
    project.commit("train/b.csv", b"x,y\n3,4\n")
    project.commit("training/c.csv", b"x,y\n5,6\n")
    assert cli("lock", "--upgrade").code == 0
    assert cli("run").code == 0
    three = project.record
    folder = shutil.copytree(project.run_folder(one.run_id), tmp_path / "elsewhere")
    said = cli("diff", str(folder), three.run_id[:8])
    assert said.out.splitlines() == [
        f"data      changed  train {commit} → {three.datasets[0].commit[:12]}   1 object added",
        "                     + train/b.csv",
        f"packages  same     {packages}",
        "code      changed  train.py",
        "params    same     max_iter 20",
        "command   same     python train.py '{params.max_iter}'",
        f"outputs   same     scores bytes {digest(project, one.run_id)}",
        "",
        "--- a/train.py",
        "+++ b/train.py",
        "@@ -2,3 +2,4 @@",
        " import sys",
        " from pathlib import Path",
        ' Path("scores.csv").write_text(f"score\\n{sys.argv[1]}\\n")',
        "+print('a ``` fence')",
        "",
        "Two inputs changed, and no result.",
    ]
    markdown = cli("diff", str(folder), three.run_id, "--format", "markdown").out.splitlines()
    assert markdown[markdown.index("<details><summary>The code, line by line</summary>") + 2] == "````diff"

    document = json.loads(cli("diff", str(folder), three.run_id, "--json").out)
    assert (document["kind"], document["things"], document["same"]) == ("run", 2, False)
    [data] = [section for section in document["sections"] if section["name"] == "data"]
    assert data["objects"] == [{"dataset": "train", "added": 1, "removed": 0, "changed": 0, "first": ["+ train/b.csv"]}]

    # The lake is away, and so is the code of one side: both are said, and the rest is compared.
    (folder / "code.tar.gz").unlink()
    shutil.move(project.root / "lake", project.root / "gone")
    said = cli("diff", str(folder), three.run_id)
    assert said.code == 0
    assert said.out.splitlines()[1].startswith("                   (objects not compared: ")
    assert (
        "                   (code.tar.gz of one of the runs is not at hand, so no lines are compared)"
        in said.out.splitlines()
    )
    assert said.out.splitlines()[-1] == "Two inputs changed, and no result."

    said = cli("diff", one.run_id, "repro.lock")
    assert (said.code, said.err) == (
        2,
        f"error: {one.run_id} is a run and repro.lock a lock\n"
        "hint: compare two locks or two runs; a run's own repro.lock is among its artifacts\n",
    )


def test_a_run_whose_record_says_less_than_its_digests(project: Project, cli, tmp_path: Path) -> None:
    """Values that agree while a section's digests do not are never called the same."""
    prepared(project)
    locked(project, cli)
    assert cli("run").code == 0
    run_id = project.record.run_id
    folder = shutil.copytree(project.run_folder(run_id), tmp_path / "other")
    record = json.loads((folder / "record.json").read_text())
    record["observed"]["sections"]["seed"] = "0" * 64
    record["run_name"] = "\x1b[31mred"
    record["params"]["max_iter"] = "\x1b]0;title\x07"
    (folder / "record.json").write_text(json.dumps(record))
    lines = cli("diff", run_id, str(folder)).out.splitlines()
    assert "seed      changed  the digests differ, in something that is not shown here" in lines
    assert 'params    changed  max_iter 20 → "\\u001b]0;title\\u0007"' in lines


def test_git_revisions_of_a_lock(project: Project, cli) -> None:
    git(project.root, "init", "-q")
    locked(project, cli)
    git(project.root, "add", "repro.lock")
    git(project.root, "commit", "-q", "-m", "one")
    old = cli("lock", "--json") and (project.root / "repro.lock").read_text().split('commit = "')[1][:12]
    for index in range(7):
        project.put(f"train/n{index}.csv", b"x,y\n3,4\n")
    new = project.commit("train/a.csv", b"x,y\n9,9\n")[:12]
    assert cli("lock", "--upgrade").code == 0
    git(project.root, "commit", "-q", "-a", "-m", "two")
    few = [
        f"data  changed  train {old} → {new}   7 objects added, 1 changed",
        "                 ~ train/a.csv",
        "                 + train/n0.csv",
        "                 + train/n1.csv",
        "                 + train/n2.csv",
        "                 + train/n3.csv",
    ]
    end = ["                 … and 3 more; --objects names all", "One thing changed."]
    assert cli("diff", "HEAD~1", "HEAD").out.splitlines() == few + end
    assert cli("diff", "HEAD~1:repro.lock", "repro.lock").out.splitlines() == few + end
    assert cli("diff", "HEAD~1", "repro.lock", "--objects").out.splitlines() == [
        *few, "                 + train/n4.csv", "                 + train/n5.csv", "                 + train/n6.csv", "One thing changed.",
    ]  # fmt: skip
    assert cli("diff", "HEAD", "repro.lock").out.splitlines() == [f"data  same  train {new}", "Nothing changed."]
    said = cli("diff", "HEAD:nope.lock", "HEAD")
    assert (said.code, said.err) == (
        2,
        'error: nope.lock is not committed at git revision HEAD\nhint: commit it, or write "HEAD:PATH/TO/repro.lock" if it is elsewhere\n',
    )
    said = cli("diff", "no such thing", "HEAD")
    assert (said.code, said.err) == (
        2,
        f'error: no run "no such thing" in MLflow at {project.database} (the default of mlflow.tracking_uri)\n'
        "hint: see `reprolock runs`, or name another MLflow with --tracking-uri\n",
    )


def test_a_revision_that_is_not_there_is_no_run_of_mlflow(project: Project, cli, tmp_path: Path) -> None:
    hint = "name a lock file or a run\n"
    locked(project, cli)
    said = cli("diff", "HEAD", "HEAD")
    assert said == (2, "", f"error: HEAD is a git revision, and this folder is in no git repository\nhint: {hint}")
    git(project.root, "init", "-q", "--initial-branch=main")
    for name in ("HEAD", "main", "HEAD~1:repro.lock"):
        said = cli("diff", name, "repro.lock")
        assert said == (
            2,
            "",
            f"error: {name} is no run, and no revision: in this git repository nothing is committed yet\n"
            f"hint: commit repro.lock first, or {hint}",
        )
    git(project.root, "add", "repro.lock")
    git(project.root, "commit", "-q", "-m", "one")
    assert cli("diff", "HEAD", "repro.lock").code == 0
    said = cli("diff", "HEAD~1", "HEAD")
    assert said == (2, "", f"error: this git repository has no revision HEAD~1\nhint: see `git log`, or {hint}")
    git(project.root, "clone", "-q", "--depth=1", f"file://{project.root}", str(tmp_path / "shallow"))
    said = cli("diff", "HEAD~1", "HEAD", root=tmp_path / "shallow")
    assert said.err == (
        "error: this git repository has no revision HEAD~1\n"
        f"hint: this clone has no older commits: fetch them with `git fetch --unshallow`, or {hint}"
    )
