"""The one way to the terminal. What a file, a record, a lake, a server or a caller wrote is shown there, and steers nothing.

Text goes in as it is; out come lines in which control and bidirectional characters are escaped (`plain`). Colours are
reprolock's own: `styled` marks them with a number of this process that no foreign text can know.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any

import click

from reprolock.errors import MachineError
from reprolock.model.words import json_plain, plain

_NONCE = os.urandom(8).hex()
_CODES = {"red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_STYLE = re.compile(f"\x1b{_NONCE}\\[([0-9;]*)m")


class Unprintable(MachineError):
    """Standard output is closed, or its disk is full."""


def styled(text: str, *, fg: str | None = None, bold: bool = False) -> str:
    """Text that `say` prints in a colour where a terminal shows colours."""
    codes = ";".join(filter(None, [_CODES[fg] if fg else "", "1" if bold else ""]))
    return f"\x1b{_NONCE}[{codes}m{text}\x1b{_NONCE}[0m" if codes else text


def shown(text: str) -> str:
    """What `say` prints where nothing is in colour."""
    return plain(_STYLE.sub("", text))


def shown_width(text: str) -> int:
    """How many characters `say` prints."""
    return len(shown(text))


def say(text: str = "", *, err: bool = False) -> None:
    """One line, on stdout or stderr. MachineError where stdout is closed or its disk is full."""
    parts = _STYLE.split(text)
    parts[::2] = map(plain, parts[::2])
    parts[1::2] = (f"\x1b[{code}m" for code in parts[1::2])
    _write("".join(parts) + "\n", err=err)


class JsonResult:
    """The one JSON object of a command with --json: what it answered, what failed, or both. It is printed once, at the end."""

    def __init__(self) -> None:
        self._document: dict[str, Any] = {}

    def hold(self, document: Mapping[str, Any]) -> None:
        """What the command answers."""
        self._document = dict(document)

    @property
    def is_held(self) -> bool:
        """Whether the command has answered something."""
        return bool(self._document)

    def say(self, failure: Mapping[str, Any] = {}) -> None:
        """Print it on stdout: exact for a program, inert on a terminal. MachineError where stdout is closed or its disk is full."""
        import json  # only where it is printed

        document, self._document = {**self._document, **failure}, {}
        if document:
            _write(json_plain(json.dumps(document, ensure_ascii=False, indent=2, default=str)) + "\n")


RESULT = JsonResult()
"""That of the command that this process runs."""


def say_document(text: str) -> None:
    """A document in another tool's format on stdout: exactly, unless a person looks at it."""
    if sys.stdout is not None and sys.stdout.isatty():
        text = "\n".join(map(plain, text.split("\n")))
    _write(text)


def flush() -> None:
    """Send on what was said. MachineError as of `say`."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        raise _unprintable(error) from None


def _write(text: str, *, err: bool = False) -> None:
    try:
        click.echo(text, nl=False, err=err)
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        if not err:  # a remark that finds no reader ends nothing
            raise _unprintable(error) from None


def _unprintable(error: OSError | ValueError) -> Unprintable:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is closed"
    return Unprintable(
        f"standard output cannot be written: {reason.lower()}", hint="send it to a file or program that takes it"
    )
