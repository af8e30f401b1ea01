"""Runs by the names that people use: ID, beginning, name, tag, `@latest`; and completed by the shell."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from command_line import Cli
from project import Project

TRAIN = """
    import json, mlflow, os, reprolock
    mlflow.log_metric("auc", reprolock.current().params["depth"] / 10)
    os.makedirs("out", exist_ok=True)
    json.dump(1, open("out/model.json", "w"))
"""


@pytest.fixture
def named(project: Project, cli: Cli) -> Project:
    """Two runs, #1 and #2; the second is tagged in the lake."""
    project.script(TRAIN)
    project.edit("[run]", '[environment]\nisolated = false\n\n[run]\ncode = ["train.py"]')
    project.add(
        '\n[params]\ndepth = 3\n\n[outputs.model]\npath = "out/model.json"\ncompare = "json"\n'
        'publish = "lakefs://example-repo/main/model/"\n\n[metrics]\nauc = "exact"\n'
    )
    assert cli("lock").code == 0
    assert cli("run", "--name", "#1").code == 0
    assert cli("run", "--name", "#2", "--set", "depth=5", "--tag", "best").code == 0
    return project


def test_every_name_of_a_run(named: Project, cli: Cli) -> None:
    second = named.record.run_id
    for name in (second, second[:8], "#2", "best", "@latest", "@latest~0"):
        assert json.loads(cli("show", name, "--json").out)["run_id"] == second, name
    first = json.loads(cli("show", "@latest~1", "--json").out)["run_id"]
    assert cli("diff", "#1", "best").out.splitlines()[-2:] == cli("diff", first, second).out.splitlines()[-2:]
    assert cli("same-data", "#1", "@latest").code == 0
    assert str(UUID(second)) in cli("export", "best", "--format", "openlineage").out
    assert cli("replay", "best", "--dry-run").code == 0
    done = cli("replay", "#2")
    assert (done.code, f"of {second[:8]}" in done.out) == (0, True), done.err
    # In MLflow, for those who have not run it here.
    for name in (second[:8], "#2", "best", "@latest"):
        said = cli("show", name, "--tracking-uri", named.database, "--json")
        assert json.loads(said.out)["run_id"] == second, (name, said.err)


def test_a_name_of_none_and_of_two(named: Project, cli: Cli) -> None:
    second = named.record.run_id
    assert cli("run", "--name", "#2", "--set", "depth=4").code == 0
    third = named.record.run_id
    assert cli("show", "#2") == (
        2,
        "",
        f'error: "#2" names 2 runs of this folder\nhint: write an ID: {third[:8]} ("#2"), {second[:8]} ("#2")\n',
    )
    assert cli("show", "#9") == (
        2,
        "",
        f'error: no run "#9" in MLflow at {named.database} (the default of mlflow.tracking_uri)\n'
        'hint: the newest are "#2", "#2", "#1"; see `reprolock runs`, or name another MLflow with --tracking-uri\n',
    )
    said = cli("show", "@latest~7")
    assert (said.code, said.err.splitlines()[0]) == (2, "error: @latest~7 is not there: this folder has only 3 runs")
    # What could be no name of a run is none: no option, no pattern, nothing that a disk cannot name.
    for name in ("--json", "____", f"{second[:3]}_", "n" * 5000):
        assert cli("show", "--", name).err.splitlines()[0].startswith(f'error: no run "{name}" in MLflow at ')


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (" ", "error: --name is empty\nhint: leave it out: the run is then named by its data and its params\n"),
        ("@latest~2", 'error: --name "@latest~2": every command takes this for the run of that age\nhint: choose another name\n'),
    ],
)  # fmt: skip
def test_a_name_that_could_not_be_said(project: Project, cli: Cli, name: str, said: str) -> None:
    assert cli("lock").code == 0
    assert cli("run", "--name", name) == (2, "", said)
    assert not (project.root / ".reprolock" / "runs").exists()


def test_a_name_that_is_the_beginning_of_an_id_too(named: Project, cli: Cli) -> None:
    first = named.record.run_id
    assert cli("run", "-q", "--name", first[:8]).code == 0
    said = cli("show", first[:8])
    second = named.record.run_id
    assert (said.code, said.err.splitlines()[1]) == (
        2,
        f'hint: write an ID: {second[:12]} ("{first[:8]}"), {first[:12]} ("#2")',
    )
    assert cli("show", first[:12]).code == 0


def test_records_that_somebody_put_there(named: Project, cli: Cli) -> None:
    first = named.record
    for folder, change in (
        ("elsewhere", {"run_id": "../../../elsewhere"}),
        ("naive", {"run_id": "naive", "started": "2099-01-01T00:00:00"}),
        ("named", {"run_id": "named", "started": "2020-01-01T00:00:00Z", "run_name": "best$(touch$IFS'x')"}),
    ):
        made = named.run_folder(folder)
        made.mkdir()
        document = json.loads(first.model_dump_json()) | change
        (made / "record.json").write_text(json.dumps(document))
    assert json.loads(cli("show", "@latest", "--json").out)["run_id"] == first.run_id
    said = cli("sign", "../../../elsewhere")
    assert (said.code, said.out) == (2, "")
    said = cli("runs")
    assert said.code == 0, said.err
    # Nothing that a shell would execute is put into its line.
    assert set(completed(named, f"reprolock -C {named.root} show be")) == {"plain,best"}


def completed(project: Project, line: str) -> list[str]:
    words = line.split(" ")
    environ = os.environ | {
        "_REPROLOCK_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "reprolock"], env=environ, capture_output=True, text=True, cwd=project.root.parent
    )
    return done.stdout.split()


def test_a_shell_completes_them(named: Project) -> None:
    def complete(line: str) -> list[str]:
        return completed(named, line)

    at = f"reprolock -C {named.root}"
    assert complete(f"{at} show be") == ["plain,best"]
    assert complete(f"{at} diff best @l") == ["plain,@latest", "plain,@latest~1"]
    assert complete(f"reprolock sign -C {named.root} {named.record.run_id[:5]}") == [f"plain,{named.record.run_id[:8]}"]
    assert complete(f"{at} audit bundle.z") == ["file,bundle.z"]


TYPED = {
    "sh\t@la\t\n": "show @latest",
    "show #1\t\n": "show #1",  # not as the comment that bash would take it for
    "show '#1\t\n": "show #1",
    "show be\t\n": "show best",
    "lock --upgrade-dataset t\t\n": "lock --upgrade-dataset train",
    "run --data t\tmain\n": "run --data train=main",
    "run --set depth=4 --set d\t5\n": "run --set depth=4 --set depth=5",
    "remove output m\t\n": "remove output model",
}
"""What is typed, and the line that bash then executes."""


def test_bash_completes_what_is_typed(named: Project) -> None:
    # What is executed is this function; completion asks the program of that name.
    setup = 'eval "$(reprolock completion bash)"; reprolock() { printf "<%s>" "$*"; echo; }; PS1=; echo rea""dy'
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = os.environ | {"PATH": programs, "TERM": "dumb", "HISTFILE": os.devnull}
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(named.root)
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environ)
    try:
        said = ""
        for typed, expected in {
            setup + "\n": "\nready",
            **{f"reprolock {keys}": f"<{line}>" for keys, line in TYPED.items()},
        }.items():
            os.write(terminal, typed.encode())
            said = ""
            while expected not in said.replace("\r", ""):
                assert select.select([terminal], [], [], 30)[0], f"{typed!r} was answered by {said!r}"
                said += os.read(terminal, 4096).decode(errors="replace")
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)


def test_a_file_that_is_not_there(cli: Cli) -> None:
    for command in (["show"], ["replay"], ["bundle"]):
        for name in ("../run.zip", "run.zip", "./artifacts"):
            assert cli(*command, name) == (
                2,
                "",
                f"error: there is no file or folder {name}\nhint: name a bundle, the folder of a run's artifacts, or a run\n",
            )
