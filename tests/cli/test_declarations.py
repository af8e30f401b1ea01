"""What declares Python packages: each change of it is seen without a network, and each is taken when the lock is made."""

from __future__ import annotations

import hashlib
import platform
import sys
from pathlib import Path

import pytest
from project import Project
from wheelhouse import PYTHON, sdist, wheel

from reprolock.files.lock_file import read_lock

LOCK = "hint: run `reprolock lock` and commit repro.lock\n"
HERE = platform.python_version()


def locked_versions(project: Project) -> dict[str, str]:
    return {item.name: item.version for item in read_lock(project.root).environment.package}


def stale(cli, sentence: str) -> None:
    """`lock --check` and `run` say so, with exit 3."""
    for command in (["lock", "--check"], ["run"]):
        said = cli(*command)
        assert (said.code, said.err) == (3, f"error: repro.lock is out of date: {sentence}\n{LOCK}")


def test_a_changed_hash_is_seen_and_held_to(project: Project, house: Path, cli) -> None:
    file = wheel(house, "tool")
    good = hashlib.sha256(file.read_bytes()).hexdigest()
    requirements = project.root / "requirements.txt"
    project.add('[environment]\nrequirements = "requirements.txt"\n')
    requirements.write_text("tool==1.0\n")
    assert cli("lock").code == 0
    requirements.write_text(f"tool==1.0 --hash=sha256:{'0' * 64}\n")
    stale(cli, "the hashes that requirements.txt gives for tool have changed")
    said = cli("lock")
    assert (said.code, said.err.splitlines()[0]) == (
        4, "error: no file of tool 1.0 on the index has a hash that the requirements file gives",
    )  # fmt: skip
    requirements.write_text(f"tool==1.0 --hash=sha256:{'0' * 64} --hash=sha256:{good}\n")
    assert cli("lock").code == 0
    assert cli("lock", "--check").code == 0
    assert cli("run", "-q").out == "hello\n"


PYPROJECT = """
[project]
name = "p"
version = "1"
requires-python = ">=3.8"
dependencies = ["tool"]
[dependency-groups]
train = ["other", { include-group = "common" }]
common = ["third"]
[tool.uv]
constraint-dependencies = ["tool<2"]
override-dependencies = ["helper==1.0"]
"""


def test_what_a_pyproject_says_of_versions_is_taken_and_each_change_is_seen(project: Project, house: Path, cli) -> None:
    wheel(house, "tool", needs=["helper>=2"]), wheel(house, "tool", "2.0")
    for name in ("helper", "other", "third"):
        wheel(house, name), wheel(house, name, "2.0")
    (project.root / "pyproject.toml").write_text(PYPROJECT)
    project.add('[environment]\npyproject = "."\ngroups = ["train"]\n')
    assert cli("lock").code == 0
    assert locked_versions(project) == {"helper": "1.0", "other": "2.0", "third": "2.0", "tool": "1.0"}
    lines = ["tool", "other", "third", "--requires-python >=3.8", "-c tool<2", "--override helper==1.0"]
    quoted = ", ".join(f'"{line}"' for line in lines)
    for old, new, index, line in (
        (">=3.8", ">=3.9", 3, "--requires-python >=3.9"),
        ("tool<2", "tool<3", 4, "-c tool<3"),
        ("helper==1.0", "helper==2.0", 5, "--override helper==2.0"),
        ('common = ["third"]', 'common = ["third<2"]', 2, "third<2"),
    ):
        (project.root / "pyproject.toml").write_text(PYPROJECT.replace(old, new))
        declared = ", ".join(f'"{line if at == index else other}"' for at, other in enumerate(lines))
        stale(cli, f"[environment] declares {declared}, pinned for {quoted}")
    assert cli("lock").code == 0
    assert locked_versions(project)["third"] == "1.0"
    assert cli("run", "-q").code == 0
    (project.root / "pyproject.toml").write_text(PYPROJECT.replace(">=3.8", f">{HERE}"))
    project.edit("[environment]\n", f'[environment]\npython = "{PYTHON}"\n')
    said = cli("lock")
    assert said.code == 2
    assert said.err.splitlines()[0].startswith(f'error: pyproject.toml: project.requires-python is ">{HERE}", and ')


def test_a_release_of_python_and_a_range(project: Project, house: Path, cli) -> None:
    wheel(house, "tool", python=f">{PYTHON}")
    project.add(f'[environment]\npython = "{PYTHON}"\npackages = ["tool"]\n')
    said = cli("lock")
    assert said.code == 2
    assert said.err.splitlines()[0] == (
        f"error: tool 1.0 needs Python >{PYTHON}, and Python {PYTHON} stands for every release of it, {PYTHON}.0 included"
    )
    assert "requires-python" not in said.err and "tool.uv" not in said.err
    project.edit(f'python = "{PYTHON}"', f'python = "{HERE}"')
    assert cli("lock").code == 0
    assert read_lock(project.root).environment.python == HERE
    assert cli("run", "-q").out == "hello\n"
    project.edit(f'python = "{HERE}"', f'python = ">={HERE},<3.{sys.version_info.minor + 1}"')
    assert cli("lock", "--check").code == 0  # it accepts what is pinned
    assert cli("lock", "--upgrade").code == 0
    assert read_lock(project.root).environment.python == HERE
    project.edit(f'">={HERE},', f'">{HERE},')
    stale(cli, f'environment.python is ">{HERE},<3.{sys.version_info.minor + 1}", pinned for "{HERE}"')


@pytest.mark.parametrize("python", ["3", "python3", "3.11.*", "", "3.11.7.1", ">=3.x"])
def test_what_is_no_version_of_python(project: Project, cli, python: str) -> None:
    project.add(f'[environment]\npython = "{python}"\npackages = []\n')
    said = cli("lock", "--check")
    assert said.code == 2
    assert said.err.endswith(
        f'environment.python: "{python}" is not a version of Python; write "3.11", "3.11.7" or ">=3.11,<3.13"\n'
        "hint: correct repro.toml; `reprolock schema` shows every key\n"
    )


def test_a_release_that_is_not_here(project: Project, house: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    wheel(house, "tool")
    project.add('[environment]\npython = "3.11.99"\npackages = ["tool"]\n')
    assert cli("lock").code == 0
    pinned = (
        "error: no Python 3.11.99 on this machine, which repro.lock pins\n"
        'hint: install one, for example by `uv python install "3.11.99"` or pyenv; '
        "or let environment.python take another one and run `reprolock lock --upgrade`\n"
    )
    said = cli("run")
    assert (said.code, said.err) == (8, pinned)
    project.edit('python = "3.11.99"', 'python = ">=3.11"')
    assert cli("lock").out == "repro.lock is up to date\n"  # a range accepts what is pinned
    said = cli("run")
    assert (said.code, said.err) == (8, pinned)
    assert cli("lock", "--upgrade").code == cli("run").code == 0


def test_a_range_of_which_none_is_here(project: Project, house: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    project.add('[environment]\npython = ">=3.98"\npackages = []\n')
    said = cli("lock")
    assert (said.code, said.err) == (
        8,
        "error: no Python >=3.98 on this machine, which environment.python asks for\n"
        'hint: install one, for example by `uv python install ">=3.98"` or pyenv, or change environment.python\n',
    )


def test_groups_go_with_a_pyproject(project: Project, cli) -> None:
    project.add('[environment]\npackages = []\ngroups = ["train"]\n')
    said = cli("lock", "--check")
    assert said.code == 2
    assert 'groups are read from a pyproject.toml; write pyproject = "." as well' in said.err


def test_build_code_is_named_and_can_be_forbidden(project: Project, house: Path, cli) -> None:
    wheel(house, "maker"), sdist(house, "raw", requires=["maker"])
    project.add('[environment]\npackages = ["raw"]\n')
    said = cli("lock", "--no-build")
    assert said.code == 2
    assert said.err.splitlines()[0] == "error: raw 1.0 has no wheel, and --no-build allows nothing else"
    said = cli("lock")
    assert said.code == 0
    assert "warning: build code of raw 1.0 was run on this machine; --no-build forbids that\n" in said.err


def test_a_lock_without_the_source_is_mended_by_what_is_hinted(project: Project, house: Path, cli) -> None:
    """It was made with wheels alone, of which there is none for this machine."""
    wheel(house, "maker")
    foreign = wheel(house, "raw", tag="py3-none-win_amd64")
    sdist(house, "raw", requires=["maker"])
    project.add('[environment]\npackages = ["raw"]\n')
    said = cli("lock", "--no-build")
    assert (said.code, foreign.exists()) == (0, True), said.err
    said = cli("run")
    assert (said.code, said.err) == (
        4,
        "error: raw 1.0 has changed: the index gives a file whose SHA-256 repro.lock does not pin\n"
        "hint: find out why; if the new file is good, run `reprolock lock --upgrade-package raw`\n",
    )
    assert cli("lock", "--upgrade-package", "raw").code == 0
    assert cli("run", "-q").out == "hello\n"
