"""The progress of long work. The library counts; the command line draws it, with rich."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of objects by one thread, in any number of calls, and of steps by any."""

    def expect(self, objects: int, bytes: int) -> None:
        """What the whole will come to, once that is known. Before the first `advance`, or not at all."""
        ...

    def advance(self, objects: int, bytes: int) -> None:
        """So much more is done."""
        ...

    def step(self, what: str) -> None:
        """What is being done beside it, in words: "Building pyspark==4.2.0"."""
        ...


class _Silent:
    def expect(self, objects: int, bytes: int) -> None:
        pass

    def advance(self, objects: int, bytes: int) -> None:
        pass

    def step(self, what: str) -> None:
        pass


SILENT: Progress = _Silent()
"""No progress is shown."""
