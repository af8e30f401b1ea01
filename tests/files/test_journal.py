"""A run whose reprolock was killed is found, by one command only; a living one is left alone."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import reprolock.errors
from reprolock.files.atomic_write import own_folder
from reprolock.files.journal import Journal, find_abandoned

ROOT = Path(reprolock.errors.__file__).parents[1]
STARTED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

RUN = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from reprolock.files.journal import Journal
journal = Journal.open(Path(sys.argv[1]), sys.argv[2], "sqlite:///mlflow.db", datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
print("open", flush=True)
time.sleep(60)
"""

CLAIM = """
import sys, time
from pathlib import Path
from reprolock.files.journal import find_abandoned
found = find_abandoned(Path(sys.argv[1]))
print(len(found), flush=True)
sys.stdin.read()
for journal in found:
    journal.close()
"""


def killed(project: Path, run_id: str) -> int:
    """A process that opened a run and was killed in the middle; its ID."""
    process = subprocess.Popen([sys.executable, "-c", RUN, project, run_id], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"open\n"
    assert find_abandoned(project) == []  # while it lives
    process.kill()
    process.communicate()
    return process.pid


def left(project: Path) -> list[str]:
    return sorted(path.name for path in (project / ".reprolock" / "open").iterdir())


def test_a_finished_run_leaves_nothing(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, "run1", "sqlite:///mlflow.db", STARTED)
    assert "run1.json" in left(tmp_path)
    assert find_abandoned(tmp_path) == []  # not even to the process that holds it
    journal.close()
    journal.close()
    assert left(tmp_path) == []
    assert find_abandoned(tmp_path) == []


def test_a_project_without_runs_has_none_abandoned(tmp_path: Path) -> None:
    assert find_abandoned(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_is_found_and_closed(tmp_path: Path) -> None:
    pid = killed(tmp_path, "run1")
    (journal,) = find_abandoned(tmp_path)
    assert (journal.run_id, journal.tracking, journal.started, journal.pid) == (
        "run1",
        "sqlite:///mlflow.db",
        STARTED,
        pid,
    )
    assert find_abandoned(tmp_path) == []  # it is being closed
    journal.close()
    assert find_abandoned(tmp_path) == []
    assert left(tmp_path) == []


def test_one_that_could_not_be_closed_is_found_again(tmp_path: Path) -> None:
    killed(tmp_path, "run1")
    (journal,) = find_abandoned(tmp_path)
    journal.release()
    assert [journal.run_id for journal in find_abandoned(tmp_path)] == ["run1"]


def test_of_several_commands_one_closes_it(tmp_path: Path) -> None:
    killed(tmp_path, "run1")
    claims = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, tmp_path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    counts = [int(process.stdout.readline()) for process in claims if process.stdout]
    assert sorted(counts) == [0, 0, 0, 1]
    for process in claims:
        process.communicate()
    assert left(tmp_path) == []


def test_a_command_killed_while_it_closes_a_run_leaves_it_to_the_next(tmp_path: Path) -> None:
    killed(tmp_path, "run1")
    claim = subprocess.Popen(
        [sys.executable, "-c", CLAIM, tmp_path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert claim.stdout and claim.stdout.readline() == b"1\n"
    claim.kill()
    claim.communicate()
    assert [journal.run_id for journal in find_abandoned(tmp_path)] == ["run1"]


def test_a_damaged_journal_is_in_nobodys_way(tmp_path: Path) -> None:
    folder = own_folder(tmp_path) / "open"
    folder.mkdir()
    (folder / "run1.json").write_text("{")
    (folder / "run2.json").write_text('{"run_id": 1}')
    assert find_abandoned(tmp_path) == []
    assert left(tmp_path) == []


def test_looking_costs_nothing_however_many_runs_there_were(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / ".reprolock" / "runs" / f"{number:032x}").mkdir(parents=True)
    begin = time.perf_counter()
    for _ in range(100):
        find_abandoned(tmp_path)
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize("name", ["read-only"])
def test_a_project_that_cannot_be_written_says_so(name: str, tmp_path: Path) -> None:
    (tmp_path / ".reprolock").mkdir()
    (tmp_path / ".reprolock" / ".gitignore").write_text("*\n")
    (tmp_path / ".reprolock" / "open").write_text(name)
    with pytest.raises(reprolock.errors.MachineError) as error:
        Journal.open(tmp_path, "run1", "sqlite:///mlflow.db", STARTED)
    assert error.value.message == (
        f"{tmp_path}/.reprolock/open/run1.json cannot be written: another file or folder has its name"
    )
