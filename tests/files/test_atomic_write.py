"""A file is the old bytes or the new ones: with a full disk, a kill in the middle, a second writer."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import reprolock.errors
from reprolock.errors import MachineError
from reprolock.files.atomic_write import guard, own_folder, write_whole

ROOT = Path(reprolock.errors.__file__).parents[1]

WRITE = """
import resource, sys
from pathlib import Path
from reprolock.errors import MachineError
from reprolock.files.atomic_write import write_whole
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    write_whole(Path(sys.argv[1]), b"n" * 1_000_000)
except MachineError as error:
    print(error.message, error.hint, error.exit_code, sep="\\n")
"""

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from reprolock.files.atomic_write import write_whole
while True:
    for letter in (b"a", b"b"):
        write_whole(Path(sys.argv[1]), letter * 300_000)
        print(flush=True)
"""


def python(code: str, *arguments: object) -> list[str]:
    """An argv for a Python of its own; the caller's folder is the project's, so that `reprolock` is found."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_with_its_bytes_and_nothing_beside_it(tmp_path: Path) -> None:
    old_umask = os.umask(0o022)
    try:
        write_whole(tmp_path / "repro.lock", b"one")
        write_whole(tmp_path / "repro.lock", b"two")
        write_whole(tmp_path / "keys", b"three", mode=0o600)
    finally:
        os.umask(old_umask)
    assert (tmp_path / "repro.lock").read_bytes() == b"two"
    assert (tmp_path / "repro.lock").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["keys", "repro.lock"]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_what_a_killed_writer_left_is_cleared_after_an_hour(tmp_path: Path) -> None:
    old, young, other = (
        tmp_path / name
        for name in (".repro.lock.00.reprolock-tmp", ".repro.lock.01.reprolock-tmp", ".other.00.reprolock-tmp")
    )
    for path in (old, young, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (time.time() - 4000, time.time() - 4000))
    write_whole(tmp_path / "repro.lock", b"whole")
    assert names(tmp_path) == [other.name, young.name, "repro.lock"]


def test_too_large_a_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "repro.lock"
    path.write_bytes(b"old")
    done = subprocess.run(python(WRITE, path, "limit"), cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"{path} cannot be written: it is larger than files may be here",
        "raise the limit (`ulimit -f`) and try again",
        "8",
    ]
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["repro.lock"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=200k none "$1" && cd "$1" && printf old > repro.lock && cd "$2" && "$3" -c "$4" "$1/repro.lock" - '
    script += '&& cat "$1/repro.lock" && ls -A "$1"'
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", tmp_path, ROOT, sys.executable, WRITE]
    try:
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no `unshare`: a small disk cannot be mounted here")
    if done.returncode and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    assert done.stdout == (
        f"{tmp_path}/repro.lock cannot be written: the disk is full\n"
        f"free space on the disk that holds {tmp_path} and try again\n8\noldrepro.lock\n"
    )


def test_a_folder_that_is_not_there_and_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as gone:
        write_whole(tmp_path / "no" / "file", b"")
    assert gone.value.message == f"{tmp_path}/no/file cannot be written: there is no folder {tmp_path}/no"
    assert gone.value.hint == f"make it (`mkdir -p {tmp_path}/no`) and try again"
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(MachineError) as taken:
        write_whole(tmp_path / "taken", b"")
    assert taken.value.message == f"{tmp_path}/taken cannot be written: another file or folder has its name"
    assert names(tmp_path) == ["taken"]


def test_kill_9_in_the_middle_leaves_one_or_the_other(tmp_path: Path) -> None:
    path = tmp_path / "repro.lock"
    chance = random.Random(7)
    for _ in range(8):
        writer = subprocess.Popen(python(WRITE_FOR_EVER, path), cwd=ROOT, stdout=subprocess.PIPE)
        assert writer.stdout
        for _ in range(chance.randrange(1, 8)):
            writer.stdout.readline()
        time.sleep(chance.random() / 100)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert path.read_bytes() in (b"a" * 300_000, b"b" * 300_000)


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "repro.lock"
    contents = [bytes([65 + index]) * 200_000 for index in range(6)]
    threads = [threading.Thread(target=write_whole, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert names(tmp_path) == ["repro.lock"]


HOLD = """
import sys, time
from pathlib import Path
from reprolock.files.atomic_write import guard
with guard(Path(sys.argv[1]), "writing repro.lock"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_waits_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / "repro.lock"
    holder = subprocess.Popen(python(HOLD, path), cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        with pytest.raises(MachineError) as error, guard(path, "writing repro.lock", seconds=0.2):
            raise AssertionError("the guard was given to two")
        assert error.value.message == "another reprolock is writing repro.lock"
        assert error.value.hint == "wait until it has finished and try again"
        assert error.value.exit_code == 8
        holder.kill()  # a guard does not outlive its holder
        with guard(path, "writing repro.lock", seconds=5):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_the_own_folder_hides_itself_from_git(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    folder = own_folder(tmp_path)
    (folder / "something").touch()
    assert own_folder(tmp_path) == tmp_path / ".reprolock"
    seen = subprocess.run(["git", "status", "--porcelain", "-uall"], cwd=tmp_path, capture_output=True, text=True)
    assert seen.stdout == ""


def test_a_pipe_is_written_into_and_stays_one(tmp_path: Path) -> None:
    """`--html /dev/null` as root would else make a file of the device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, b"text")
    assert os.read(reader, 10) == b"text"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reader)
