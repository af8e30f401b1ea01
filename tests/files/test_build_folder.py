"""Folders to build in: one's own is empty and goes, a killed process's is removed, a living one's stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import reprolock.errors
from reprolock.files.build_folder import scratch

ROOT = Path(reprolock.errors.__file__).parents[1]
HOLD = """
import sys, time
from pathlib import Path
from reprolock.files.build_folder import scratch
with scratch(Path(sys.argv[1]), "out") as made:
    (made / "half").touch()
    print(made.name, flush=True)
    time.sleep(600)
"""


def holder(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_it_is_empty_and_goes(tmp_path: Path) -> None:
    with scratch(tmp_path / "new" / "folder", "out") as made:
        assert made.parent == tmp_path / "new" / "folder"
        assert list(made.iterdir()) == []
        (made / "file").touch()
    assert list(made.parent.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    process, name = holder(tmp_path)
    try:
        with scratch(tmp_path, "out") as mine:
            assert sorted(os.listdir(tmp_path)) == sorted([name, mine.name])
        process.send_signal(signal.SIGKILL)
        process.wait()
        (tmp_path / ".output.abcd.reprolock-tmp").mkdir()  # somebody else's, of another name
        with scratch(tmp_path, "out"):
            assert not (tmp_path / name).exists()
    finally:
        process.kill()
        process.communicate()
    assert os.listdir(tmp_path) == [".output.abcd.reprolock-tmp"]


def test_names_as_long_as_may_be_and_with_signs_of_patterns(tmp_path: Path) -> None:
    for name in ("日" * 85, "[a-z]*"):
        with scratch(tmp_path, name) as made:
            left = made.with_name(made.name.replace("reprolock-tmp", "x.reprolock-tmp"))
            left.mkdir()
        with scratch(tmp_path, name):
            assert not left.exists()


def test_many_at_once(tmp_path: Path) -> None:
    """Making, locking and clearing away meet one another all the time."""
    loop = HOLD[: HOLD.index("with")] + (
        "end = time.monotonic() + 2\n"
        "while time.monotonic() < end:\n"
        "    with scratch(Path(sys.argv[1]), 'out') as made:\n"
        "        (made / 'file').write_text('mine')\n"
        "        assert (made / 'file').read_text() == 'mine'\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", loop, str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in processes:
        assert process.communicate(timeout=60)[1] == b""
    assert list(tmp_path.iterdir()) == []
