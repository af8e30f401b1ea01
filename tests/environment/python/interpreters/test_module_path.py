"""PYTHONPATH names the run's own folders, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from reprolock.environment.python.interpreters.module_path import refuse_other_python, refuse_unrecorded_modules
from reprolock.errors import MachineError, UsageError


def test_folders_of_the_run_are_taken(tmp_path: Path) -> None:
    work, runtime = tmp_path / "work", tmp_path / "runtime"
    for folder in (work, runtime):
        folder.mkdir()
    for path in ("", "src", "src:lib/more", ".", f"{runtime}:src", f"{work}/src", "::src", "src/../lib"):
        refuse_unrecorded_modules(path, work, [runtime])


@pytest.mark.parametrize("entry", ["/usr/lib/mine", "..", "src/../../other", "link", "link/deeper"])
def test_a_folder_outside_is_refused(tmp_path: Path, entry: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "link").symlink_to("/usr/lib")
    with pytest.raises(UsageError) as caught:
        refuse_unrecorded_modules(f"src:{entry}", work, [])
    assert (
        caught.value.message
        == f"PYTHONPATH names {entry}, which is outside of the run's code: what is imported from there is neither locked nor recorded"
    )
    assert (
        caught.value.hint
        == "declare it among environment.packages, or copy it below the project and name it relative to repro.toml"
    )


def test_a_folder_that_pythonpath_cannot_name(tmp_path: Path) -> None:
    work = tmp_path / "a:b"
    refuse_unrecorded_modules("", work, [])
    with pytest.raises(MachineError) as caught:
        refuse_unrecorded_modules("src", work, [])
    assert (caught.value.message, caught.value.hint) == (
        f'the folder {work} has ":" in its path, at which Python takes PYTHONPATH apart: it would find no module there',
        'move the project to a path without ":"',
    )


@pytest.mark.parametrize("name", ["PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX"])
def test_another_python_is_refused(name: str) -> None:
    refuse_other_python({name: "", "PYTHONPATH": "src"})
    with pytest.raises(UsageError) as caught:
        refuse_other_python({name: "/elsewhere"})
    assert (
        caught.value.message
        == f"{name} is given to the command: what Python imports from there is neither locked nor recorded"
    )
    assert caught.value.hint == "remove it from run.env and run.pass_env"
