"""`python -m reprolock`, and the console script: asks the command line to run, and ends the process."""

from __future__ import annotations

import gc
import sys

from reprolock import __version__


def main() -> None:
    """Run the command line of this process."""
    if sys.argv[1:] == ["--version"]:  # asked for by prompts and scripts: answered before anything is loaded
        print(f"reprolock {__version__}")
        return
    gc.disable()  # what is loaded here stays, and looking for garbage in it takes a tenth of the start
    from reprolock.cli.main import run_command_line  # click, loaded only past the lines above

    gc.enable()
    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
