"""Each invalid repro.toml under assets/specs gives exactly the text beside it, and exit code 2."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ASSETS = Path(__file__).parents[1] / "assets" / "specs"


@pytest.mark.parametrize("invalid", sorted(ASSETS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_problem_is_named_at_once(invalid: Path, tmp_path: Path, cli) -> None:
    shutil.copy(invalid, tmp_path / "repro.toml")
    said = cli("lock", "--check")
    assert said.err == invalid.with_suffix(".txt").read_text()
    assert (said.code, said.out) == (2, "")


def test_no_spec(tmp_path: Path, cli) -> None:
    said = cli("lock")
    assert said.err == (
        f"error: no repro.toml in {tmp_path}\nhint: run `reprolock init`, or name the project's folder with -C\n"
    )
    assert said.code == 2


def test_no_spec_below_a_project(tmp_path: Path, cli) -> None:
    for folder in (tmp_path, tmp_path / "my project"):
        (folder / "src" / "deep").mkdir(parents=True)
        (folder / "repro.toml").write_text("")
    for project, shown in ((tmp_path, str(tmp_path)), (tmp_path / "my project", f"'{tmp_path}/my project'")):
        folder = project / "src" / "deep"
        assert cli("lock", root=folder) == (
            2,
            "",
            f"error: no repro.toml in {folder}\nhint: name the project's folder: `reprolock -C {shown}`\n",
        )


def test_not_utf_8(tmp_path: Path, cli) -> None:
    (tmp_path / "repro.toml").write_bytes(b'[project]\nname = "\xff"\n')
    said = cli("lock")
    assert said.err == "error: repro.toml is not UTF-8: byte 18\nhint: save it as UTF-8\n"
    assert said.code == 2


def test_what_to_write_for_a_path_that_is_not_relative(tmp_path: Path, cli) -> None:
    given = [f"{tmp_path}/src/t.py", "/home/ann/t.py", "C:\\\\src\\\\t.py", "src\\\\t.py", str(tmp_path), "./"]
    code = ", ".join(f'"{path}"' for path in given)
    (tmp_path / "repro.toml").write_text(f'[project]\nname = "p"\n[run]\ncommand = ["true"]\ncode = [{code}]\n')
    below = "write it relative to repro.toml, below whose folder it has to be, such as"
    assert cli("lock", "--check").err.splitlines()[1:-1] == [
        f'  repro.toml:5: run.code[0]: "{tmp_path}/src/t.py" starts with "/"; write "src/t.py", for it is relative to repro.toml',
        f'  repro.toml:5: run.code[1]: "/home/ann/t.py" starts with "/"; {below} "t.py"',
        f'  repro.toml:5: run.code[2]: "C:\\src\\t.py" starts with "C:"; {below} "t.py"',
        '  repro.toml:5: run.code[3]: "src\\t.py" contains "\\"; write "/" between a folder and what is in it',
        f'  repro.toml:5: run.code[4]: "{tmp_path}" is the project\'s whole folder; name files or folders in it',
        '  repro.toml:5: run.code[5]: "./" is the project\'s whole folder; name files or folders in it',
    ]
    (tmp_path / "t.py").write_text("")
    (tmp_path / "repro.toml").write_text('[project]\nname = "p"\n[run]\ncommand = ["true"]\ncode = ["./t.py"]\n')
    assert cli("lock").code == 0
