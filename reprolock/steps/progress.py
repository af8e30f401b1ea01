"""How long work says how far it is. The library counts; whoever watches draws (the command line, with rich)."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told by one thread, in any number of calls."""

    def expect(self, objects: int, bytes: int) -> None:
        """What the whole will come to, once that is known. Before the first `advance`, or not at all."""
        ...

    def advance(self, objects: int, bytes: int) -> None:
        """So much more is done."""
        ...


class _Silent:
    def expect(self, objects: int, bytes: int) -> None:
        pass

    def advance(self, objects: int, bytes: int) -> None:
        pass


SILENT: Progress = _Silent()
"""Nobody watches."""
