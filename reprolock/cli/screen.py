"""What is printed around a command's own output, and the pairs that options take."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from reprolock.cli.options import Settings, align
from reprolock.cli.progress import progress

if TYPE_CHECKING:
    from reprolock.model.record import Record
    from reprolock.steps.project.progress import Progress
from reprolock.cli.record_rows import opening_rows
from reprolock.cli.width import of_stderr

RULE = "─" * 64


class Screen:
    """What stands around the command's own output, on stderr: the output itself may be piped on."""

    def __init__(self, settings: Settings, clear: Callable[[], None] = lambda: None) -> None:
        """`clear` takes a progress bar away: the screen is the command's from `ready` on."""
        self.settings = settings
        self.clear = clear

    def ready(self, record: Record) -> None:
        self.clear()
        for line in align(opening_rows(record, of_stderr())):
            self.settings.remark(line)
        self.settings.remark(RULE)

    def publishing(self) -> AbstractContextManager[Progress]:
        return progress(self.settings, "Publishing")

    def warn(self, sentence: str) -> None:
        self.settings.warning(sentence)


def pairs(option: str, texts: tuple[str, ...]) -> list[tuple[str, str]]:
    """`NAME=VALUE` texts taken apart."""
    for text in texts:
        if "=" not in text:
            raise click.BadParameter(f'"{text}" is not NAME=VALUE', param_hint=option)
    return [(name, value) for name, _, value in (text.partition("=") for text in texts)]
