"""A script that the command names must be among the code: refused at lock and at run, before a run is made."""

from __future__ import annotations

import json
import subprocess

import pytest
from project import Project


@pytest.mark.parametrize(
    "command",
    [
        ("python", "fit.py"),
        ("python", "-u", "-W", "ignore", "./fit.py", "--epochs", "3"),
        ("python", "-m", "fit"),
        ("env", "A=1", "python3", "fit.py"),
        ("papermill", "fit.py", "out.ipynb"),
    ],
)
def test_a_script_that_is_no_code_is_refused_by_name(project: Project, cli, command: tuple[str, ...]) -> None:
    project.command(*command)
    project.add('code = ["train.py"]\n')
    project.script("", "fit.py")
    named = next(word for word in command if "fit" in word)
    refused = f'error: run.command names "{named}", which is not among the code\nhint: name "{named}" in run.code\n'
    for said in (cli("lock"), cli("lock", "--dry-run")):
        assert (said.code, said.out, said.err) == (2, "", refused)
    project.edit('code = ["train.py"]', 'code = ["train.py", "fit.py"]')
    assert cli("lock").code == 0
    project.edit('code = ["train.py", "fit.py"]', 'code = ["train.py"]')
    said = cli("run")
    assert (said.code, said.err) == (2, refused)
    assert not list(project.root.glob(".reprolock/runs/*"))
    assert project.all_stored() == []


def test_a_script_that_is_yet_to_be_written_can_be_locked_and_not_run(project: Project, cli) -> None:
    project.command("python", "fit.py")
    assert cli("lock").code == 0
    said = cli("run")
    assert (said.code, said.err) == (
        2,
        'error: run.command names "fit.py", which is not there\nhint: a script must be part of the code: have git track it, or name it in run.code\n',
    )


def test_what_is_no_script_of_the_project_is_left_alone(project: Project, cli) -> None:
    project.script("", "json.py")  # not what -c names
    before = (project.root / "repro.toml").read_text().partition("command")[0]
    for command in (
        ("python", "-c", "print(1)", "json.py"),
        ("python", "-m", "timeit", "-n1"),
        ("python", "train.py", "json.py"),
    ):
        project.spec(f"{before}command = {json.dumps(command)}\n")
        assert cli("lock").code == 0
        assert cli("run", "--dry-run").code == 0


def test_a_link_to_no_code_is_refused_before_a_run_is_made(project: Project, cli) -> None:
    (project.root / "data").mkdir()
    (project.root / "data/a.csv").write_text("a\n1\n")
    (project.root / "input").symlink_to("data")
    project.add('code = ["train.py", "input"]\n')
    assert cli("lock").code == 0
    said = cli("run")
    assert (said.code, said.err) == (
        2,
        'error: run.code names "input", a link to "data", which is not part of the code\n'
        'hint: name "data" in run.code too, or replace the link with the file\n',
    )
    assert not list(project.root.glob(".reprolock/runs/*"))


def test_a_package_in_src_that_only_an_editable_install_would_find_is_named(project: Project, cli) -> None:
    for name in ("src/mypkg/__init__.py", "scripts/fit.py", "helpers.py"):
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        project.script("" if "fit" not in name else "import json, mypkg, helpers, nowhere", name)
    project.command("python", "scripts/fit.py")
    assert cli("lock").code == 0
    said = cli("run", "--offline")
    told = [line for line in said.err.splitlines() if line.startswith("warning: scripts/fit.py")]
    assert (said.code, told) == (
        1,
        [
            "warning: scripts/fit.py imports helpers, which is in the project's folder, where Python does not look for it: "
            'write env = { PYTHONPATH = "." } below [run]',
            "warning: scripts/fit.py imports mypkg, which is in src/, where Python does not look for it: "
            'write env = { PYTHONPATH = "src" } below [run]',
        ],
    )
    project.script("import mypkg, helpers; print('found')", "scripts/fit.py")
    project.edit(
        'command = ["python", "scripts/fit.py"]',
        'command = ["python", "scripts/fit.py"]\nenv = { PYTHONPATH = "src:." }',
    )
    assert cli("lock").code == 0
    said = cli("run", "--offline")
    assert (said.code, "found" in said.out, "where Python does not look" in said.err) == (0, True, False)
    project.edit('["python", "scripts/fit.py"]\nenv = { PYTHONPATH = "src:." }', '["python", "-m", "mypkg.fit"]')
    said = cli("run", "--offline")
    assert "warning: run.command imports mypkg, which is in src/, where Python does not look for it: " in said.err


def test_variables_of_a_file_that_is_no_code_are_said_not_to_be_recorded(project: Project, cli) -> None:
    """python-dotenv looks for it in every folder above the script's: above a run's is the project's."""
    project.script("# load_dotenv()\nfrom os import environ\ndef load_dotenv(): pass\nload_dotenv()\n")
    assert cli("lock").code == 0
    assert cli("run", "-q", "--offline") == (0, "", "")
    (project.root / ".env").write_text("LR=1\n")
    assert cli("run", "-q", "--offline") == (
        0,
        "",
        "warning: train.py:4 reads .env, which is no part of a run: what it sets is not recorded, and a replay may not find it; "
        "set it by run.env, or run.pass_env for secrets\n",
    )


def test_a_submodule_that_is_not_checked_out_is_named(project: Project, cli) -> None:
    for arguments in (
        ("init", "-q"),
        ("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},libs/x"),
    ):
        subprocess.run(["git", *arguments], cwd=project.root, check=True)
    (project.root / ".gitmodules").write_text('[submodule "x"]\n\tpath = libs/x\n\turl = ../x\n')
    (project.root / ".gitignore").write_text("mlflow.db*\nlake/\n.reprolock/\n")
    assert cli("lock").code == 0
    told = "warning: libs/x: a submodule that is not checked out; `git submodule update --init` fetches it\n"
    assert told in cli("run", "-q", "--offline").err
    project.edit("[run]", '[run]\ncode = ["train.py"]')
    assert cli("lock").code == 0
    assert told not in cli("run", "-q", "--offline").err


def test_files_that_git_ignores_and_the_script_opens_are_named(project: Project, cli) -> None:
    for name in ("data/a.csv", "conf/local.yaml", ".env.dev", "out/old.txt", "scripts/near.txt", "known.txt"):
        (project.root / name).parent.mkdir(exist_ok=True)
        (project.root / name).write_text("")
    project.script(
        """
        from pathlib import Path
        open("known.txt"), Path("out/old.txt"), Path(__file__).parent / "near.txt"
        open(Path("data") / "a.csv"), ".", "..", "/etc/hosts", "no.such"
        """,
        "scripts/fit.py",
    )
    project.command("python", "scripts/fit.py", "--conf", "conf/local.yaml")
    project.edit("[run]", '[outputs.old]\npath = "out/old.txt"\n[run]\ncode = ["scripts/fit.py", "known.txt"]')
    assert cli("lock").code == 0
    said = cli("run", "--offline")
    hint = "which is in the project and not among the code: declare it as a dataset, or name it in run.code"
    told = [line for line in said.err.splitlines() if "not among the code" in line]
    assert (said.code, told) == (
        1,
        [
            f"warning: repro.toml names conf/local.yaml, {hint}",
            f"warning: scripts/fit.py names data/a.csv, {hint}",
            f"warning: scripts/fit.py names scripts/near.txt, {hint}",
        ],
    )
    project.script("open('.env.dev')", "scripts/fit.py")
    project.edit(', "--conf", "conf/local.yaml"', "")
    assert cli("lock").code == 0
    said = cli("run", "--offline")
    assert (
        "warning: scripts/fit.py names .env.dev, which is in the project and not among the code: give the command its variables by "
        "run.env or run.pass_env\n"
    ) in said.err


def test_of_an_editable_install_the_recorded_code_is_imported(
    project: Project, cli, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leads to the project's folder, and a replay imported what stood there by then."""
    packages = tmp_path_factory.mktemp("python") / "site-packages"
    (project.root / "src" / "flights_lib").mkdir(parents=True)
    (packages.parent / "other").mkdir()
    packages.mkdir()
    (packages / "flights.pth").write_text(f"import sys\n{project.root}/src\n{packages.parent}/other\n")
    monkeypatch.syspath_prepend(packages)
    project.script("V = 'recorded'", "src/flights_lib/__init__.py")
    project.script("import flights_lib; open('o.txt', 'w').write(flights_lib.V)")
    project.add('\n[outputs.o]\npath = "o.txt"\n')
    assert cli("lock").code == 0
    said = cli("run", "-q")
    other = f"{packages.parent}/other, which is neither locked nor among the code of this run"
    assert said == (0, "", f"warning: flights.pth lets Python import from {other}\n")
    assert (project.root / "o.txt").read_text() == "recorded"
    project.script("V = 'changed'", "src/flights_lib/__init__.py")
    said = cli("replay", "@latest")
    assert said.code == 0, said.err
    assert "REPRODUCED   1 of 1 compared" in said.out


@pytest.mark.parametrize("table", ["[project.scripts]", "[tool.poetry.scripts]"])
def test_a_script_that_the_project_itself_declares(project: Project, cli, table: str) -> None:
    """pip makes it where the project is installed, and it is no package to ask for."""
    (project.root / "pyproject.toml").write_text(f'{table}\nfit-flights = "flights.cli:app.main"\n')
    project.command("fit-flights", "--fast")
    assert cli("lock").code == 0
    assert cli("run", "--offline") == (
        2,
        "",
        'error: run.command names "fit-flights", which pyproject.toml declares as a script of this project, and a run installs no project\n'
        'hint: write command = ["python", "-c", "import sys, flights.cli; sys.exit(flights.cli.app.main())", …]\n',
    )


def test_a_byte_order_mark_is_no_part_of_repro_toml(project: Project, cli) -> None:
    """Windows' editors write one."""
    text = (project.root / "repro.toml").read_text()
    (project.root / "repro.toml").write_text(text, encoding="utf-8-sig")
    project.script("import mlflow; mlflow.log_metric('m', 1)")
    (project.root / "repro.toml").write_text(f'{text}[metrics]\nm = "exact"\n', encoding="utf-8-sig")
    assert cli("lock").code == 0
    assert cli("run").code == 0
    assert cli("replay", "@latest").code == 0
    assert cli("add", "param", "depth=3").code == 0
    assert (project.root / "repro.toml").read_bytes().startswith(text.encode()[:9])


def test_packages_that_a_script_names_for_itself_are_said_not_to_be_locked(project: Project, cli) -> None:
    block = '# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n#   "Six>=1",\n#   "rich",\n# ]\n# ///\nprint(1)\n'
    (project.root / "train.py").write_text(block)
    said = cli("lock")
    assert said.code == 0
    assert said.err.count("warning: ") == 1
    assert (
        'warning: train.py names six, rich for itself ("# /// script"), and repro.toml does not: '
        "what is not among environment.packages is not locked\n"
    ) in said.err
    (project.root / "train.py").write_text(block.replace("# ///\n", ""))
    assert "warning" not in cli("lock").err
