"""A look at the code says what a snapshot says, and misses no change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reprolock.environment.code import look as looking
from reprolock.environment.code.look import look
from reprolock.environment.code.snapshot import snapshot
from reprolock.errors import UsageError
from reprolock.files.secrets import Scanner

LONG_AGO = 1_600_000_000_000_000_000


class Project:
    """Some files of code; how many of them a look reads."""

    def __init__(self, root: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.memory, self.read = root, memory, list[str]()
        whole = looking.read_file
        monkeypatch.setattr(looking, "read_file", lambda *given: (self.read.append(given[1]), whole(*given))[1])

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)
        os.utime(self.root / path, ns=(LONG_AGO, LONG_AGO))

    def look(self) -> list[str]:
        """What was read for a look, whose answer is a snapshot's."""
        self.read.clear()
        found, whole = look(self.root, None, (), Scanner({}), self.memory), snapshot(self.root, None)
        assert (dict(found.tree), found.digest) == (whole.tree, whole.state.digest)
        return sorted(self.read)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Read once, some while after its files were written."""
    (tmp_path / "memory").mkdir()
    made = Project(tmp_path / "project", tmp_path / "memory" / "code.json", monkeypatch)
    for path in ("a.py", "b.py", "src/c.py"):
        made.write(path, f"# {path}\n")
    subprocess.run(["git", "init", "-q", str(made.root)], check=True)
    monkeypatch.setattr(looking, "_MARGIN", -(10**18))  # as if these files were old
    assert made.look() == ["a.py", "b.py", "src/c.py"]
    return made


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no time of change is kept, and every file is read")


def test_what_did_not_change_is_not_read_again(project: Project) -> None:
    assert project.look() == []


def test_a_change_is_seen_whatever_its_size_and_its_time_of_modification(project: Project) -> None:
    project.write("a.py", "# b.py\n")
    assert os.stat(project.root / "a.py").st_mtime_ns == LONG_AGO
    assert project.look() == ["a.py"]


def test_files_that_come_go_move_and_become_executable_are_seen(project: Project) -> None:
    (project.root / "b.py").unlink()
    project.write("d.py", "")
    (project.root / "src/c.py").chmod(0o755)
    os.replace(project.root / "src/c.py", project.root / "src/e.py")
    (project.root / "link.py").symlink_to("a.py")
    assert project.look() == ["d.py", "link.py", "src/e.py"]
    assert project.look() == ["link.py"]


def test_a_file_that_was_written_a_moment_ago_is_read_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next change may leave the same times: clocks of file systems are coarse."""
    monkeypatch.undo()
    project.memory.unlink()
    look(project.root, None, (), Scanner({}), project.memory)
    assert not project.memory.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"version": 2}', '{"version": 1, "files": [], "digest": null}', "\xff"])
def test_a_damaged_memory_is_none(project: Project, text: str) -> None:
    project.memory.write_text(text, "latin-1")
    assert project.look() == ["a.py", "b.py", "src/c.py"]


def test_a_secret_is_named_in_what_is_read(project: Project) -> None:
    project.write("a.py", "key = 'AKIAIOSFODNN7EXAMPLX'\n")
    with pytest.raises(UsageError) as error:
        look(project.root, None, (), Scanner({}), project.memory)
    assert error.value.message == "a.py:1 contains a secret: an access key, a token, a private key or a signed address"
