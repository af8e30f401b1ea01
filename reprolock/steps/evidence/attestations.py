"""attestations.jsonl: a run's signed statements, one a line, beside its record. Appended to, never rewritten."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from reprolock.errors import MachineError
from reprolock.files.atomic_write import write_whole
from reprolock.files.containment import read_regular
from reprolock.files.os_errors import cannot_read
from reprolock.model.digest import sha256
from reprolock.tracker.protocol import ATTESTATIONS

_LARGEST = 1 << 28


def read_lines(folder: Path, name: str = ATTESTATIONS) -> list[bytes]:
    """The lines of the file in a folder, oldest first; none where there is no file. MachineError where it cannot be read."""
    path = folder / name
    try:
        if path.lstat().st_size > _LARGEST:
            raise MachineError(f"{path} is larger than {_LARGEST >> 20} MiB", hint="a file of statements is smaller")
        return lines_of(read_regular(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise cannot_read(path, error) from error


def lines_of(data: bytes) -> list[bytes]:
    """The lines of a file; one that was cut short stays a line, which no signature fits."""
    return data.removesuffix(b"\n").split(b"\n") if data else []


def write_lines(folder: Path, lines: Iterable[bytes], name: str = ATTESTATIONS) -> Path:
    """Write all lines, whole or not at all; the file's path."""
    path = folder / name
    write_whole(path, b"".join(line + b"\n" for line in lines))
    return path


def append(folder: Path, *lines: bytes, name: str = ATTESTATIONS) -> Path:
    """Add what is not there yet to the file in a folder: all of it, or nothing."""
    return write_lines(folder, merge(read_lines(folder, name), lines), name)


def merge(lines: Iterable[bytes], others: Iterable[bytes]) -> list[bytes]:
    """The lines, and after them those of `others` that are not among them."""
    return list(dict.fromkeys([*lines, *others]))


def line_digest(line: bytes) -> str:
    """SHA-256 of a line without its end: how the next statement names it."""
    return sha256(line)
