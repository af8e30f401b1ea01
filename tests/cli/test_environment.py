"""Locked Python packages from the command line: locking, running in them, and all that may be wrong with them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import Said
from project import Project, in_background, lines_of, wait_for
from wheelhouse import PYTHON, environ, sdist, wheel

from reprolock.files.lock_file import read_lock, write_lock
from reprolock.files.secrets import Scanner
from reprolock.model.lock import EnvironmentPin

LOCK = "hint: run `reprolock lock` and commit repro.lock\n"
SHOWS = """
    import importlib.metadata, json, sys
    import reprolock, tool
    found = sorted(item.metadata["Name"] for item in importlib.metadata.distributions())
    run = reprolock.current()
    print(json.dumps([tool.x, found, sys.prefix, dict(run.params), run.seed, run.dataset("train").path.name, run.output("o").path.name]))
    run.output("o").path.write_text("1")
"""


def cache() -> Path:
    return Path(os.environ["REPROLOCK_CACHE_DIR"])


def environment() -> Path:
    """The one environment that was built."""
    [folder] = (cache() / "envs").glob("[0-9a-f]*")
    return folder


def site_packages() -> Path:
    [folder] = environment().glob("lib/*/site-packages")
    return folder


def locked(project: Project, cli, *packages: str, more: str = "") -> Said:
    project.add(f"[environment]\npackages = {json.dumps(packages)}\n{more}")
    said = cli("lock")
    assert said.code == 0, said.err
    return said


def fails(said: Said, code: int, text: str) -> None:
    assert (said.code, said.err) == (code, text)


# Locking and running


def by_packages(project: Project) -> str:
    return 'packages = ["tool<2"]'


def by_requirements(project: Project) -> str:
    (project.root / "more.txt").write_text("tool<2  # not the newest\n")
    (project.root / "requirements.in").write_text("-r more.txt\n")
    return 'requirements = "requirements.in"'


def by_pyproject(project: Project) -> str:
    (project.root / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\ndependencies = ["tool<2"]\n')
    return 'pyproject = "."'


@pytest.mark.parametrize("declare", [by_packages, by_requirements, by_pyproject])
def test_packages_are_locked_and_the_command_runs_in_them_alone(project: Project, house: Path, cli, declare) -> None:
    (
        wheel(house, "tool", text="x = 'one'\n", needs=["other"]),
        wheel(house, "tool", "2.0", text="x = 'two'\n"),
        wheel(house, "other"),
    )
    project.edit("[run]", "[run]\nseed = 7")
    project.add(f'[environment]\n{declare(project)}\n[params]\nn = 1\n[outputs.o]\npath = "o.txt"\n')
    project.script(SHOWS)
    said = cli("lock")
    assert said.out.splitlines()[1] == f"Added  2 packages     python {PYTHON}"
    said = cli("run")
    assert said.code == 0, said.err
    shown = json.loads(said.out)
    assert shown == ["one", ["other", "tool"], str(environment()), {"n": 1}, 7, "train", "o.txt"]
    record = project.record
    assert record.environment.isolated
    assert record.environment.packages == {"other": "1.0", "tool": "1.0"}
    assert record.environment.wheels.keys() == {"other", "tool"}
    digest = record.observed.sections["packages"][:8]
    assert lines_of(said.err, "Env") == [f"Env     {digest} (2 packages, Python {record.environment.python})"]
    text = (project.root / "repro.lock").read_text()
    assert "://" not in text.replace("lakefs://", "") and str(house) not in text


@pytest.mark.parametrize(
    ("declare", "file", "old", "new"),
    [
        (by_packages, "repro.toml", "tool<2", "tool"),
        (by_requirements, "more.txt", "tool<2", "tool"),
        (by_pyproject, "pyproject.toml", "tool<2", "tool"),
    ],
)
def test_a_requirement_that_was_edited(
    project: Project, house: Path, cli, declare, file: str, old: str, new: str
) -> None:
    wheel(house, "tool")
    project.add(f"[environment]\n{declare(project)}\n")
    cli("lock")
    project.edit(old, new, file)
    stale = f'error: repro.lock is out of date: [environment] declares "tool", pinned for "tool<2"\n{LOCK}'
    for command in (["run"], ["run", "--locked"], ["lock", "--check"], ["env"]):
        fails(cli(*command), 3, stale)
    assert cli("lock").code == cli("lock", "--check").code == 0


def test_each_change_of_a_package_is_named(project: Project, house: Path, cli) -> None:
    for name in ("tool", "other", "third"):
        wheel(house, name), wheel(house, name, "2.0")
    locked(project, cli, "tool<2", "other<2")
    project.edit('"tool<2", "other<2"', '"tool", "third==1.0"')
    assert cli("lock").out.splitlines()[:-1] == ["Removed  package other  1.0", "Added    package third  1.0"]
    assert cli("lock", "--upgrade-package", "tool").out.splitlines()[0] == "Updated  package tool  1.0 → 2.0"
    assert cli("lock", "--upgrade-package", "tool==1.0").out.splitlines()[0] == "Updated  package tool  2.0 → 1.0"
    assert cli("lock", "--upgrade").out.splitlines()[0] == "Updated  package tool  1.0 → 2.0"
    wheel(house, "third", "1.0", text="x = 2\n")
    assert cli("lock", "--upgrade").out.splitlines()[0] == "Updated  package third  1.0, other files"
    fails(
        cli("lock", "--upgrade-package", "nope"),
        2,
        "error: --upgrade-package nope: repro.lock pins no nope\n"
        "hint: name a [[package]] of repro.lock, or add it to repro.toml\n",
    )


def test_packages_as_of_a_time(project: Project, house: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")  # an index knows when a file was uploaded, a folder does not
    project.spec('[project]\nname = "p"\n[run]\ncommand = ["python", "-V"]\n[environment]\npackages = ["six"]\n')
    assert cli("lock", "--as-of", "2021-01-01T00:00:00Z").code == 0
    assert read_lock(project.root).environment.version_of("six") == "1.15.0"
    assert cli("lock").out == "repro.lock is up to date\n"
    assert "Updated  package six  1.15.0 → " in cli("lock", "--upgrade").out


@pytest.mark.parametrize("way", ['env = { PYTHONPATH = "src" }', 'pass_env = ["PYTHONPATH"]'], ids=["env", "pass_env"])
def test_a_pythonpath_that_is_asked_for(
    project: Project, house: Path, cli, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """As with PATH, what reprolock needs stands before it, and not in its place."""
    monkeypatch.setenv("PYTHONPATH", f"src{os.pathsep}lib")
    for folder, name in (("src", "one"), ("lib", "two")):
        (project.root / folder).mkdir()
        project.script(f"said = {name!r}", f"{folder}/{name}.py")
    project.edit("[run]", f"[run]\n{way}")
    locked(project, cli)
    project.script("""
        import importlib.util, one, reprolock
        print(one.said, importlib.util.find_spec("two") is not None, reprolock.current().dataset("train").path.name)
    """)
    said = cli("run", "-q")
    assert (said.code, said.out) == (0, f"one {way.startswith('pass')} train\n"), said.err


def test_two_projects_with_the_same_packages_share_one_environment(
    project: Project, house: Path, cli, tmp_path: Path
) -> None:
    wheel(house, "tool")
    locked(project, cli, "tool")
    assert cli("run", "-q").code == 0
    other = tmp_path.with_name(f"{tmp_path.name}-other")
    shutil.copytree(tmp_path, other, ignore=shutil.ignore_patterns(".reprolock", "mlruns", "mlflow.db"))
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    assert cli("run", "-q", root=other) == (0, "hello\n", "")
    assert environment().exists()
    # The same project in another folder is the same to both digests.
    there = Project.__new__(Project)
    there.root = other
    assert (there.record.pinned, there.record.observed) == (project.record.pinned, project.record.observed)


def test_extras_and_markers(project: Project, house: Path, cli) -> None:
    (
        wheel(house, "tool", needs=['helper; extra == "fast"']),
        wheel(house, "helper"),
        wheel(house, "winlib"),
        wheel(house, "elder"),
    )
    locked(project, cli, "tool[fast]", "winlib; sys_platform == 'win32'", "elder; python_version < '3'")
    pinned = {item.name: item.marker for item in read_lock(project.root).environment.package}
    assert pinned == {"helper": None, "tool": None, "winlib": "sys_platform == 'win32'"}
    project.script("import helper, tool; print('both')")
    assert cli("run", "-q").out == "both\n"
    assert project.record.environment.packages == {"helper": "1.0", "tool": "1.0"}


def test_what_is_being_built_is_said(project: Project, house: Path, cli) -> None:
    wheel(house, "maker"), sdist(house, "raw", requires=["maker"])
    project.script("import raw; print(raw.made_with)")
    assert "Building raw==1.0" in locked(project, cli, "raw").err
    said = cli("run")
    assert said.out == "a build\n"
    assert lines_of(said.err, "Building") == ["Building raw==1.0"]
    assert [(item.name, item.source) for item in read_lock(project.root).environment.package] == [("raw", "sdist")]
    assert [item.name for item in read_lock(project.root).environment.build] == ["maker"]
    assert cli("run", "-q").err == ""


# Refused when it is locked


@pytest.mark.parametrize(
    ("requirement", "sentence"),
    [
        (
            "tool @ git+https://example.com/ann/tool",
            'tool comes from a repository, and a lock takes only what has a SHA-256; name an archive of one commit, as '
            '"NAME @ https://HOST/OWNER/REPOSITORY/archive/COMMIT.tar.gz"',
        ),
        ("./tool", '"./tool" is a path on this machine, which no other machine has; build a wheel, publish it, and name it by version'),
        ("tool @ file:///srv/tool.whl", "tool is a path on this machine, which no other machine has; publish it and name it by version"),
        ("tool ==", '"tool ==" is not a requirement: expected semicolon (after name with no version specifier) or end'),
    ],
)  # fmt: skip
def test_what_cannot_be_locked_says_why_and_where(
    project: Project, house: Path, cli, requirement: str, sentence: str
) -> None:
    project.add(f'[environment]\npackages = [\n  "tool",\n  "{requirement}",\n]\n')
    line = (project.root / "repro.toml").read_text().splitlines().index(f'  "{requirement}",') + 1
    fails(
        cli("lock"),
        2,
        f"error: repro.toml:{line}: environment.packages[1]: {sentence}\n"
        'hint: write it as pip would take it from an index, such as "pandas>=2,<3"\n',
    )


def test_requirements_that_cannot_be_resolved(project: Project, house: Path, cli) -> None:
    wheel(house, "tool", needs=["other<2"]), wheel(house, "other"), wheel(house, "other", "2.0")
    project.add('[environment]\npackages = ["tool", "other>=2"]\n')
    said = cli("lock")
    assert said.err.startswith("error: the requirements cannot be resolved: ")
    assert "tool" in said.err and "other<2" in said.err
    assert said.err.endswith("hint: loosen or change the requirements of [environment]\n")
    assert said.code == 2
    assert not (project.root / "repro.lock").exists()


def test_an_index_that_is_down(project: Project, house: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://ann:sekret@127.0.0.1:1/simple")
    project.add('[environment]\npackages = ["six"]\n')
    fails(
        cli("lock"),
        5,
        "error: no answer from the package index at 127.0.0.1:1: connection refused\n"
        "hint: check the network and uv's own index settings (UV_DEFAULT_INDEX, UV_INDEX, uv.toml); --offline uses what is cached\n",
    )


def test_a_yanked_version_is_remarked_on(project: Project, house: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    said = locked(project, cli, "click==8.2.2")
    assert lines_of(said.err, "warning")[0].startswith("warning: click 8.2.2 is yanked")


# Two branches


@pytest.fixture
def merged(project: Project, house: Path, cli):
    """Call it with git's merge options: two branches have each added a package, and git merges them."""
    names = ["alpha", "beta", "gamma", "kappa", "omega"]
    for name in names:
        wheel(house, name)
    (project.root / "requirements.in").write_text("beta\ngamma\nkappa\n")
    (project.root / ".gitignore").write_text("lake/\nmlflow.db\nmlruns/\n")
    project.add('[environment]\nrequirements = "requirements.in"\n')
    git = ["git", "-C", str(project.root), "-c", "user.name=a", "-c", "user.email=a@example.com"]

    def branch(name: str, old: str, new: str) -> None:
        subprocess.run([*git, "checkout", "-q", "-b", name, "main"], check=True)
        project.edit(old, new, "requirements.in")
        assert cli("lock").code == 0
        subprocess.run([*git, "commit", "-qam", name], check=True)

    def merge(*options: str) -> int:
        cli("lock")
        for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "x"]):
            subprocess.run([*git, *arguments], check=True)
        for name in names:
            wheel(house, name, "2.0")  # none of which anybody asked for
        branch("one", "beta\n", "alpha==1.0\nbeta\n")
        branch("two", "kappa\n", "kappa\nomega==1.0\n")
        return subprocess.run([*git, "merge", "-q", "-m", "both", *options, "one"], capture_output=True).returncode

    return merge


def test_packages_that_git_merged_cleanly_are_nobodys_resolution(project: Project, cli, merged) -> None:
    assert merged("-X", "ours") == 0
    assert cli("lock", "--check").err == (
        f"error: repro.lock is out of date: the packages were edited or merged by hand: their seal is broken\n{LOCK}"
    )
    assert [cli(*command).code for command in (["run"], ["lock", "--check"], ["verify"], ["env"])] == [3, 3, 3, 3]
    said = cli("lock")
    assert said.out.splitlines()[0] == "Added  package alpha  1.0"  # which git had lost; and nothing has moved
    pinned = {item.name: item.version for item in read_lock(project.root).environment.package}
    assert pinned == dict.fromkeys(["alpha", "beta", "gamma", "kappa", "omega"], "1.0")
    assert cli("run", "-q").out == "hello\n"


def test_a_conflict_that_git_left_in_the_lock(project: Project, cli, merged) -> None:
    assert merged() == 1
    fails(
        cli("run"),
        3,
        "error: repro.lock has git's conflict markers\n"
        "hint: run `reprolock lock`, which merges both sides, and commit the result\n",
    )
    assert cli("lock").code == 0
    pinned = {item.name: item.version for item in read_lock(project.root).environment.package}
    assert pinned == dict.fromkeys(["alpha", "beta", "gamma", "kappa", "omega"], "1.0")  # and nothing has moved


# What happens to an environment


def warning(what: str) -> str:
    return f"warning: the environment {environment().name} is not as it was built: {what}; it is built again\n"


def test_what_was_installed_into_it_is_seen_and_it_is_built_again(project: Project, house: Path, cli) -> None:
    wheel(house, "tool"), wheel(house, "sneaky")
    locked(project, cli, "tool")
    assert cli("run", "-q").code == 0
    install = ["pip", "install", "-q", "--no-index", "--find-links", str(house), "--python"]
    opened(site_packages())
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, *install, str(environment() / "bin/python"), "sneaky"], check=True)
    assert cli("run", "-q") == (0, "hello\n", warning("sneaky 1.0 was installed"))
    assert cli("run", "-q") == (0, "hello\n", "")


def test_a_file_that_was_edited_in_it_is_seen(project: Project, house: Path, cli) -> None:
    wheel(house, "tool")
    locked(project, cli, "tool")
    assert cli("run", "-q").code == 0
    module = site_packages() / "tool.py"
    opened(module.parent)
    module.unlink()
    module.write_text("x = 2\n")
    assert cli("doctor").code == 8
    assert cli("verify").code == 4
    edited = warning(f"{module.relative_to(environment())} was edited (package tool)")
    assert cli("run", "-q") == (0, "hello\n", edited)
    assert module.read_text() == "x = 1\n"


def test_a_package_that_writes_beside_itself_is_named_and_locks_nobody_out(project: Project, house: Path, cli) -> None:
    """As root, whom no permission binds; another user's command is refused the write itself."""
    writes = (
        "import os\nhere = os.path.dirname(__file__)\nos.chmod(here, 0o755)\nfile = os.path.join(here, 'cache.bin')\n"
    )
    writes += "print('there' if os.path.exists(file) else 'new')\nopen(file, 'w').write('1')\n"
    wheel(house, "zz_writer", more={"zzw/__init__.py": writes})
    locked(project, cli, "zz-writer")
    project.script("import zzw")
    for count in (1, 2):
        said = cli("run", "-q")
        [folder] = environment().glob("lib/*/site-packages/zzw")
        added = f"{folder.relative_to(environment())}/cache.bin was added (package zz-writer)"
        wrote = f"warning: the command wrote into the locked environment, which the next run builds again: {added}\n"
        assert said == (0, "new\n", wrote if count == 1 else warning(added) + wrote)


def opened(folder: Path) -> None:
    """Make a folder writable, as it is for root in any case."""
    folder.chmod(0o755)


def rewrite(file: Path, old: bytes, new: bytes) -> None:
    """Other bytes under the same size and time; the file that uv's cache shares with it stays as it is."""
    was, data = file.stat(), file.read_bytes()
    assert (data.count(old), len(old)) == (1, len(new))
    file.unlink()
    file.write_bytes(data.replace(old, new))
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))


@pytest.mark.parametrize("record", ["as it was", "edited too"])
def test_a_file_that_was_edited_under_its_old_time_is_seen_by_a_replay(
    project: Project, house: Path, cli, record: str
) -> None:
    wheel(house, "tool")
    locked(project, cli, "tool", more='[outputs.o]\npath = "o.txt"\n')
    project.script("import tool; open('o.txt', 'w').write(str(type(tool.x)))")
    assert cli("run", "-q").code == 0
    folder, module, run = environment(), site_packages() / "tool.py", project.record.run_id
    said = cli("replay", run)
    assert said.code == 0, said.err
    old, new = (
        base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=") for text in (b"x = 1\n", b"x = 2\n")
    )
    rewrite(module, b"x = 1\n", b"x = 2\n")
    sentence = f"{module.relative_to(folder)} was edited (package tool)"
    if record == "edited too":
        rewrite(site_packages() / "tool-1.0.dist-info" / "RECORD", old, new)
        sentence = "tool 1.0 was replaced by other files"
    said = cli("replay", run)
    assert said.code == 0, said.err
    assert warning(sentence) in said.err
    assert module.read_text() == "x = 1\n"
    assert lines_of(said.out, "REPRODUCED") == ["REPRODUCED   1 of 1 compared"]


def test_a_run_that_is_killed_while_it_builds_leaves_nothing_that_counts(project: Project, house: Path, cli) -> None:
    pause = house.parent / "pause"
    wheel(house, "maker"), sdist(house, "raw", requires=["maker"], pause=pause)
    project.script("import raw; print(raw.made_with)")
    locked(project, cli, "raw")
    pause.touch()
    with in_background(project.root, "run") as process:
        wait_for(lambda: list((cache() / "envs").glob(".build-*/bin/python")))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert [path for path in (cache() / "envs").glob("*") if not path.name.startswith(".")] == []
    pause.unlink()
    assert cli("env").out.splitlines()[1] == "Path     not built here yet; the first run builds it"
    assert cli("run", "-q").out == "a build\n"
    assert environment().exists() and not list((cache() / "envs").glob(".build-*"))


def test_an_index_whose_file_has_changed_or_is_gone(project: Project, house: Path, cli) -> None:
    file = wheel(house, "tool")
    locked(project, cli, "tool")
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    wheel(house, "tool", text="x = 2\n")
    fails(
        cli("run"),
        4,
        "error: tool 1.0 has changed: the index gives a file whose SHA-256 repro.lock does not pin\n"
        "hint: find out why; if the new file is good, run `reprolock lock --upgrade-package tool`\n",
    )
    file.unlink()
    fails(
        cli("run"),
        4,
        "error: tool 1.0 is gone: the index that uv asks does not have it\n"
        "hint: name the index that has it in UV_INDEX; `reprolock lock --upgrade-package tool` pins another version\n",
    )


def test_a_cache_that_cannot_be_written(project: Project, house: Path, cli) -> None:
    wheel(house, "tool")
    locked(project, cli, "tool")
    cache().write_text("")
    fails(
        cli("run"),
        8,
        f"error: {cache()}/objects cannot be written: another file or folder has its name\n"
        f"hint: move away what is at {cache()} and try again\n",
    )
    assert f"missing  cache        {cache()} cannot be written\n" in cli("doctor").out
    cache().unlink()
    cache().mkdir()
    (cache() / "envs").write_text("")
    fails(
        cli("run"),
        8,
        f"error: {cache()}/envs cannot be written: another file or folder has its name\n"
        f"hint: move away what is at {cache()}/envs and try again\n",
    )


def test_a_lock_of_another_platform(project: Project, house: Path, cli) -> None:
    """What only that platform takes is not installed here; what has no wheel for this one is named."""
    wheel(house, "tool", needs=['winlib; sys_platform == "win32"'])
    wheel(house, "winlib", tag="py3-none-win_amd64")
    locked(project, cli, "tool")
    assert cli("run", "-q").code == 0
    assert project.record.environment.packages == {"tool": "1.0"}
    old = read_lock(project.root)
    everywhere = tuple(item.model_copy(update={"marker": None}) for item in old.environment.package)
    made_there = EnvironmentPin.sealed(requirements=("tool",), python=PYTHON, package=everywhere)
    write_lock(project.root, old.model_copy(update={"environment": made_there}), Scanner({}))
    fails(
        cli("run"),
        8,
        "error: winlib 1.0 has no wheel for this machine\nhint: run on a platform that winlib has wheels for; "
        "`reprolock lock --upgrade-package winlib` pins its source too, if the index has one\n",
    )


def test_an_sdist_whose_build_requirements_another_platform_did_not_pin(project: Project, house: Path, cli) -> None:
    wheel(house, "maker"), sdist(house, "raw", requires=["maker"])
    locked(project, cli, "raw")
    old = read_lock(project.root)
    made_there = EnvironmentPin.sealed(requirements=("raw",), python=PYTHON, package=old.environment.package)
    write_lock(project.root, old.model_copy(update={"environment": made_there}), Scanner({}))
    fails(
        cli("run"),
        3,
        "Building raw==1.0\n"
        "error: raw 1.0 has no wheel for this machine, and repro.lock does not pin maker it is built with\n"
        "hint: use a machine that raw has wheels for; `reprolock lock --upgrade-package raw` on a machine like this one pins that, too\n",
    )


def test_a_dry_run_runs_no_build_code(project: Project, house: Path, cli, tmp_path: Path) -> None:
    """A package's build code is as foreign as the command."""
    built = tmp_path / "built"
    wheel(house, "maker"), sdist(house, "raw", requires=["maker"], body=f"open({str(built)!r}, 'w')")
    project.script("import raw; print(raw.made_with)")
    locked(project, cli, "raw")
    for rehearsal in (["run", "--dry-run"], ["run", "--dry-run", "--offline"]):
        fails(
            cli(*rehearsal),
            8,
            "error: raw 1.0 has no wheel for this machine, and a dry run does not run its build code\n"
            "hint: leave out --dry-run to build it; `reprolock show` shows what would run\n",
        )
    said = cli("verify")
    assert said.out.splitlines()[1] == "environment  of 1 package  absent  not on this machine; a run builds it"
    assert not built.exists()
    assert cli("run", "-q").out == "a build\n"
    assert built.exists()
    assert cli("run", "--dry-run").code == 0


@pytest.mark.parametrize("program", [sys.executable, "python3.99"], ids=["by its path", "by a name"])
def test_python_from_elsewhere_is_refused(
    project: Project,
    house: Path,
    cli,
    program: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path_factory.mktemp("programs")
    (folder / "python3.99").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    wheel(house, "tool")
    project.edit("[run]", '[run]\npass_env = ["PATH"]')
    project.command(program, "train.py")
    locked(project, cli, "tool")
    found = program if Path(program).is_absolute() else folder / program
    fails(
        cli("run", "--dry-run"),
        2,
        f"error: run.command starts {found}, which is not the locked environment's Python\n"
        'hint: write "python", which is the locked one; environment.isolated = false runs in the current interpreter\n',
    )


def test_python_from_elsewhere_in_a_scripts_first_line_is_refused(project: Project, house: Path, cli) -> None:
    wheel(house, "tool")
    project.script(f"#!{sys.executable}\nprint(1)\n")
    (project.root / "train.py").chmod(0o755)
    project.command("./train.py")
    locked(project, cli, "tool")
    fails(
        cli("run", "--dry-run"),
        2,
        f"error: run.command starts train.py, whose first line names {sys.executable}, which is not the locked environment's Python\n"
        'hint: write "#!/usr/bin/env python", which is the locked one; environment.isolated = false runs in the current interpreter\n',
    )
    project.script("#!/usr/bin/env python\nimport sys; print(sys.prefix)\n")
    said = cli("run", "-q")
    assert (said.code, said.out) == (0, f"{environment()}\n")


# The current interpreter


@pytest.mark.long
def test_start_up_files_of_ipython_are_not_read(
    project: Project, cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the recorded code runs: what stands in the user's folder for IPython is none."""
    startup = tmp_path / "home" / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("found = 'start-up'\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)  # a uv.toml of another test's wheels
    project.spec(
        '[project]\nname = "p"\n[run]\ncommand = ["ipython", "train.py"]\n[environment]\npackages = ["ipython"]\n'
    )
    project.script('print(get_ipython().user_ns.get("found"))\n')
    said = cli("lock")
    assert said.code == 0, said.err
    said = cli("run")
    assert (said.code, said.out) == (0, "None\n"), said.err


def test_the_current_interpreter_runs_while_it_does_not_drift(project: Project, house: Path, cli) -> None:
    wheel(house, "click", version("click")), wheel(house, "rich", version("rich"))
    locked(project, cli, "click", "rich", more="isolated = false\n")
    project.script("import sys; print(sys.executable)")
    said = cli("run")
    assert (said.code, said.out) == (0, f"{sys.executable}\n")
    assert not project.record.environment.isolated
    assert not (cache() / "envs").exists()
    wheel(house, "click", "0.1"), wheel(house, "unheard-of".replace("-", "_"))
    project.edit('"click", "rich"', '"click==0.1", "rich", "unheard-of"')
    cli("lock")
    fails(
        cli("run"),
        4,
        "error: the current interpreter differs from repro.lock in 2 packages\n"
        "  package     locked  found\n"
        f"  click       0.1     {version('click')}\n"
        "  unheard-of  1.0     -\n"
        "hint: install what is locked (`reprolock env --export requirements` writes it for pip), or leave out environment.isolated = false\n",
    )


# `env`


def test_env_shows_the_environment_and_how_this_interpreter_differs(project: Project, house: Path, cli) -> None:
    wheel(house, "tool"), wheel(house, "click", version("click"))
    locked(project, cli, "tool", "click")
    seal = read_lock(project.root).environment.seal[:8]
    before = cli("env").out.splitlines()
    assert before[:2] == [
        f"Locked   2 packages for Python {PYTHON}, seal {seal}",
        "Path     not built here yet; the first run builds it",
    ]
    cli("run", "-q")
    assert cli("env").out.splitlines() == [
        before[0], f"Path     {environment()}", "The current interpreter differs in 1 package:", "  tool  locked 1.0  here -",
    ]  # fmt: skip
    document = json.loads(cli("env", "--json").out)
    assert (document["path"], document["packages"]) == (str(environment()), {"click": version("click"), "tool": "1.0"})


def test_env_exports_what_other_tools_install_from(project: Project, house: Path, cli, tmp_path: Path) -> None:
    wheel(house, "tool", needs=["other"]), wheel(house, "other")
    locked(project, cli, "tool")
    said = cli("env", "--export", "requirements")
    assert re.fullmatch(r"(?:(?:other|tool)==1\.0 \\\n    --hash=sha256:[0-9a-f]{64}\n){2}", said.out)
    (tmp_path / "r.txt").write_text(said.out)
    subprocess.run(
        [Path(sys.executable).with_name("uv"), "pip", "install", "-q", "--require-hashes", "--no-index", "--find-links", house, "-r",
         tmp_path / "r.txt", "--target", tmp_path / "target"],
        check=True,
    )  # fmt: skip
    assert (tmp_path / "target" / "tool.py").exists()
    said = cli("env", "--export", "pylock")
    assert 'name = "tool"' in said.out and "://" not in said.out


def test_env_without_packages(project: Project, cli) -> None:
    cli("lock")
    fails(
        cli("env"),
        2,
        'error: repro.toml locks no Python packages\nhint: declare them: packages = ["pandas<3"] under [environment]\n',
    )


# MLflow of another version


def test_an_mlflow_that_cannot_open_the_file_is_refused_before_the_run(
    project: Project, house: Path, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    for name in ("UV_CACHE_DIR",):  # real packages of some size: fetched once, not by every run of this test
        monkeypatch.setenv(name, environ(house.parent).get(name) or str(Path.home() / ".cache" / "uv"))
    locked(project, cli, "mlflow-skinny==2.9.2", "sqlalchemy", "alembic")
    said = cli("run")
    pattern = (
        rf"error: the locked environment's MLflow 2\.9\.2 cannot open {project.root}/mlflow\.db \(the default of mlflow\.tracking_uri\): "
        rf"it wants schema acf3f17fdcc7, and the file has [0-9a-f]{{12}}\n"
        rf"hint: lock MLflow {re.escape(version('mlflow'))}, or start "
        rf"`mlflow server --backend-store-uri {project.database}` and name its address instead\n"
    )
    assert re.fullmatch(rf"(?:.+\n)*?{pattern}", said.err)
    assert said.code == cli("run", "--dry-run").code == cli("run", "--offline").code == 4
    assert project.all_stored() == []
    project.edit('"mlflow-skinny==2.9.2", "sqlalchemy", "alembic"', f'"mlflow-skinny=={version("mlflow")}"')
    assert cli("lock").code == 0
    assert (
        f"error: the locked environment's MLflow {version('mlflow')} cannot open {project.root}/mlflow.db "
        "(the default of mlflow.tracking_uri): it has no sqlalchemy and no alembic\n"
        "hint: lock sqlalchemy and alembic too, or start "
    ) in cli("run", "--dry-run").err
    project.edit(
        f'"mlflow-skinny=={version("mlflow")}"', f'"mlflow-skinny=={version("mlflow")}", "sqlalchemy", "alembic"'
    )
    assert cli("lock").code == cli("run", "--dry-run").code == 0
    the_driver_of_a_database_is_asked_for(project, cli, monkeypatch)


def the_driver_of_a_database_is_asked_for(project: Project, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an environment that has SQLAlchemy 2.1, and then 2.0, whose own driver for PostgreSQL is another one."""

    def refused(scheme: str, module: str, package: str) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://ann:sekret@127.0.0.1:1/runs")
        fails(
            cli("run", "-q"),
            4,
            f"error: the locked environment's MLflow {version('mlflow')} cannot open {scheme}://127.0.0.1:1/runs "
            f"(MLFLOW_TRACKING_URI): it has no {module}\n"
            f"hint: lock {package} too, or start `mlflow server --backend-store-uri {scheme}://127.0.0.1:1/runs` and name its address instead\n",
        )
        assert cli("run", "--dry-run").code == 4
        assert f"{scheme}://127.0.0.1:1/runs (MLFLOW_TRACKING_URI): it has no {module}" in cli("doctor").out

    refused("postgresql", "psycopg", "psycopg[binary]")
    refused("mysql+pymysql", "pymysql", "pymysql")
    project.edit('"sqlalchemy"', '"sqlalchemy<2.1", "psycopg", "pymysql"')
    assert cli("lock").code == 0
    refused("postgresql", "psycopg2", "psycopg2-binary")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mysql+pymysql://127.0.0.1:1/runs")
    assert cli("run", "--dry-run").code == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://127.0.0.1:1/runs")
    assert cli("run", "--offline").code == 0  # a file is what it logs to


def test_an_offline_run_without_mlflow_makes_no_database(project: Project, house: Path, cli) -> None:
    wheel(house, "tool")
    locked(project, cli, "tool")
    assert cli("run", "-q").code == 0  # builds the environment
    assert cli("run", "-q", "--offline").code == 0
    assert not (project.root / ".reprolock/offline").exists()
    assert cli("sync").code == 0
    stored, _ = project.all_stored()
    assert stored.data.tags["reprolock.run_id"] == project.record.run_id
