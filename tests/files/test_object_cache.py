"""Bytes in, the same bytes out: damaged ones never, half ones never, whoever writes at the same time."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import reprolock.errors
from reprolock.errors import MachineError
from reprolock.files.object_cache import STAMP, ObjectCache, Usage
from reprolock.model.content import Content

ROOT = Path(reprolock.errors.__file__).parents[1]
DAY = 86_400


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    return ObjectCache(tmp_path / "cache")


def named(data: bytes) -> Content:
    """As a lakeFS server names bytes."""
    return Content("lakefs-etag-1", hashlib.md5(data).hexdigest(), len(data))


def hashed(data: bytes) -> Content:
    """As the cache names what a lake's checksum says nothing about."""
    return Content("sha256", hashlib.sha256(data).hexdigest(), len(data))


def blob(data: bytes) -> Content:
    """As Git does."""
    return Content("git-sha1-1", hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), len(data))


def add(cache: ObjectCache, data: bytes) -> Content:
    draft = cache.draft()
    draft.write(data)
    draft.keep(named(data))
    return named(data)


def stored(cache: ObjectCache, content: Content) -> Path:
    """Where an object stands: the folder is somebody's to look into."""
    return cache.folder / "objects" / content.checksum[:2] / f"{content.checksum[2:]}-{content.size}"


def left_over(cache: ObjectCache) -> list[Path]:
    return list((cache.folder / "partial").iterdir())


def overwrite(path: Path, data: bytes) -> None:
    """As a user would who does not mind that a file is read-only."""
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("size", [0, 1, 3 * 2**18 + 1])
@pytest.mark.parametrize("name", [named, hashed, blob])
def test_what_goes_in_comes_out_read_only(
    cache: ObjectCache, tmp_path: Path, size: int, name: Callable[[bytes], Content]
) -> None:
    data = os.urandom(size)
    draft = cache.draft()
    for start in range(0, size, 2**18):
        draft.write(data[start : start + 2**18])
    assert not cache.holds(name(data))
    draft.keep(name(data))
    assert cache.holds(name(data))
    assert cache.place(name(data), str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == data
    status = (tmp_path / "out").stat()
    assert stat.S_IMODE(status.st_mode) & 0o222 == 0
    assert status.st_mtime_ns == STAMP
    assert left_over(cache) == []


@pytest.mark.parametrize("checksum", ["../../../../etc/passwd", "", "0x8DCA1B2C3D4E5F6"], ids=["path", "empty", "etag"])
def test_a_checksum_that_nobody_can_compute_names_no_file(cache: ObjectCache, checksum: str) -> None:
    content = Content("lakefs-etag-1", checksum, 1)
    assert (cache.path(content), cache.holds(content), cache.place(content, str(cache.folder))) == (None, False, False)
    draft = cache.draft()
    draft.write(b"1")
    with pytest.raises(AssertionError):
        draft.keep(content)
    draft.drop()
    assert cache.usage().objects == 0


def test_what_was_dropped_is_gone(cache: ObjectCache) -> None:
    draft = cache.draft()
    draft.write(b"half")
    draft.drop()
    assert cache.usage().objects == 0
    assert left_over(cache) == []


def test_notes(cache: ObjectCache) -> None:
    assert cache.note(b"about") is None
    assert not cache.folder.exists()  # looking makes no cache
    cache.write_note(b"about", b"first")
    cache.write_note(b"about", b"second")
    cache.write_note(b"another", b"")
    assert (cache.note(b"about"), cache.note(b"another"), cache.note(b"third")) == (b"second", b"", None)
    assert left_over(cache) == []


def test_a_note_that_is_used_is_not_trimmed(cache: ObjectCache) -> None:
    cache.write_note(b"about", b"note")
    [path] = (cache.folder / "objects").glob("*/*")
    then = int((time.time() - 30 * DAY) * 1e9)
    for used, left in ((True, b"note"), (False, None)):
        os.utime(path, ns=(then, STAMP))
        if used:
            cache.note(b"about")
        cache.trim(older_than=timedelta(days=7))
        assert cache.note(b"about") == left


def test_a_placed_file_costs_no_further_space(cache: ObjectCache, tmp_path: Path) -> None:
    content = add(cache, b"shared")
    assert cache.usage() == Usage(1, 6, 0)
    cache.place(content, str(tmp_path / "out"))
    if not (tmp_path / "out").samefile(stored(cache, content)):
        pytest.skip("this file system has reflinks: see test_linking")
    assert cache.usage() == Usage(1, 6, 6)


def test_nothing_is_overwritten(cache: ObjectCache, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        cache.place(add(cache, b"other"), str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_what_is_not_there_is_not_placed(cache: ObjectCache, tmp_path: Path) -> None:
    assert cache.place(named(b"xyz"), str(tmp_path / "out")) is False
    assert cache.holds(named(b"xyz")) is False
    assert cache.usage() == (0, 0, 0)
    assert cache.trim(max_bytes=0) == (0, 0, 0)
    assert list(tmp_path.iterdir()) == []  # looking makes no cache


def test_bytes_damaged_through_a_link_are_thrown_away(cache: ObjectCache, tmp_path: Path) -> None:
    content = add(cache, b"right")
    stored(cache, content).chmod(0o644)
    stored(cache, content).write_bytes(b"wrong")  # of the same length
    assert cache.place(content, str(tmp_path / "out")) is False
    assert not stored(cache, content).exists()
    assert not (tmp_path / "out").exists()
    add(cache, b"right")
    assert cache.place(content, str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"right"


def test_a_shortened_object_is_thrown_away_though_its_time_is_right(cache: ObjectCache) -> None:
    content = add(cache, b"right")
    overwrite(stored(cache, content), b"rig")
    os.utime(stored(cache, content), ns=(STAMP, STAMP))
    assert cache.holds(content) is False


def test_an_object_that_was_only_touched_stays(cache: ObjectCache) -> None:
    content = add(cache, b"right")
    overwrite(stored(cache, content), b"right")
    assert cache.holds(content) is True
    status = stored(cache, content).stat()
    assert status.st_mtime_ns == STAMP
    assert stat.S_IMODE(status.st_mode) == 0o444


def test_a_link_in_an_object_s_place_is_none(cache: ObjectCache, tmp_path: Path) -> None:
    content = add(cache, b"right")
    (tmp_path / "wrong").write_bytes(b"wrong")
    os.utime(tmp_path / "wrong", ns=(STAMP, STAMP))
    stored(cache, content).unlink()
    stored(cache, content).symlink_to(tmp_path / "wrong")
    assert cache.place(content, str(tmp_path / "out")) is False
    assert not stored(cache, content).is_symlink()
    assert (tmp_path / "wrong").exists()


def test_a_cache_that_hashes_takes_no_time_s_word(cache: ObjectCache, tmp_path: Path) -> None:
    """The same bytes damaged under their size and time: placed by the quick check, never by the one that hashes."""
    content, whole = add(cache, b"right"), add(cache, b"whole")
    overwrite(stored(cache, content), b"wrong")
    os.utime(stored(cache, content), ns=(STAMP, STAMP))
    assert cache.holds(content) is True
    hashing = ObjectCache(cache.folder, hashing=True)
    assert hashing.place(content, str(tmp_path / "out")) is False
    assert not stored(cache, content).exists() and not (tmp_path / "out").exists()
    assert add(hashing, b"right") == content
    before = stored(cache, whole).stat()
    assert hashing.holds(whole) and hashing.place(content, str(tmp_path / "out"))
    assert stored(cache, whole).stat().st_ctime_ns == before.st_ctime_ns  # nothing was stamped anew
    assert (tmp_path / "out").read_bytes() == b"right"


def test_what_a_cache_that_hashes_is_given_replaces_what_is_damaged(cache: ObjectCache) -> None:
    content = add(cache, b"right")
    overwrite(stored(cache, content), b"wrong")
    os.utime(stored(cache, content), ns=(STAMP, STAMP))
    assert add(ObjectCache(cache.folder, hashing=True), b"right") == content
    assert stored(cache, content).read_bytes() == b"right"


def test_a_cache_that_hashes_does_so_once(cache: ObjectCache, monkeypatch: pytest.MonkeyPatch) -> None:
    old, hashed = add(cache, b"old"), []
    hashing = ObjectCache(cache.folder, hashing=True)
    new = add(hashing, b"new")
    again = hashing._hashed_again
    monkeypatch.setattr(hashing, "_hashed_again", lambda path, content: hashed.append(content) or again(path, content))
    for content in (old, new, old, new):
        assert hashing.holds(content)
    assert hashed == [old]
    overwrite(stored(cache, old), b"bad")  # seen by its time, whoever hashed it before
    assert not hashing.holds(old)


def used(cache: ObjectCache, content: Content, days_ago: float) -> None:
    then = int((time.time() - days_ago * DAY) * 1e9)
    os.utime(stored(cache, content), ns=(then, STAMP))


def test_trim_by_age(cache: ObjectCache) -> None:
    old, young = add(cache, b"old"), add(cache, b"young")
    used(cache, old, 30)
    assert cache.trim(older_than=timedelta(days=7)) == Usage(1, 3, 0)
    assert cache.usage() == Usage(1, 5, 0)
    assert (cache.holds(old), cache.holds(young)) == (False, True)


def test_trim_by_size_takes_the_least_recently_used(cache: ObjectCache) -> None:
    contents = [add(cache, bytes([number]) * 10) for number in range(4)]
    for content, days in zip(contents, (2, 4, 1, 3), strict=True):
        used(cache, content, days)
    assert cache.trim(max_bytes=25) == Usage(2, 20, 0)
    assert [cache.holds(content) for content in contents] == [True, False, True, False]


def test_use_is_remembered(cache: ObjectCache, tmp_path: Path) -> None:
    content = add(cache, b"bytes")
    used(cache, content, 30)
    cache.place(content, str(tmp_path / "out"))
    assert cache.trim(older_than=timedelta(days=7)) == Usage(0, 0, 0)


def test_trim_leaves_trees_and_clears_what_killed_writers_left(cache: ObjectCache, tmp_path: Path) -> None:
    content = add(cache, b"bytes")
    cache.place(content, str(tmp_path / "out"))
    (cache.folder / "partial" / "left").write_bytes(b"half")
    cache.trim(max_bytes=0)
    assert (tmp_path / "out").read_bytes() == b"bytes"
    assert left_over(cache) != []  # it may be somebody's who is still writing


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


FILL = """
import hashlib, sys
from pathlib import Path
from reprolock.files.object_cache import ObjectCache
from reprolock.model.content import Content
cache = ObjectCache(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    data = b"%d" % number * 40_000
    draft = cache.draft()
    draft.write(data)
    draft.keep(Content("lakefs-etag-1", hashlib.md5(data).hexdigest(), len(data)))
    print(number, flush=True)
"""


def assert_whole(cache: ObjectCache) -> None:
    for path in (cache.folder / "objects").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert f"{hashlib.md5(data).hexdigest()}-{len(data)}" == path.parent.name + path.name


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
    assert all(cache.holds(named(b"%d" % number * 40_000)) for number in range(40))


REFILL = """
import sys
from pathlib import Path
from reprolock.files.object_cache import ObjectCache
from reprolock.model.content import Content
cache = ObjectCache(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    draft = cache.draft()
    draft.write(b"the same")
    draft.keep(Content("lakefs-etag-1", sys.argv[2], 8))
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
    content = add(cache, b"the same")
    process = subprocess.Popen(python(REFILL, cache.folder, content.checksum), cwd=ROOT, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        for number in range(2_000):
            assert cache.place(content, str(tmp_path / f"{number}"))
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
import sys
from pathlib import Path
from reprolock.errors import MachineError
from reprolock.files.object_cache import ObjectCache
try:
    ObjectCache(Path(sys.argv[1])).write_note(b"about", b"n" * 3_000_000)
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
    assert error.value.message == f"{tmp_path}/cache cannot be written: another file or folder has its name"
    assert error.value.exit_code == 8
