"""`cache` and `env --prune` as a person sees them: what is kept on this machine for all projects, and its removal."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from project import Project
from wheelhouse import wheel

from reprolock.environment.python.installed.manifest import MANIFEST


@pytest.fixture
def filled(project: Project, house: Path, cli) -> Project:
    """A project that has run once: two objects of 1,000 and 8 bytes, an environment, no jars."""
    wheel(house, "tool")
    project.commit("train/b.csv", b"x" * 1000)
    project.add('[environment]\npackages = ["tool"]\n')
    assert cli("lock").code == cli("run", "-q").code == 0
    return project


def cache() -> Path:
    return Path(os.environ["REPROLOCK_CACHE_DIR"])


def parts(cli) -> dict[str, dict[str, int]]:
    return json.loads(cli("cache", "--json").out)["parts"]


def age(seconds: float) -> None:
    """Let every cached object have been used that long ago."""
    for path in (cache() / "objects" / "objects").rglob("*"):
        if path.is_file():
            os.utime(path, ns=(int((time.time() - seconds) * 1e9), path.stat().st_mtime_ns))


def test_where_it_is_and_what_is_in_it(filled: Project, cli) -> None:
    said = cli("cache")
    folder, objects, jars, envs = said.out.splitlines()
    assert (said.code, said.err, folder) == (0, "", str(cache()))
    assert objects.split() == ["objects", *objects.split()[1:]] and objects.split()[2] == "files"
    assert jars.split() == ["jars", "0", "files", "0", "B"]
    assert envs.split()[0] == "envs"
    found = parts(cli)
    assert found["objects"]["files"] >= 2 and found["objects"]["bytes"] >= 1008
    assert found["envs"]["files"] > 5


def test_an_empty_cache(project: Project, house: Path, cli) -> None:
    assert parts(cli) == {name: {"files": 0, "bytes": 0} for name in ("objects", "jars", "envs")}
    assert cli("cache", "--trim").out == "Removed 0 objects, 0 B\n"
    assert cli("env", "--prune").out == "Removed 0 environments, 0 B\n"
    assert not cache().exists()


def test_all_of_it_is_trimmed_and_fetched_again(filled: Project, cli) -> None:
    before = parts(cli)["objects"]
    said = cli("cache", "--trim")
    assert said.out.startswith(f"Removed {before['files']} objects, ")
    assert parts(cli)["objects"] == {"files": 0, "bytes": 0}
    tree = next((filled.root / ".reprolock" / "data").rglob("b.csv"))
    assert tree.read_bytes() == b"x" * 1000  # a run's tree keeps its bytes
    assert cli("run", "-q").code == 0


def test_what_was_not_used_for_so_long_is_trimmed(filled: Project, cli) -> None:
    assert cli("cache", "--trim", "--older-than", "1").out == "Removed 0 objects, 0 B\n"
    age(2 * 86400)
    before = parts(cli)["objects"]["files"]
    assert cli("cache", "--trim", "--older-than", "3").out == "Removed 0 objects, 0 B\n"
    assert cli("cache", "--trim", "--older-than", "1", "--json").out.startswith(f'{{\n  "objects": {before},')
    assert parts(cli)["objects"]["files"] == 0


def test_a_size_to_keep(filled: Project, cli) -> None:
    before = parts(cli)["objects"]
    assert cli("cache", "--trim", "--max-size", "1GB").out == "Removed 0 objects, 0 B\n"
    assert cli("cache", "--trim", "--max-size", f"{before['bytes'] - 1}").code == 0
    after = parts(cli)["objects"]
    assert after["files"] < before["files"] and after["bytes"] < before["bytes"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--trim", "--max-size", "much"), '"much" is not a size; write "500MB" or "2GB"'),
        (
            ("--max-size", "1GB"),
            "--max-size has no effect without --trim\nhint: add --trim",
        ),
        (
            ("--older-than", "3"),
            "--older-than has no effect without --trim\nhint: add --trim",
        ),
    ],
)
def test_options_that_cannot_be_meant(project: Project, cli, options: tuple[str, ...], message: str) -> None:
    said = cli("cache", *options)
    assert message in said.err
    assert said.code == 2


def test_a_folder_that_is_a_file(project: Project, house: Path, cli) -> None:
    cache().write_text("")
    said = cli("cache")
    assert (
        said.err
        == f"error: {cache()}/objects cannot be read: not a directory\nhint: look at {cache()}/objects and try again\n"
    )
    assert said.code == 8


# Environments


def test_environments_that_were_not_used_are_pruned(filled: Project, cli) -> None:
    [folder] = (cache() / "envs").glob("[0-9a-f]*")
    assert cli("env", "--prune").out == "Removed 0 environments, 0 B\n"
    month = time.time() - 31 * 86400
    os.utime(folder / MANIFEST, (month, month))
    assert cli("env", "--prune", "--days", "40").out == "Removed 0 environments, 0 B\n"
    said = cli("env", "--prune", "--json")
    assert json.loads(said.out)["removed"] == [str(folder)]
    assert not folder.exists()
    assert cli("run", "-q").code == 0
    assert folder.exists()


def test_a_run_counts_as_use(filled: Project, cli) -> None:
    [folder] = (cache() / "envs").glob("[0-9a-f]*")
    os.utime(folder / MANIFEST, (0, 0))
    assert cli("run", "-q").code == 0
    assert cli("env", "--prune").out == "Removed 0 environments, 0 B\n"


def test_prune_and_export_are_two_things(filled: Project, cli) -> None:
    said = cli("env", "--prune", "--export", "requirements")
    assert (said.code, said.err) == (2, "error: --prune and --export cannot be used together\nhint: use one of them\n")
