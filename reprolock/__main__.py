"""`python -m reprolock`, and the console script: asks the command line to run, and ends the process."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

from reprolock import __version__


def main() -> None:
    """Run the command line of this process."""
    _hold_standard_streams()
    if sys.argv[1:] == ["--version"]:  # asked for by prompts and scripts: answered before anything is loaded
        with suppress(OSError):
            os.write(1, f"reprolock {__version__}\n".encode())
            return
        sys.exit(8)
    gc.set_threshold(200_000, 30, 30)  # what is loaded stays: looking for garbage in it takes a tenth of the start
    from reprolock.cli.main import run_command_line  # click, loaded only past the lines above

    _end(run_command_line(sys.argv[1:]))


def _end(code: int) -> NoReturn:
    """End the process as it stands: to take its modules and values apart takes a tenth of a second.

    What was registered for the end of the process is done, as where multiprocessing ends a process.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _hold_standard_streams() -> None:
    """Keep what is opened later from taking the place of a standard stream that is closed: the command, and all that
    is printed, would be written into it. What is written to a closed standard output fails, as its owner wants it."""
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)  # the lowest free number is this one
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
