"""`run` as a person sees it: what it prints, how it ends, what it records. Commands here need no Spark."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from project import Project, in_background, lines_of

from reprolock.cli.record_rows import opening_rows

RULE = "─" * 64


def lock(cli) -> None:
    said = cli("lock")
    assert said.code == 0, said.err


def hint_of(project: Project) -> str:
    run_id = project.record.run_id
    return f"hint: `reprolock show {run_id[:8]}` shows the record; its folder is .reprolock/runs/{run_id}\n"


def test_a_run(project: Project, cli) -> None:
    project.add("""
        [params]
        max_iter = 20
        lr = 0.5

        [outputs.scores]
        path = "out/scores.csv"
    """)
    project.command("python", "train.py", "--max-iter", "{params.max_iter}")
    project.script("""
        import sys
        from pathlib import Path
        Path("out").mkdir(exist_ok=True)
        Path("out/scores.csv").write_text("score\\n1\\n")
        print("trained with", *sys.argv[1:])
    """)
    lock(cli)
    said = cli("run")
    record = project.record
    commit = record.datasets[0].commit
    assert said.out == "trained with --max-iter 20\n"
    assert said.code == 0
    lines = said.err.splitlines()
    assert lines[0] == (
        f"Inputs  train  file://{project.root}/.reprolock/data/example-repo/{commit[:12]}…/train  1 object, 8 B"
    )
    assert lines[1] == f"Code    1 file, digest {record.code.digest[:8]}"
    assert re.fullmatch(r"Env     [0-9a-f]{8} \(\d+ packages, Python 3\.\d+\.\d+\)", lines[2])
    assert lines[3:6] == ["Why     first run of this project", RULE, RULE]
    assert lines[6] == f"Outputs  scores  out/scores.csv  1 file, 8 B  bytes {record.outputs[0].digest[5:13]}"
    assert re.fullmatch(
        rf"Recorded run {record.run_id[:8]} \(flights\): command \d+(\.\d)? s(, reprolock \d+(\.\d)? s)?", lines[7]
    )
    assert lines[8:] == [
        f"Look     reprolock show {record.run_id[:8]}      mlflow ui --backend-store-uri {project.database}"
    ]

    stored = project.stored()
    assert stored.info.status == "FINISHED"
    assert stored.data.params == {"max_iter": "20", "lr": "0.5"}
    [given] = stored.inputs.dataset_inputs
    assert given.dataset.name == f"train main@{commit[:7]}"
    assert commit in given.dataset.source
    assert stored.data.tags["lakefs_repo"] == "example-repo"
    assert stored.data.tags["lakefs_branch"] == "main"
    assert stored.data.tags["lakefs_head_commit_id"] == commit
    assert stored.data.tags["reprolock.dataset.train.commit"] == commit
    assert stored.data.tags["reprolock.ending"] == "exit code 0"
    assert project.artifacts(record.run_id) == [
        "reprolock/code.tar.gz", "reprolock/record.json", "reprolock/repro.lock", "reprolock/repro.toml",
    ]  # fmt: skip
    assert project.stored_record(record.run_id) == record
    assert (record.status, record.command) == ("FINISHED", ("python", "train.py", "--max-iter", "20"))
    assert (project.root / "out/scores.csv").read_text() == "score\n1\n"
    assert not (project.run_folder(record.run_id) / "work").exists()


def test_the_run_reads_what_is_pinned_and_not_what_the_branch_has(project: Project, cli) -> None:
    project.script("""
        import reprolock
        run = reprolock.current()
        print(sorted(entry.name for entry in run.dataset("train").path.iterdir()), run.dataset("train").commit)
    """)
    lock(cli)
    project.commit("train/b.csv", b"x,y\n3,4\n")
    old = cli("status").out.split(", ")[1].split(" → ")[0]
    said = cli("run", "-q")
    assert said.out == f"['a.csv'] {project.record.datasets[0].commit}\n"
    assert project.record.datasets[0].commit.startswith(old)


def test_json_is_one_object_and_nothing_else(project: Project, cli) -> None:
    lock(cli)
    said = cli("run", "--json")
    document = json.loads(said.out)
    assert document["run_id"] == project.record.run_id
    assert (document["status"], document["sent"], document["skipped"]) == ("FINISHED", True, False)
    assert "hello" in said.err.splitlines()  # the command's output goes beside, not into it


def test_quiet_leaves_the_commands_own_output(project: Project, cli) -> None:
    lock(cli)
    assert cli("run", "-q") == (0, "hello\n", "")


def test_a_command_that_fails(project: Project, cli) -> None:
    project.script("""
        import mlflow
        with mlflow.start_run():
            mlflow.log_metric("loss", 2.5)
        raise SystemExit(3)
    """)
    lock(cli)
    said = cli("run")
    assert said.err.endswith(f"error: the command failed: exit code 3\n{hint_of(project)}")
    assert said.code == 1
    record = project.record
    assert (record.status, record.ending.exit_code, record.ending.signal) == ("FAILED", 3, None)
    assert record.metrics == {"loss": 2.5}
    # MLflow's own `with` had ended the run as FINISHED.
    assert project.stored().info.status == "FAILED"
    assert project.stored().data.tags["reprolock.ending"] == "exit code 3"
    assert (project.run_folder(record.run_id) / "work" / "train.py").exists()


def test_a_declared_metric_that_was_not_logged_fails_the_run(project: Project, cli) -> None:
    project.add("""
        [metrics]
        loss = "exact"
        rows = "exact"
        auc = { abs = 0.01 }
    """)
    project.script("""
        import mlflow
        with mlflow.start_run():
            mlflow.log_metric("loss", 2.5)
    """)
    lock(cli)
    said = cli("run")
    run = project.record
    reason = f"exit code 0, but it did not log the declared metrics rows, auc: MLflow's run {run.run_id[:8]} in "
    assert run.ending.reason.startswith(reason) and run.ending.reason.endswith(" has loss")
    assert f"error: the command failed: {run.ending.reason}\n" in said.err
    assert (said.code, run.status) == (1, "FAILED")
    assert project.stored().info.status == "FAILED"


def test_a_command_that_is_not_there(project: Project, cli) -> None:
    project.command("no-such-program", "--x")
    lock(cli)
    said = cli("run")
    assert said.err.endswith(
        'error: run.command names "no-such-program", which is not on the PATH of the run\n'
        "hint: add the package that brings it to environment.packages, or write its whole path\n"
    )
    assert said.code == 2
    [stored] = project.all_stored()
    assert stored.info.status == "FAILED"
    assert stored.data.tags["reprolock.reason"].startswith('run.command names "no-such-program"')
    assert not list((project.root / ".reprolock" / "open").glob("*.json"))


def test_a_script_that_is_no_code(project: Project, cli) -> None:
    project.command("./train.sh")
    lock(cli)
    said = cli("run")
    assert said.err.endswith(
        'error: run.command names "./train.sh", which is not there\n'
        "hint: a script must be part of the code: have git track it, or name it in run.code\n"
    )
    assert said.code == 2


def test_an_untracked_helper_is_missed_now(project: Project, cli) -> None:
    project.edit('command = ["python", "train.py"]', 'command = ["python", "train.py"]\ncode = ["train.py"]')
    project.script("x = 1", "helper.py")
    project.script("import helper")
    lock(cli)
    said = cli("run")
    assert "ModuleNotFoundError: No module named 'helper'\n" in said.err
    told = "train.py imports helper, which is in the project and not among the code: name it in run.code"
    assert f"warning: {told}\n" in said.err
    assert said.code == 1


def test_a_time_out(project: Project, cli) -> None:
    project.edit("[run]", '[run]\ntimeout = "1s"')
    project.script("import time; print('waiting', flush=True); time.sleep(60)")
    lock(cli)
    said = cli("run")
    assert said.err.endswith(f"error: the command failed: time-out after 1s\n{hint_of(project)}")
    assert said.code == 1
    assert (project.record.status, project.record.ending.signal) == ("KILLED", None)
    assert project.stored().info.status == "KILLED"


def test_an_output_that_is_not_written(project: Project, cli) -> None:
    project.add("""
        [outputs.model]
        path = "out/model.bin"

        [outputs.scores]
        path = "out/scores.csv"
    """)
    project.script("import pathlib; pathlib.Path('out/scores.csv').write_text('1')")
    (project.root / "out").mkdir()
    (project.root / "out/model.bin").write_text("of an earlier run")
    lock(cli)
    said = cli("run")
    assert said.err.endswith(
        f"error: the command failed: exit code 0, but it did not write the declared output model\n{hint_of(project)}"
    )
    assert said.code == 1
    record = project.record
    assert [line.rstrip() for line in lines_of(said.err, "Outputs", "       ")] == [
        "Outputs  model   out/model.bin   missing",
        f"         scores  out/scores.csv  1 file, 1 B  bytes {record.outputs[1].digest[5:13]}",
    ]
    assert (record.status, record.outputs[0].digest) == ("FAILED", None)
    assert not (project.root / "out/model.bin").exists()
    kept = project.root / ".reprolock/replaced" / record.run_id / "out/model.bin"
    assert kept.read_text() == "of an earlier run"


def test_two_outputs_that_are_not_written(project: Project, cli) -> None:
    project.add('[outputs.a]\npath = "out/a"\n\n[outputs.b]\npath = "out/b"\n')
    lock(cli)
    said = cli("run")
    assert "exit code 0, but it did not write the declared outputs a, b\n" in said.err
    assert said.code == 1


def test_an_output_with_a_link_that_leads_nowhere(project: Project, cli) -> None:
    project.add('[outputs.model]\npath = "out/model"\n')
    project.script("""
        from pathlib import Path
        Path("out/model").mkdir()
        Path("out/model/weights.bin").symlink_to("../../cache/weights.bin")
    """)
    lock(cli)
    said = cli("run")
    assert said.err.endswith(
        "error: the command failed: exit code 0, but out/model/weights.bin is a link to ../../cache/weights.bin, which does not exist\n"
        + hint_of(project)
    )
    assert said.code == 1
    assert (
        project.record.outputs[0].problem
        == "out/model/weights.bin is a link to ../../cache/weights.bin, which does not exist"
    )


@pytest.mark.parametrize(("path", "link"), [("out/pred.json", "out"), ("deep/er/model/new.bin", "deep/er/model")])
def test_an_output_by_way_of_a_link_of_the_code(project: Project, cli, path: str, link: str) -> None:
    """Else what git tracks would be taken for what the run wrote."""
    (project.root / "results").mkdir()
    (project.root / "results" / "pred.json").write_text("{}")
    (project.root / "out").symlink_to("results")
    (project.root / "deep" / "er").mkdir(parents=True)
    (project.root / "deep" / "er" / "model").symlink_to("../../results")
    (project.root / ".gitignore").write_text("lake\nmlflow.db\n.reprolock\n")
    git = ["git", "-C", str(project.root), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *arguments], check=True)
    project.add(f'[outputs.pred]\npath = "{path}"\n')
    project.script("print('was run')")
    lock(cli)
    for arguments in (["--dry-run"], []):
        said = cli("run", *arguments)
        assert (said.code, said.out, lines_of(said.err, "error", "hint")) == (
            2,
            "",
            [
                f'error: outputs.pred.path: "{path}" leads through {link}, a link of the code',
                "hint: name a path that is the output's alone, or leave it out of the code",
            ],
        )
    assert cli("run", "--in-place", "-q").code == 1  # there it is moved aside first, and not written
    assert (project.root / "results" / "pred.json").exists() == (path != "out/pred.json")


def test_an_output_of_an_earlier_run_is_moved_aside(project: Project, cli) -> None:
    project.add('[outputs.model]\npath = "model.bin"\n')
    project.script("import pathlib; pathlib.Path('model.bin').write_text('new')")
    (project.root / "model.bin").write_text("old")
    lock(cli)
    assert cli("run").code == 0
    assert (project.root / "model.bin").read_text() == "new"
    kept = project.root / ".reprolock/replaced" / project.record.run_id / "model.bin"
    assert kept.read_text() == "old"
    assert project.record.code.files == 1  # an output is not code, though git and the folder show it


def test_in_place(project: Project, cli) -> None:
    project.add('[outputs.model]\npath = "model.bin"\n')
    project.script("import os, pathlib; print(os.getcwd()); pathlib.Path('model.bin').write_text('new')")
    (project.root / "model.bin").write_text("old")
    lock(cli)
    said = cli("run", "--in-place")
    assert (said.code, said.out) == (0, f"{project.root}\n")
    assert (project.root / "model.bin").read_text() == "new"
    assert (project.root / ".reprolock/replaced" / project.record.run_id / "model.bin").read_text() == "old"
    assert project.record.mode == "in-place"
    assert project.stored().data.tags["reprolock.mode"] == "in-place"


def test_in_place_an_earlier_output_is_no_output_of_this_run(project: Project, cli) -> None:
    project.add('[outputs.model]\npath = "model.bin"\n')
    (project.root / "model.bin").write_text("old")
    lock(cli)
    said = cli("run", "--in-place")
    assert said.code == 1
    assert "it did not write the declared output model\n" in said.err


# What a command is given


def test_variables_are_as_tox_treats_them(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    project.edit("[run]", '[run]\nseed = 7\nenv = { MODE = "{params.mode}" }\npass_env = ["REGION", "NOT_SET"]')
    project.add('[params]\nmode = "fast"\n')
    project.script("""
        import json, os
        print(json.dumps(dict(os.environ)))
    """)
    for name, value in {
        "PYTHONPATH": "/elsewhere", "AWS_ENDPOINT_URL": "http://elsewhere", "JAVA_TOOL_OPTIONS": "-Dx=y",
        "SPARK_HOME": "/elsewhere", "REGION": "north", "UNSAID": "x", "MLFLOW_TAGS_X": "y", "TZ": "Asia/Tokyo",
        "PYTHONHASHSEED": "99",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    lock(cli)
    said = cli("run")
    given = json.loads(said.out)
    assert not given.keys() & {"PYTHONPATH", "AWS_ENDPOINT_URL", "JAVA_TOOL_OPTIONS", "SPARK_HOME", "UNSAID", "NOT_SET"}
    assert (given["REGION"], given["MODE"], given["MLFLOW_TAGS_X"]) == ("north", "fast", "y")
    assert (given["TZ"], given["PYTHONHASHSEED"], given["REPROLOCK_SEED"]) == ("UTC", "7", "7")
    assert given["MLFLOW_RUN_ID"] == project.record.run_id
    assert given["MLFLOW_TRACKING_URI"] == project.database
    assert Path(given["REPROLOCK_CONTEXT"]).is_absolute()
    assert given["PATH"].startswith(f"{Path(sys.executable).parent}:")
    assert lines_of(said.err, "warning") == ["warning: run.pass_env names NOT_SET, which is not set here"]
    record = project.record
    assert (record.env, record.pass_env, record.seed) == ({"MODE": "{params.mode}"}, ("REGION", "NOT_SET"), 7)
    assert "north" not in record.model_dump_json()


def test_braces_in_a_command_stay(project: Project, cli) -> None:
    project.command(
        "python", "-c", "import sys; print({'a': 1}, {}, sys.argv[1:])", "{x}", "{datasets.train.path}", "${HOME}"
    )
    lock(cli)
    said = cli("run")
    path = f"{project.root}/.reprolock/data/example-repo/{project.record.datasets[0].commit}/train"
    assert said.out == f"{{'a': 1}} {{}} ['{{x}}', '{path}', '${{HOME}}']\n"


def test_the_code_is_what_git_tracks_and_what_is_new(project: Project, cli) -> None:
    git = ["git", "-C", str(project.root), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    project.script("", "ignored.py")
    (project.root / ".gitignore").write_text("ignored.py\nmlflow.db\nmlruns/\nlake/\n")
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *arguments], check=True)
    project.script("", "new.py")
    project.script("import os; print(sorted(os.listdir()))")
    lock(cli)
    said = cli("run")
    assert said.out == "['.gitignore', 'new.py', 'train.py']\n"
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert lines_of(said.err, "Code") == [
        f"Code    3 files at {head[:7]} (dirty: new.py untracked, train.py modified; git lists repro.lock untracked)"
    ]
    assert (project.record.code.commit, project.record.code.dirty, project.record.code.branch) == (head, True, "main")
    assert project.stored().data.tags["mlflow.source.git.commit"] == head
    # A record names no more than fifty.
    record = project.record
    code = record.code.replaced({"differs": tuple(f"{number}.py untracked" for number in range(50)), "aside": ()})
    [row] = [row for row in opening_rows(record.replaced({"code": code})) if row[0] == "Code"]
    assert row[1].endswith("(dirty: 0.py untracked, 1.py untracked, 2.py untracked and at least 47 more)")


UNNAMED = 'warning: dataset "homes" is declared and pinned, but neither the command nor the code names it\n'


@pytest.mark.parametrize(
    ("script", "warned"),
    [
        ("print('nothing is read')", True),
        ("import reprolock; reprolock.current().dataset('homes')", False),
        ("import reprolock, sys; reprolock.current().dataset(sys.argv[1])", False),
        ("import reprolock; reprolock.current().datasets", False),
        ("print('s3a://example-repo/main/')", False),
    ],
)
def test_a_dataset_that_nothing_names(project: Project, cli, script: str, warned: bool) -> None:
    project.edit("datasets.train", "datasets.homes")
    project.script(script)
    lock(cli)
    assert (UNNAMED in cli("run", "--dry-run", "--offline").err) is warned


def test_an_output_is_never_code_even_where_git_tracks_it(project: Project, cli) -> None:
    git = ["git", "-C", str(project.root), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    project.add('[outputs.report]\npath = "report"\n')
    (project.root / "report").mkdir()
    (project.root / "report" / "old.txt").write_text("old")
    (project.root / ".gitignore").write_text("mlflow.db\nmlruns/\nlake/\n")
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *arguments], check=True)
    project.script("import os, pathlib; print(os.path.exists('report')); pathlib.Path('report').write_text('new')")
    lock(cli)
    assert cli("run").out == "False\n"
    assert (project.root / "report").read_text() == "new"


def test_an_output_that_overlaps_the_code(project: Project, cli) -> None:
    project.edit('command = ["python", "train.py"]', 'command = ["python", "src/train.py"]\ncode = ["src"]')
    project.add('[outputs.model]\npath = "src/model"\n')
    said = cli("run")
    assert said.err == (
        'error: repro.toml:16: outputs.model.path: "src/model" overlaps the code "src" (run.code); '
        'give the output a folder of its own, such as "out/model"\n'
        "hint: correct repro.toml; `reprolock schema` shows every key\n"
    )
    assert said.code == 2


# The command's own MLflow


def test_what_the_command_logs_lands_in_the_run(project: Project, cli) -> None:
    project.add("[params]\nrate = 0.5\n")
    project.script("""
        import mlflow
        mlflow.log_metric("before", 1)
        mlflow.log_param("own", "x")
        mlflow.log_param("rate", 0.25)
        mlflow.log_text("hello", "note.txt")
        mlflow.set_tag("mine", "yes")
        with mlflow.start_run(nested=True, run_name="fold"):
            mlflow.log_metric("fold_score", 0.75)
        with mlflow.start_run(nested=True, run_name="fold 2"):
            mlflow.log_metric("fold_score", 0.5)
    """)
    lock(cli)
    said = cli("run", "--name", "with folds")
    record = project.record
    assert lines_of(said.err, "warning") == [
        "warning: params.rate is '0.5' in repro.toml, and the command logged '0.25'; MLflow keeps the command's"
    ]
    assert lines_of(said.err, "Metrics") == ["Metrics  before 1   fold_score 0.5"]
    stored = project.stored()
    assert stored.info.run_name == "with folds"
    assert stored.data.metrics == {"before": 1.0, "fold_score": 0.5}
    assert stored.data.params == {"own": "x", "rate": "0.25"}
    assert stored.data.tags["mine"] == "yes"
    assert record.params == {"rate": 0.5}
    assert {entry.path for entry in MlflowClient(project.database).list_artifacts(record.run_id)} == {
        "note.txt",
        "reprolock",
    }
    folds = [run for run in project.all_stored() if run.info.run_id != record.run_id]
    assert {run.info.run_name for run in folds} == {"fold", "fold 2"}
    assert {run.data.tags["mlflow.parentRunId"] for run in folds} == {record.run_id}


@pytest.mark.parametrize("declared", [False, True], ids=["the caller's", "declared"])
def test_the_callers_experiment_is_not_the_runs(
    project: Project, cli, monkeypatch: pytest.MonkeyPatch, declared: bool
) -> None:
    """MLflow refuses a run whose experiment is another than MLFLOW_EXPERIMENT_NAME says, nested ones too."""
    if declared:
        project.edit("[run]", '[run]\nenv = { MLFLOW_EXPERIMENT_NAME = "elsewhere" }')
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "elsewhere")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "4711")
    project.script("""
        import os
        import mlflow
        mlflow.set_experiment(os.environ["MLFLOW_EXPERIMENT_NAME"])
        with mlflow.start_run():
            with mlflow.start_run(nested=True, run_name="fold"):
                mlflow.log_metric("score", 0.5)
    """)
    lock(cli)
    said = cli("run", "-q")
    assert said.code == 0, said.err
    # The name is computed, and might be that of another experiment: what the script starts is a child of the run.
    assert sorted(run.info.run_name == "fold" for run in project.all_stored()) == [False, False, True]
    assert project.all_stored(experiment="elsewhere") == []


@pytest.mark.skipif(os.name == "nt", reason="a pseudo-terminal needs Unix")
def test_the_screen_is_the_commands_while_it_runs(project: Project, cli) -> None:
    """A progress bar that is still drawn would write into the command's lines."""
    project.script("""
        import time
        for tick in range(10):
            print("tick", tick, flush=True)
            time.sleep(0.1)
    """)
    lock(cli)
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "reprolock", "-C", str(project.root), "run"]
    process = subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm"}
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    _, between, _ = seen.decode().replace("\r\n", "\n").split(f"{RULE}\n")
    assert between == "".join(f"tick {tick}\n" for tick in range(10))


def test_a_folder_that_cannot_be_made(project: Project, cli) -> None:
    lock(cli)
    (project.root / ".reprolock").mkdir(exist_ok=True)
    (project.root / ".reprolock" / "runs").write_text("in the way")
    said = cli("run")
    [stored] = project.all_stored()
    folder = project.run_folder(stored.info.run_id)
    assert said == (
        8,
        "",
        f"error: {folder} cannot be written: another file or folder has its name\n"
        f"hint: move away what is at {folder.parent} and try again\n",
    )
    assert stored.info.status == "FAILED"
    assert stored.data.tags["reprolock.reason"] == f"{folder} cannot be written: another file or folder has its name"


def test_a_file_in_the_place_of_the_own_folder(project: Project, cli) -> None:
    lock(cli)
    own = project.root / ".reprolock"
    shutil.rmtree(own)
    own.write_text("in the way")
    assert cli("run") == (
        8,
        "",
        f"error: {own} cannot be written: another file or folder has its name\nhint: move away what is at {own} and try again\n",
    )
    assert own.read_text() == "in the way"


def test_a_file_where_an_output_needs_a_folder(project: Project, cli) -> None:
    project.add('[outputs.model]\npath = "out/model"\n')
    (project.root / "out").write_text("a file of the code")
    lock(cli)
    said = cli("run")
    assert lines_of(said.err, "error") == [
        f"error: {project.run_folder(project.record.run_id)}/work/out cannot be written: another file or folder has its name"
    ]
    assert said.code == 8
    assert (project.record.status, project.stored().info.status) == ("FAILED", "FAILED")


# The other options


def test_a_dry_run_makes_ready_and_records_nothing(project: Project, cli) -> None:
    project.add('[params]\nn = 1\n\n[outputs.model]\npath = "model"\n')
    project.command("python", "train.py", "{params.n}")
    (project.root / "model").write_text("stays")
    lock(cli)
    said = cli("run", "--dry-run")
    assert said.err.splitlines()[-1] == "Would run  python train.py 1"
    assert (said.code, said.out) == (0, "")
    assert project.all_stored() == []
    assert list((project.root / ".reprolock/runs").iterdir()) == []
    assert (project.root / "model").read_text() == "stays"
    document = json.loads(cli("run", "--dry-run", "--json").out)
    assert (document["status"], document["command"], document["sent"]) == (
        "RUNNING",
        ["python", "train.py", "1"],
        False,
    )
    project.edit('"python"', '"pyhton"', "repro.toml")
    said = cli("run", "--dry-run")
    assert said.err.startswith('error: run.command names "pyhton", which is not on the PATH of the run\n')
    assert said.code == 2
    assert list((project.root / ".reprolock/runs").iterdir()) == []


def test_two_dry_runs_at_once(project: Project, cli) -> None:
    lock(cli)
    with (
        in_background(project.root, "run", "--dry-run") as one,
        in_background(project.root, "run", "--dry-run") as other,
    ):
        ends = [process.communicate(timeout=90) for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], ends


def test_if_changed(project: Project, cli) -> None:
    project.add('[params]\nn = 1\n\n[outputs.model]\npath = "model"\n')
    project.script("import pathlib; pathlib.Path('model').write_text('x'); print('ran')")
    lock(cli)
    assert cli("run", "--if-changed").out == "ran\n"
    run_id = project.record.run_id
    said = cli("run", "--if-changed")
    assert said == (
        0,
        "",
        f"Skipped: run {run_id[:8]} has finished with the same inputs, and its outputs are as it left them\n",
    )
    assert cli("run", "--if-changed", "--set", "n=2").out == "ran\n"
    project.commit("train/b.csv", b"x,y\n")
    assert cli("run", "--if-changed", "--data", "train=main").out == "ran\n"
    assert cli("run", "--if-changed").out == ""
    (project.root / "model").write_text("edited")
    assert cli("run", "--if-changed").out == "ran\n"


def test_what_of_the_machine_can_move_a_result(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("LANG", "LC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LC_NUMERIC", "de_DE.UTF-8")
    monkeypatch.setenv("LC_TELEPHONE", "passed")
    project.edit("[run]", '[run]\npass_env = ["LC_TELEPHONE"]')
    project.script(
        "import os; print('of the command:', len(os.sched_getaffinity(0)), os.environ['LANG'], os.environ['LC_TELEPHONE'])"
    )
    assert cli("lock").code == 0
    said = cli("run")
    environment = project.record.environment
    assert f"of the command: {environment.cores} C.UTF-8 passed\n" in said.out
    assert environment.locale == {"LANG": "C.UTF-8", "LC_NUMERIC": "de_DE.UTF-8"}
