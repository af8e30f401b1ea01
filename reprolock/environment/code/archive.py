"""Pack the code into a .tar.gz whose bytes depend on the files alone, and unpack it safely.

An archive comes back from a tracking server, so it is foreign input: it may be damaged, huge, or
made to write outside the folder that it is unpacked into.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from reprolock.environment.code.choose import LARGEST
from reprolock.environment.code.code_file import CodeFile, digest_of, stays_inside, write_tree
from reprolock.environment.code.snapshot import Snapshot, contents
from reprolock.errors import NotReplayable
from reprolock.model.uri import check_path
from reprolock.model.workspace import CodeState

_MOST_FILES = 200_000
# Headers and padding come on top of the files.
_MOST_BYTES = LARGEST + _MOST_FILES * 2048


def archive(taken: Snapshot, root: Path) -> bytes:
    """The code as .tar.gz: sorted, no owner, no time. MachineError when a file has changed since the snapshot."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file, data in contents(taken, root):
            member = tarfile.TarInfo(file.path)
            if file.mode == "120000":
                member.type, member.linkname, member.mode = (
                    tarfile.SYMTYPE,
                    data.decode("utf-8", "surrogateescape"),
                    0o777,
                )
                tar.addfile(member)
            else:
                member.size, member.mode = len(data), int(file.mode[-3:], 8)
                tar.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), compresslevel=6, mtime=0)


def unarchive(data: bytes, folder: Path) -> Snapshot:
    """Unpack an archive into a folder: the snapshot that it was made of, but for what git said of it.

    NotReplayable, before anything is written, for an archive that is damaged or too large, or that
    names a path outside the folder, a device, or one path twice.
    """
    members = files_in(data)
    write_tree(folder, members)
    files = tuple(file for file, _ in members)
    size = sum(file.size for file in files)
    return Snapshot(CodeState(digest_of(files), tuple(file.path for file in files), size), files, "what was recorded")


def files_in(data: bytes) -> list[tuple[CodeFile, bytes]]:
    """Every file of an archive with its bytes (a link's are its target), sorted by path. Errors as of `unarchive`."""
    return _members(_decompress(data))


def _decompress(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            plain = stream.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _bad("it is not a whole .tar.gz") from error
    if len(plain) > _MOST_BYTES:
        raise _bad(f"it is larger than {_MOST_BYTES // 10**6} MB")
    return plain


def _members(plain: bytes) -> list[tuple[CodeFile, bytes]]:
    found: dict[str, tuple[CodeFile, bytes]] = {}
    if _count(plain) > _MOST_FILES:
        raise _bad(f"it holds more than {_MOST_FILES} files")
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            for member in tar:
                file, data = _member(tar, member)
                if file.path in found:
                    raise _bad(f'it holds "{file.path}" twice')
                found[file.path] = file, data
    except NotReplayable:
        raise
    except (tarfile.TarError, ValueError, LookupError, OverflowError, RecursionError, AttributeError) as error:
        raise _bad("it is not a whole .tar.gz") from error  # tarfile takes headers of many kinds apart, and trusts them
    _refuse_files_below_files(found)
    links = {
        path: data.decode("utf-8", "surrogateescape") for path, (file, data) in found.items() if file.mode == "120000"
    }
    for path, target in links.items():
        if not stays_inside(path, target, links.__contains__):
            raise _bad(f'its link "{path}" leads out of the folder')
    return [found[path] for path in sorted(found, key=str.encode)]


def _count(plain: bytes) -> int:
    """How many files the headers name, as far as they can be followed: tarfile would take a minute to find too many."""
    count = at = 0
    while at + 512 <= len(plain) and count <= _MOST_FILES:
        count += plain[at + 156 : at + 157] not in b"xgLK"  # these describe the next one
        try:
            size = int(plain[at + 124 : at + 136].strip(b" \0") or b"0", 8)
        except ValueError:
            return count
        at += 512 + (size + 511) // 512 * 512
    return count


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[CodeFile, bytes]:
    path = member.name
    try:
        path.encode()
        check_path(path)
    except ValueError as error:
        raise _bad("it names a path outside its folder, or one that no file system can hold") from error
    if not path or path.endswith("/"):
        raise _bad("it holds a file without a name")
    if member.issym():
        mode, data = "120000", member.linkname.encode("utf-8", "surrogateescape")
    elif member.isreg() and not member.issparse():
        stream = tar.extractfile(member)
        data = stream.read() if stream else b""
        if len(data) != member.size:
            raise _bad("it is not a whole .tar.gz")
        mode = "100755" if member.mode & 0o100 else "100644"
    else:
        raise _bad(f'"{path}" is neither a file nor a link')
    return CodeFile(path, mode, len(data), hashlib.sha256(data).hexdigest()), data


def _refuse_files_below_files(paths: Iterable[str]) -> None:
    """A file cannot also be a folder; were it a link, what is below it would be written elsewhere."""
    taken = set(paths)
    for path in taken:
        parts = path.split("/")
        for end in range(1, len(parts)):
            if "/".join(parts[:end]) in taken:
                raise _bad(f'"{path}" is below a file')


def _bad(reason: str) -> NotReplayable:
    return NotReplayable(
        f"the recorded code (reprolock/code.tar.gz) cannot be unpacked: {reason}",
        hint="get the artifact again from where it was recorded; it was damaged or replaced",
    )
