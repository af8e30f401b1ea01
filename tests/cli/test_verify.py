"""`verify` as a person sees it: pins that hold, pins that do not, and what cannot be told."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pygit2
import pytest
from command_line import Said
from maven_folder import Layout
from project import Project
from wheelhouse import PYTHON, wheel

from reprolock.files.lock_file import read_lock, write_lock
from reprolock.files.secrets import Scanner
from reprolock.model.lock import EnvironmentPin

UPGRADE = "hint: restore what is pinned; `reprolock lock --upgrade` pins what is there now\n"


@pytest.fixture
def locked(project: Project, cli) -> Project:
    """A project whose dataset of two objects is pinned."""
    project.commit("train/b.csv", b"x,y\n3,4\n")
    assert cli("lock").code == 0
    return project


def commit(project: Project) -> str:
    return read_lock(project.root).dataset[0].commit


def loose(project: Project, data: bytes) -> Path:
    """The file that holds an object of the embedded lake."""
    name = str(pygit2.hash(data))
    return project.root / "lake" / "example-repo.git" / "objects" / name[:2] / name[2:]


def overwrite(file: Path, data: bytes) -> None:
    """Other bytes in a new file: other places may share the old one's."""
    file.unlink()
    file.write_bytes(data)


def failed(said: Said, message: str, hint: str = UPGRADE) -> None:
    assert said.err == f"error: {message}\n{hint}"
    assert said.code == 4


# Data


def test_what_is_pinned_is_there(locked: Project, cli) -> None:
    at = commit(locked)[:12]
    assert cli("verify") == (0, f"dataset  train  ok  listing of 2 at {at}\n", "")
    assert cli("verify", "--deep") == (0, f"dataset  train  ok  read 2 at {at}\n", "")
    assert json.loads(cli("verify", "--deep", "--json").out) == {
        "deep": True,
        "pins": [
            {
                "kind": "dataset",
                "name": "train",
                "state": "ok",
                "detail": f"read 2 at {at}",
                "unverifiable": 0,
                "hint": None,
                "fails": False,
            }
        ],
    }


def test_a_damaged_object_is_found_by_reading_it(locked: Project, cli) -> None:
    shutil.copy(loose(locked, b"x,y\n3,4\n"), file := loose(locked, b"x,y\n1,2\n").with_suffix(".new"))
    file.replace(loose(locked, b"x,y\n1,2\n"))
    assert cli("verify").code == 0  # its name and size are as listed
    damaged = f"lakefs://example-repo/{commit(locked)}/train/a.csv is damaged: its bytes do not have the checksum that the commit names"
    said = cli("verify", "--deep")
    assert said.out == f"dataset  train  changed  {damaged}\n"
    failed(said, f"dataset train: {damaged}")


def test_every_damaged_object_is_counted(locked: Project, cli) -> None:
    for data in (b"x,y\n1,2\n", b"x,y\n3,4\n"):
        file = loose(locked, data)
        overwrite(file, file.read_bytes()[:-4])
    said = cli("verify", "--deep")
    assert said.out.endswith(
        "train/a.csv is damaged: its bytes do not have the checksum that the commit names, and 1 more\n"
    )
    assert said.code == 4


def test_an_object_that_is_gone(locked: Project, cli) -> None:
    loose(locked, b"x,y\n3,4\n").unlink()
    gone = f"lakefs://example-repo/{commit(locked)}/train/b.csv is gone: the commit names it, but the lake no longer has its bytes"
    for options in ((), ("--deep",)):
        said = cli("verify", *options)
        assert said.out == f"dataset  train  gone  {gone}\n"
        failed(said, f"dataset train: {gone}")


def test_a_commit_that_is_gone(locked: Project, cli) -> None:
    """The branch was made again in a lake that was made again."""
    old = commit(locked)
    shutil.rmtree(locked.root / "lake")
    failed(cli("verify"), "dataset train: the lake file:lake is not there yet")
    locked.lake.create_repository("example-repo")
    locked.commit("train/a.csv", b"other\n")
    failed(cli("verify"), f'dataset train: no branch, tag or commit "{old}" in the repository "example-repo"')


def test_each_pin_has_its_own_line(locked: Project, cli) -> None:
    locked.commit("other/c.csv", b"z\n1\n")
    locked.add('[datasets.other]\nuri = "lakefs://example-repo/main/other/"\nformat = "csv"\n')
    cli("lock")
    loose(locked, b"x,y\n1,2\n").unlink()
    rows = cli("verify").out.splitlines()
    assert rows[0] == f"dataset  other  ok    listing of 1 at {read_lock(locked.root).dataset[0].commit[:12]}"
    assert rows[1].startswith("dataset  train  gone  ")


def test_without_a_lock_and_with_one_that_was_edited(project: Project, cli) -> None:
    missing = "error: no repro.lock beside repro.toml\nhint: run `reprolock lock` and commit repro.lock\n"
    assert cli("verify") == (3, "", missing)
    cli("lock")
    project.edit("objects = 1", "objects = 2", "repro.lock")
    edited = "error: repro.lock was edited by hand: the seal of train is broken\nhint: run `reprolock lock` and commit repro.lock\n"
    assert cli("verify") == (3, "", edited)


# Packages


@pytest.fixture
def packed(project: Project, house: Path, cli) -> Project:
    """A project with a locked environment of two packages."""
    wheel(house, "tool", needs=["other"]), wheel(house, "other")
    project.add('[environment]\npackages = ["tool"]\n')
    assert cli("lock").code == 0
    return project


def environment_row(said: Said) -> list[str]:
    [row] = [line for line in said.out.splitlines() if line.startswith("environment")]
    return row.split(maxsplit=3)


def environment() -> Path:
    [folder] = (Path(os.environ["REPROLOCK_CACHE_DIR"]) / "envs").glob("[0-9a-f]*")
    return folder


def test_wheels_are_tried_before_there_is_an_environment(packed: Project, cli) -> None:
    said = cli("verify")
    assert said.out.splitlines()[1] == f"environment  {environment().name}  ok  2 packages as built"
    assert said.code == 0


def test_wheels_that_are_not_on_this_machine_are_no_problem(
    project: Project, house: Path, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an index that is asked over the network, as most are."""
    monkeypatch.delenv("XDG_CONFIG_HOME")
    project.add('[environment]\npackages = ["six==1.17.0"]\n')
    assert cli("lock").code == 0
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    said = cli("verify")
    assert said.out.splitlines()[1] == "environment  of 1 package  absent  not on this machine; a run builds it"
    assert said.code == 0


def test_a_wheel_that_is_gone(packed: Project, house: Path, cli) -> None:
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    (house / "tool-1.0-py3-none-any.whl").unlink()
    said = cli("verify")
    gone = "tool 1.0 is gone: the index that uv asks does not have it"
    assert said.out.splitlines()[1] == f"environment  of 2 packages  gone  {gone}"
    failed(
        said,
        f"environment of 2 packages: {gone}",
        "hint: name the index that has it in UV_INDEX; `reprolock lock --upgrade-package tool` pins another version\n",
    )


def test_a_wheel_that_is_not_the_pinned_one(packed: Project, house: Path, cli) -> None:
    shutil.rmtree(os.environ["UV_CACHE_DIR"])
    wheel(house, "tool", needs=["other"], text="x = 2\n")
    said = cli("verify")
    changed = "tool 1.0 has changed: the index gives a file whose SHA-256 repro.lock does not pin"
    assert said.out.splitlines()[1] == f"environment  of 2 packages  changed  {changed}"
    failed(
        said,
        f"environment of 2 packages: {changed}",
        "hint: find out why; if the new file is good, run `reprolock lock --upgrade-package tool`\n",
    )


def test_an_environment_that_was_edited_and_the_hint(packed: Project, cli) -> None:
    assert environment_row(cli("verify"))[2] == "ok"
    folder = environment()
    [module] = folder.glob("lib/*/site-packages/tool.py")
    overwrite(module, b"x = 2\n")
    edited = f"{module.relative_to(folder)} was edited (package tool)"
    said = cli("verify")
    assert environment_row(said) == ["environment", folder.name, "changed", edited]
    failed(
        said,
        f"environment {folder.name}: {edited}",
        "hint: the next run builds it again; `reprolock env --prune` removes it\n",
    )
    assert cli("env", "--prune").code == 0
    assert environment_row(cli("verify"))[2] == "ok"


def test_an_edit_that_keeps_size_and_time_is_found_by_its_bytes(packed: Project, cli) -> None:
    cli("verify")
    [module] = environment().glob("lib/*/site-packages/tool.py")
    times = module.stat()
    overwrite(module, b"x = 2\n")
    os.utime(module, ns=(times.st_atime_ns, times.st_mtime_ns))
    said = cli("verify")
    assert environment_row(said)[3] == f"{module.relative_to(environment())} was edited (package tool)"
    assert said.code == 4


def test_a_file_that_was_edited_in_uvs_cache_is_not_what_is_built(packed: Project, cli) -> None:
    cli("verify")
    [module] = environment().glob("lib/*/site-packages/tool.py")
    if module.stat().st_nlink == 1:
        pytest.skip("this file system does not link files between uv's cache and environments")
    with module.open("a") as file:
        file.write("y = 2\n")
    cli("env", "--prune")
    assert environment_row(cli("verify"))[2] == "ok"
    assert module.read_bytes().count(b"y = 2") == 0


def test_this_interpreter_where_it_is_the_environment(packed: Project, cli) -> None:
    packed.add("isolated = false\n")
    said = cli("verify")
    assert environment_row(said) == [
        "environment",
        "of",
        "this",
        "interpreter  changed  other is not installed, locked 1.0, and 1 more",
    ]
    failed(
        said,
        "environment of this interpreter: other is not installed, locked 1.0, and 1 more",
        "hint: install what is locked (`reprolock env --export requirements` writes it for pip), or leave out environment.isolated = false\n",
    )


# Jars and Java


@pytest.fixture
def jars(project: Project, house: Path, cli, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with two pinned jars."""
    layout = Layout(house.parent / "maven")
    layout.add("org.acme:app:1.0", "org.acme:base:1.0"), layout.add("org.acme:base:1.0")
    monkeypatch.setenv("REPROLOCK_MAVEN_REPOSITORY", layout.folder.as_uri() + "/")
    project.add('[spark]\npackages = ["org.acme:app:1.0"]\n')
    said = cli("lock")
    assert said.code == 0, said.err
    return project


def test_jars_by_their_bytes(jars: Project, cli) -> None:
    assert cli("verify").out.splitlines()[1] == "jar      3 of 3  ok  SHA-256 as pinned"
    store = Path(os.environ["REPROLOCK_CACHE_DIR"]) / "jars"
    [app] = store.rglob("org.acme_app-1.0.jar")
    old = app.stat()
    overwrite(app, bytes(reversed(app.read_bytes())))
    os.utime(app, ns=(old.st_atime_ns, old.st_mtime_ns))  # `run` goes by size and time
    said = cli("verify")
    pinned = read_lock(jars.root).jars.jar[1].sha256[:12]
    rows = said.out.splitlines()
    assert rows[1].startswith(f"jar      org.acme:app:1.0  changed  {app} has SHA-256 ")
    assert rows[1].endswith(f", pinned {pinned}")
    assert rows[2] == "jar      2 of 3            ok       SHA-256 as pinned"
    assert said.err.endswith(f"\nhint: delete {app}; the next run downloads it again\n")
    assert said.code == 4
    app.unlink()
    said = cli("verify")
    assert (said.code, said.out.splitlines()[1]) == (0, "jar      2 of 3  ok  SHA-256 as pinned, 1 not on this machine")
    shutil.rmtree(store)
    said = cli("verify")
    assert (said.code, said.out.splitlines()[1]) == (
        0,
        "jar      0 of 3  absent  SHA-256 as pinned, 3 not on this machine",
    )


def test_a_java_that_is_not_here_is_no_problem(project: Project, house: Path, cli) -> None:
    """Nothing that is pinned is lost by it; a run refuses it."""
    wheel(house, "tool")
    project.add('[environment]\npackages = ["tool"]\n')
    cli("lock")
    old = read_lock(project.root)
    pin = EnvironmentPin.sealed(requirements=("tool",), python=PYTHON, java="99", package=old.environment.package)
    write_lock(project.root, old.model_copy(update={"environment": pin}), Scanner({}))
    said = cli("verify")
    assert said.out.splitlines()[2].startswith("java         99")
    assert "  absent  Java " in said.out and "and repro.lock pins Java 99\n" in said.out
    assert said.code == 0
