"""Where an object's bytes can be read by plain HTTP: a signed address of the lake's object store, or the lake's own.

An address, or what is sent along with it, is a key: it is shown nowhere, and no error carries one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Address:
    """One object's path in its repository, and where its bytes can be read. Shows the path alone."""

    path: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def of_store(self) -> bool:
        """Whether the object store answers there; the lake itself, which needs its credentials, only repeats what it listed."""
        return not self.headers


@runtime_checkable
class Addressing(Protocol):
    """What a lake behind HTTP can do beyond `Lake`."""

    def addresses(self, repository: str, ref: str, paths: Sequence[str]) -> Sequence[Address]:
        """Addresses of objects, whose paths come sorted: of all, of some, or of none where the lake has none to give.

        An address may hold for minutes only: ask for few at a time, and read them soon.
        """
        ...


def just_before(path: str) -> str:
    """A name that sorts before `path`, with nothing of interest in between: where a listing has to start to show it."""
    last = ord(path[-1]) - 1
    if 0xD800 <= last <= 0xDFFF:  # no characters stand there
        last = 0xD7FF
    return f"{path[:-1]}{chr(max(last, 0))}\U0010ffff"
