"""Pack small outputs to be kept with a record, and unpack them when a replay compares them."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from reprolock.errors import NotReplayable
from reprolock.model.uri import check_path

LARGEST = 20_000_000
"""Bytes. A larger output is data, and belongs in a lake; then a difference is reported without its position."""


def pack(path: Path) -> bytes | None:
    """A file or folder as .tar.gz, with no owner and no time; None where it is larger than `LARGEST`."""
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    if sum(item.stat().st_size for item in files) > LARGEST:
        return None
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for item in files:
            data = item.read_bytes()
            member = tarfile.TarInfo(item.relative_to(path.parent).as_posix())
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents of what `pack` made here, just now."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data)), mode="r:") as tar:
        for member in tar:
            stream = tar.extractfile(member)
            yield member.name, stream.read() if stream else b""


def unpack(data: bytes, folder: Path) -> None:
    """Unpack what `pack` made. Foreign input: NotReplayable for what is damaged, too large or would leave the folder."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            plain = packed.read(2 * LARGEST + 1)
        if len(plain) > 2 * LARGEST:
            raise NotReplayable("a kept output is larger than any that is kept")
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            members = tar.getmembers()
            if odd := [member.name for member in members if not member.isreg() or member.issparse()]:
                raise NotReplayable(f'a kept output holds "{odd[0]}", which is not a file')
            for member in members:
                check_path(member.name)  # extractall knows filters from Python 3.11.4 on
                target, stream = folder / member.name, tar.extractfile(member)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(stream.read() if stream else b"")
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError, LookupError, RecursionError) as error:
        raise NotReplayable(f"a kept output cannot be unpacked: {error}") from None
