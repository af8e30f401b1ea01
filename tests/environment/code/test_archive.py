"""The code as an artifact: the same bytes for the same files, and no archive writes where it should not."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from reprolock.environment.code import archive as module
from reprolock.environment.code.archive import archive, unarchive
from reprolock.environment.code.snapshot import snapshot
from reprolock.errors import MachineError, NotReplayable


def tree(root: Path) -> Path:
    for path, text in {
        "train.py": "print(1)\n",
        "src/ä b.py": "",
        "src/" + "long" * 40 + ".py": "x",
        "run.sh": "#!/bin/sh\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "run.sh").chmod(0o755)
    (root / "link.py").symlink_to("src/ä b.py")
    return root


def test_the_bytes_depend_on_the_files_alone(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
    os.utime(second / "train.py", (1, 1))
    (second / "train.py").chmod(0o600)
    data = archive(snapshot(first, None), first)
    assert data == archive(snapshot(second, None), second)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {(member.mtime, member.uid, member.gid, member.uname) for member in tar} == {(0, 0, 0, "")}
    assert data[4:8] == bytes(4)  # gzip's own time


def test_what_was_packed_comes_out_with_its_digest(tmp_path: Path) -> None:
    root = tree(tmp_path / "a")
    taken = snapshot(root, None)
    assert unarchive(archive(taken, root), tmp_path / "out").state.digest == taken.state.digest
    assert snapshot(tmp_path / "out", None).files == taken.files


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member, data in members:
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue())


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, target
    return info, data


LINK, HARD, DEVICE, FOLDER = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE
OUTSIDE = "it names a path outside its folder, or one that no file system can hold"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed(member("../evil", b"x")), OUTSIDE),
        (packed(member("a/../../evil", b"x")), OUTSIDE),
        (packed(member("/etc/evil", b"x")), OUTSIDE),
        (packed(member("a\\..\\evil", b"x")), OUTSIDE),
        (packed(member("l", kind=LINK, target="/etc")), 'its link "l" leads out of the folder'),
        (packed(member("l", kind=LINK, target="..")), 'its link "l" leads out of the folder'),
        (
            packed(member("d", kind=LINK, target="."), member("l", kind=LINK, target="d/../evil")),
            'its link "l" leads out of the folder',
        ),
        (packed(member("l", kind=LINK, target="x"), member("l/evil", b"x")), '"l/evil" is below a file'),
        (packed(member("h", kind=HARD, target="/etc/passwd")), '"h" is neither a file nor a link'),
        (packed(member("null", kind=DEVICE)), '"null" is neither a file nor a link'),
        (packed(member("folder", kind=FOLDER)), '"folder" is neither a file nor a link'),
        (packed(member("a", b"1"), member("a", b"2")), 'it holds "a" twice'),
        (b"no archive", "it is not a whole .tar.gz"),
        (b"", "it is not a whole .tar.gz"),
        (packed(member("a", os.urandom(5000)))[:-3000], "it is not a whole .tar.gz"),
        (gzip.compress(gzip.decompress(packed(member("a", b"x" * 5000)))[:3000]), "it is not a whole .tar.gz"),
        (gzip.compress(b"x" * 2000), "it is not a whole .tar.gz"),
    ],
)
def test_a_foreign_archive_is_refused_before_anything_is_written(data: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(NotReplayable) as error:
        unarchive(data, tmp_path / "out")
    assert error.value.message == f"the recorded code (reprolock/code.tar.gz) cannot be unpacked: {reason}"
    assert error.value.exit_code == 7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("_MOST_BYTES", 5_000_000, "it is larger than 5 MB"), ("_MOST_FILES", 2, "it holds more than 2 files")],
)
def test_a_bomb_is_refused(name: str, value: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, name, value)
    data = (
        packed(member("zeros", bytes(6_000_000)))
        if name == "_MOST_BYTES"
        else packed(*(member(f"f{n}") for n in range(3)))
    )
    with pytest.raises(NotReplayable) as error:
        unarchive(data, tmp_path / "out")
    assert error.value.message.endswith(reason)


def test_modes_of_an_archive_grant_nothing_more(tmp_path: Path) -> None:
    info, data = member("tool", b"#!/bin/sh\n")
    info.mode, info.uid, info.mtime = 0o6777, 12345, 99
    unarchive(packed((info, data)), tmp_path / "out")
    assert (tmp_path / "out" / "tool").stat().st_mode & 0o7022 == 0


def test_a_folder_that_holds_a_file_already_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    with pytest.raises(MachineError) as error:
        unarchive(packed(member("a", b"theirs")), tmp_path)
    assert error.value.message == f"{tmp_path}/a cannot be written: another file or folder has its name"
    assert (tmp_path / "a").read_text() == "mine"


def test_too_many_names_are_counted_before_they_are_read(tmp_path: Path) -> None:
    header = tarfile.TarInfo("a").tobuf()
    with pytest.raises(NotReplayable, match="it holds more than 200000 files"):
        unarchive(gzip.compress(header * 200_001, 1), tmp_path / "code")


@pytest.mark.parametrize("field", ["GNU.sparse.map", "GNU.sparse.size"])
def test_odd_headers_of_tar(field: str, tmp_path: Path) -> None:
    member = tarfile.TarInfo("a")
    member.pax_headers = {field: "not a number,", "GNU.sparse.major": "0", "GNU.sparse.minor": "1"}
    data = member.tobuf(tarfile.PAX_FORMAT) + b"\0" * 1024
    with pytest.raises(NotReplayable, match="cannot be unpacked"):
        unarchive(gzip.compress(data), tmp_path / "code")
    assert not (tmp_path / "code").exists()
