"""Keep what a command prints in a file: what is printed may hold a secret, and what is written may not."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from reprolock.files.os_errors import cannot_write

_LONGEST = 1 << 20
"""How much of a line is read at once."""
_LONGEST_SECRET = 1 << 16


@contextmanager
def output_kept_in(log: Path, redact: Callable[[str], str]) -> Iterator[int]:
    """A descriptor to print to. What comes there is in the file, through `redact` line by line, when the body has ended."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(
            os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o666), "wb"
        )
    except OSError as error:
        raise cannot_write(log, error) from error
    source, output = os.pipe()
    copying = threading.Thread(target=_copy, args=(source, file, redact), name=f"log-{log.stem}", daemon=True)
    copying.start()
    try:
        yield output
    finally:
        os.close(output)
        copying.join()


def _copy(source: int, target: BinaryIO, redact: Callable[[str], str]) -> None:
    """To the end, whatever happens to the file: a command must not wait for someone to read."""
    broken = False
    with open(source, "rb") as lines, target:
        held = b""
        while line := lines.readline(_LONGEST):
            found = redact((held + line).decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
            # Of a line that goes on, the end is held back: a secret may begin in it.
            whole = len(found) if line.endswith(b"\n") else max(0, len(found) - _LONGEST_SECRET)
            found, held = found[:whole], found[whole:]
            try:
                if not broken:
                    target.write(found)
                    target.flush()
            except OSError:
                broken = True
        if not broken:
            with suppress(OSError):
                target.write(held)
