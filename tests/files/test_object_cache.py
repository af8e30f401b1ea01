"""Bytes in, the same bytes out: damaged ones never, half ones never, whoever writes at the same time."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

import reprolock.errors
from reprolock.errors import MachineError
from reprolock.files.object_cache import STAMP, Entry, ObjectCache, Usage
from reprolock.files.object_index import Key

ROOT = Path(reprolock.errors.__file__).parents[1]
DAY = 86_400


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    return ObjectCache(tmp_path / "cache")


def add(cache: ObjectCache, data: bytes) -> Entry:
    return cache.add(io.BytesIO(data))


def stored(cache: ObjectCache, entry: Entry) -> Path:
    return cache.folder / "objects" / entry.sha256[:2] / entry.sha256[2:]


def left_over(cache: ObjectCache) -> list[Path]:
    return list((cache.folder / "partial").iterdir())


def overwrite(path: Path, data: bytes) -> None:
    """As a user would who does not mind that a file is read-only."""
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("size", [0, 1, 2**18 - 1, 2**18, 3 * 2**18 + 1])
def test_what_goes_in_comes_out_read_only(cache: ObjectCache, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    entry = add(cache, data)
    assert entry == (hashlib.sha256(data).hexdigest(), size)
    assert cache.place(entry, str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == data
    status = (tmp_path / "out").stat()
    assert stat.S_IMODE(status.st_mode) & 0o222 == 0
    assert status.st_mtime_ns == STAMP
    assert cache.read(entry.sha256) == data
    assert left_over(cache) == []


def test_a_placed_file_costs_no_further_space(cache: ObjectCache, tmp_path: Path) -> None:
    entry = add(cache, b"shared")
    assert cache.usage() == Usage(1, 6, 0)
    cache.place(entry, str(tmp_path / "out"))
    if not (tmp_path / "out").samefile(stored(cache, entry)):
        pytest.skip("this file system has reflinks: see test_linking")
    assert cache.usage() == Usage(1, 6, 6)


def test_nothing_is_overwritten(cache: ObjectCache, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        cache.place(add(cache, b"other"), str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_what_is_not_there_is_not_placed(cache: ObjectCache, tmp_path: Path) -> None:
    absent = Entry("0" * 64, 3)
    assert cache.place(absent, str(tmp_path / "out")) is False
    assert cache.holds(absent) is False
    assert cache.read(absent.sha256) is None
    assert list(tmp_path.iterdir()) == []  # looking makes no cache


def test_asking_an_empty_cache_makes_nothing(cache: ObjectCache) -> None:
    assert cache.known([Key("s", "c", 1)]) == {}
    assert cache.usage() == (0, 0, 0)
    assert cache.trim(max_bytes=0) == (0, 0, 0)
    assert not cache.folder.exists()


def test_bytes_damaged_through_a_link_are_thrown_away(cache: ObjectCache, tmp_path: Path) -> None:
    entry = add(cache, b"right")
    stored(cache, entry).chmod(0o644)
    stored(cache, entry).write_bytes(b"wrong")  # of the same length
    assert cache.place(entry, str(tmp_path / "out")) is False
    assert not stored(cache, entry).exists()
    assert not (tmp_path / "out").exists()
    add(cache, b"right")
    assert cache.place(entry, str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"right"


def test_a_shortened_object_is_thrown_away_though_its_time_is_right(cache: ObjectCache) -> None:
    entry = add(cache, b"right")
    overwrite(stored(cache, entry), b"rig")
    os.utime(stored(cache, entry), ns=(STAMP, STAMP))
    assert cache.holds(entry) is False


def test_an_object_that_was_only_touched_stays(cache: ObjectCache) -> None:
    entry = add(cache, b"right")
    overwrite(stored(cache, entry), b"right")
    assert cache.holds(entry) is True
    status = stored(cache, entry).stat()
    assert status.st_mtime_ns == STAMP
    assert stat.S_IMODE(status.st_mode) == 0o444


def test_a_small_object_is_hashed_whenever_it_is_read(cache: ObjectCache) -> None:
    entry = add(cache, b"right")
    overwrite(stored(cache, entry), b"wrong")
    os.utime(stored(cache, entry), ns=(STAMP, STAMP))
    assert cache.read(entry.sha256) is None
    assert not stored(cache, entry).exists()


def test_a_cache_that_hashes_takes_no_time_s_word(cache: ObjectCache, tmp_path: Path) -> None:
    """The same bytes damaged under their size and time: placed by the quick check, never by the one that hashes."""
    entry, whole = add(cache, b"right"), add(cache, b"whole")
    overwrite(stored(cache, entry), b"wrong")
    os.utime(stored(cache, entry), ns=(STAMP, STAMP))
    assert cache.holds(entry) is True
    hashing = ObjectCache(cache.folder, hashing=True)
    assert hashing.place(entry, str(tmp_path / "out")) is False
    assert not stored(cache, entry).exists() and not (tmp_path / "out").exists()
    assert add(hashing, b"right") == entry
    before = stored(cache, whole).stat()
    assert hashing.holds(whole) and hashing.place(entry, str(tmp_path / "out"))
    assert stored(cache, whole).stat().st_ctime_ns == before.st_ctime_ns  # nothing was stamped anew
    assert (tmp_path / "out").read_bytes() == b"right"


def test_what_a_cache_that_hashes_is_given_replaces_what_is_damaged(cache: ObjectCache) -> None:
    entry = add(cache, b"right")
    overwrite(stored(cache, entry), b"wrong")
    os.utime(stored(cache, entry), ns=(STAMP, STAMP))
    assert add(ObjectCache(cache.folder, hashing=True), b"right") == entry
    assert stored(cache, entry).read_bytes() == b"right"


class Broken(io.RawIOBase):
    """A stream that breaks after some bytes."""

    def __init__(self) -> None:
        self.left = 2

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self.left:
            raise ConnectionResetError("cut")
        self.left -= 1
        buffer[:4] = b"half"
        return 4


def test_nothing_of_a_broken_stream_is_kept(cache: ObjectCache) -> None:
    with pytest.raises(ConnectionResetError):
        cache.add(Broken())
    assert cache.usage().objects == 0
    assert left_over(cache) == []


def test_the_index_knows_what_it_learnt(cache: ObjectCache) -> None:
    keys = [Key("git-sha1-1", f"{number:040x}", number) for number in range(1200)]
    entries = [Entry(hashlib.sha256(str(key).encode()).hexdigest(), key.size) for key in keys]
    cache.learn(zip(keys[::2], entries[::2], strict=True))
    assert cache.known(keys) == dict(zip(keys[::2], entries[::2], strict=True))
    assert cache.known([Key("other", keys[0].checksum, 0), Key("git-sha1-1", keys[0].checksum, 1)]) == {}


def test_a_later_answer_holds(cache: ObjectCache) -> None:
    key = Key("s", "c", 1)
    cache.learn([(key, Entry("a" * 64, 1))])
    cache.learn([(key, Entry("b" * 64, 1))])
    assert cache.known([key]) == {key: Entry("b" * 64, 1)}


@pytest.mark.parametrize("junk", [b"no database at all", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_begun_anew(cache: ObjectCache, junk: bytes) -> None:
    key = Key("s", "c", 1)
    cache.learn([(key, Entry("a" * 64, 1))])
    (cache.folder / "index.sqlite").write_bytes(junk)
    assert cache.known([key]) == {}
    cache.learn([(key, Entry("b" * 64, 1))])
    assert cache.known([key]) == {key: Entry("b" * 64, 1)}


def used(cache: ObjectCache, entry: Entry, days_ago: float) -> None:
    then = int((time.time() - days_ago * DAY) * 1e9)
    os.utime(stored(cache, entry), ns=(then, STAMP))


def test_trim_by_age(cache: ObjectCache) -> None:
    old, young = add(cache, b"old"), add(cache, b"young")
    keys = [Key("s", "old", 3), Key("s", "young", 5)]
    cache.learn(zip(keys, (old, young), strict=True))
    used(cache, old, 30)
    assert cache.trim(older_than=timedelta(days=7)) == Usage(1, 3, 0)
    assert cache.usage() == Usage(1, 5, 0)
    assert cache.known(keys) == {keys[1]: young}


def test_trim_by_size_takes_the_least_recently_used(cache: ObjectCache) -> None:
    entries = [add(cache, bytes([number]) * 10) for number in range(4)]
    for entry, days in zip(entries, (2, 4, 1, 3), strict=True):
        used(cache, entry, days)
    assert cache.trim(max_bytes=25) == Usage(2, 20, 0)
    assert [cache.holds(entry) for entry in entries] == [True, False, True, False]


def test_use_is_remembered(cache: ObjectCache, tmp_path: Path) -> None:
    entry = add(cache, b"bytes")
    used(cache, entry, 30)
    cache.place(entry, str(tmp_path / "out"))
    assert cache.trim(older_than=timedelta(days=7)) == Usage(0, 0, 0)


def test_trim_leaves_trees_and_clears_what_killed_writers_left(cache: ObjectCache, tmp_path: Path) -> None:
    entry = add(cache, b"bytes")
    cache.place(entry, str(tmp_path / "out"))
    (cache.folder / "partial" / "left").write_bytes(b"half")
    cache.trim(max_bytes=0)
    assert (tmp_path / "out").read_bytes() == b"bytes"
    assert left_over(cache) != []  # it may be somebody's who is still writing


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


FILL = """
import io, sys
from pathlib import Path
from reprolock.files.object_cache import ObjectCache
from reprolock.files.object_index import Key
cache = ObjectCache(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    data = b"%d" % number * 40_000
    entry = cache.add(io.BytesIO(data))
    cache.learn([(Key("s", str(number), len(data)), entry)])
    print(number, flush=True)
"""


def assert_whole(cache: ObjectCache) -> None:
    for path in (cache.folder / "objects").rglob("*"):
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name


def test_two_processes_fill_one_cache(cache: ObjectCache) -> None:
    writers = [
        subprocess.Popen(python(FILL, cache.folder, 40), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert (writer.returncode, errors) == (0, b"")
    assert cache.usage().objects == 40
    assert_whole(cache)
    assert left_over(cache) == []
    sizes = [len(b"%d" % number * 40_000) for number in range(40)]
    assert len(cache.known(Key("s", str(number), size) for number, size in enumerate(sizes))) == 40


REFILL = """
import io, sys
from pathlib import Path
from reprolock.files.object_cache import ObjectCache
cache = ObjectCache(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    cache.add(io.BytesIO(b"the same"))
"""


def test_an_object_that_is_there_stays_when_its_bytes_come_again(cache: ObjectCache) -> None:
    path = stored(cache, add(cache, b"the same"))
    before = path.stat()
    add(cache, b"the same")
    assert path.stat().st_ino == before.st_ino
    assert left_over(cache) == []
    overwrite(path, b"the bad!")
    add(cache, b"the same")
    assert path.read_bytes() == b"the same"


def test_an_object_that_another_process_puts_there_again_can_be_placed(cache: ObjectCache, tmp_path: Path) -> None:
    """A link to a file that is renamed over at that moment fails as if it were not there."""
    entry = add(cache, b"the same")
    process = subprocess.Popen(python(REFILL, cache.folder), cwd=ROOT, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        for number in range(2_000):
            assert cache.place(entry, str(tmp_path / f"{number}"))
            (tmp_path / f"{number}").unlink()
    finally:
        process.kill()
        process.communicate()


def test_kill_9_leaves_whole_objects_only(cache: ObjectCache) -> None:
    for lines in (1, 3, 7):
        writer = subprocess.Popen(python(FILL, cache.folder, 100_000), cwd=ROOT, stdout=subprocess.PIPE)
        assert writer.stdout
        for _ in range(lines):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert_whole(cache)
    assert cache.usage().objects >= 7
    assert add(cache, b"and on it goes").size == 14


ADD = """
import io, sys
from pathlib import Path
from reprolock.errors import MachineError
from reprolock.files.object_cache import ObjectCache
try:
    ObjectCache(Path(sys.argv[1])).add(io.BytesIO(b"n" * 3_000_000))
except MachineError as error:
    print(error.message, error.hint, error.exit_code, sep="\\n")
"""


def in_a_small_disk(folder: Path, options: str, *, before: str = "true") -> str:
    """What `ADD` says where the cache stands on a tmpfs of its own, and the files that are left."""
    script = f'mount -t tmpfs -o size=2m none "$1" && cd "$1" && {before} && mount -o remount,{options} "$1" && '
    script += 'cd "$2" && "$3" -c "$4" "$1/cache"; find "$1" -type f'
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", folder, ROOT, sys.executable, ADD]
    try:
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no `unshare`: a small disk cannot be mounted here")
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    assert done.stderr == ""
    return done.stdout


def test_a_full_disk(tmp_path: Path) -> None:
    assert in_a_small_disk(tmp_path, "rw") == (
        f"{tmp_path}/cache cannot be written: the disk is full\n"
        f"free space on the disk that holds {tmp_path} and try again\n8\n"
    )


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    assert in_a_small_disk(tmp_path, "ro") == (
        f"{tmp_path}/cache cannot be written: the file system is read-only\nuse a folder on a disk that can be written\n8\n"
    )


def test_a_file_in_the_cache_s_place(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(MachineError) as error:
        add(ObjectCache(tmp_path / "cache"), b"x")
    assert error.value.message == f"{tmp_path}/cache cannot be written: something else is in its place"
    assert error.value.exit_code == 8


def test_an_index_that_somebody_holds_is_waited_for(cache: ObjectCache) -> None:
    key = Key("s", "c", 1)
    cache.learn([(key, Entry("a" * 64, 1))])
    holder = sqlite3.connect(cache.folder / "index.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    waiting = subprocess.Popen(python(FILL, cache.folder, 1), cwd=ROOT, stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(1.5)
    holder.execute("ROLLBACK")
    holder.close()
    assert waiting.communicate(timeout=60)[0] == b"0\n"
