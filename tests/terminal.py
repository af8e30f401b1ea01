"""A command with its stderr on a terminal: what it draws there, beside what it prints to a pipe."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07)")


class Drawn(NamedTuple):
    """The exit code, stdout, and all that was drawn on the terminal, with and without what moves the cursor."""

    code: int
    out: str
    raw: str
    screens: list[str]


def on_terminal(
    argv: Sequence[str], *, environ: Mapping[str, str] = {}, cwd: Path | None = None, columns: int = 120
) -> Drawn:
    """Run a command; its standard error is a pseudo-terminal, its standard output a pipe."""
    import fcntl  # not on Windows, nor is the next
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    drawn: list[bytes] = []

    def read() -> None:
        try:
            while piece := os.read(ours, 65536):
                drawn.append(piece)
        except OSError:  # Linux: nobody holds the other end any more
            pass

    variables = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=variables | {"TERM": "xterm"} | dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    reader = threading.Thread(target=read)
    reader.start()
    out, _ = process.communicate(timeout=300)
    reader.join()
    os.close(ours)
    raw = b"".join(drawn).decode()
    screens = [text.strip() for text in re.split(r"[\r\n]+", _ESCAPES.sub("", raw)) if text.strip()]
    return Drawn(process.returncode, out.decode(), raw, screens)
