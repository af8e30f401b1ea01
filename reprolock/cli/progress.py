"""On stderr: a progress bar while a person watches, plain lines for the steps of long work otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reprolock.cli.options import Settings, is_watched
from reprolock.model.words import plain

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from reprolock.steps.project.progress import Progress


class _Bar:
    """Answers to the library's `Progress` with rich's: bytes, rate and time left."""

    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self.bar, self.task = bar, task

    def expect(self, objects: int, bytes: int) -> None:
        self.bar.update(self.task, total=bytes)

    def advance(self, objects: int, bytes: int) -> None:
        self.bar.update(self.task, advance=bytes)

    def step(self, what: str) -> None:
        self.bar.update(self.task, description=plain(what))


class _Lines:
    """A line a step, once; how many bytes there are is for bars alone."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.said: set[str] = set()

    def expect(self, objects: int, bytes: int) -> None:
        """Nothing is drawn."""

    def advance(self, objects: int, bytes: int) -> None:
        """Nothing is drawn."""

    def step(self, what: str) -> None:
        if what not in self.said:
            self.said.add(what)
            self.settings.remark(what)


@contextmanager
def progress(settings: Settings, what: str) -> Iterator[Progress]:
    """A bar of bytes, rate and time left, called `what` until a step has another name."""
    if settings.quiet or settings.json or not is_watched():
        yield _Lines(settings)
        return
    # rich is needed only at a terminal
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar, bar.add_task(plain(what), total=None))
