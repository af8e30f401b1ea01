"""Reading by plain HTTP, at addresses that a lake hands out: signed ones of its object store, or its own.

In: addresses of objects. Out: their bytes. An address, or what is sent along with it, is a key: it is shown
nowhere, and no error carries one. Whatever goes wrong is `Unreadable`, and the reader asks the
lake itself instead, which can say why.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from reprolock.lake.checksum import Stream

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 60.0
_FAILURES = 16
_OWN_KEYS = "x-amz-server-side-encryption-customer-algorithm"


@dataclass(frozen=True, slots=True)
class Address:
    """One object's path in its repository, and where its bytes can be read. Shows the path alone."""

    path: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def of_store(self) -> bool:
        """Whether the object store answers there; the lake itself, which wants its keys, only repeats what it listed."""
        return not self.headers


@runtime_checkable
class Addressing(Protocol):
    """What a lake behind HTTP can do beyond `Lake`."""

    def addresses(self, repository: str, ref: str, paths: Sequence[str]) -> Sequence[Address]:
        """Addresses of objects, whose paths come sorted: of all, of some, or of none where the lake has none to give.

        An address may hold for minutes only: ask for few at a time, and read them soon.
        """
        ...


class Unreadable(Exception):
    """An address that gave no bytes, or not all of them. Says nothing: what it could say may hold a signature."""


class Arrival(NamedTuple):
    """An object's bytes on their way; the store's ETag without quotes, and whether it encrypts with keys of
    its own, so that the ETag is none over these bytes."""

    stream: Stream
    etag: str
    encrypted: bool


class ObjectStore:
    """Reads addresses over connections that are kept, one a thread and server. Safe to share between threads.

    A store that gives nothing at all (it stands in a network of its own, its clock is wrong) is soon left alone.
    """

    def __init__(self) -> None:
        self._local = threading.local()
        self._gives = False
        self._failures = 0

    @property
    def gives(self) -> bool:
        """False once nothing but failures came from the store."""
        return self._gives or self._failures < _FAILURES

    @contextmanager
    def opened(self, address: Address) -> Iterator[Arrival]:
        """The bytes at an address. Unreadable, at once or while they are read; the body's own errors pass through."""
        whole, connection = False, None
        try:
            parts = urlsplit(address.url)
            connection = self._connection(parts.scheme, parts.netloc)
            connection.request("GET", f"{parts.path}?{parts.query}", headers=dict(address.headers))
            response = connection.getresponse()
            if response.status != 200:
                raise Unreadable
            self._gives = True
            etag = response.getheader("ETag", "").strip('"')
            yield Arrival(_Body(response), etag, _is_encrypted(response))
            whole = response.isclosed()
        except (OSError, http.client.HTTPException, ValueError, Unreadable):
            self._failures += 1
            raise Unreadable from None
        finally:
            if connection and not whole:  # what was not read would be taken for the next answer
                connection.close()

    def _connection(self, scheme: str, server: str) -> http.client.HTTPConnection:
        kept: dict[tuple[str, str], http.client.HTTPConnection] = self._local.__dict__.setdefault("kept", {})
        if (scheme, server) not in kept:
            kept[scheme, server] = _connect(scheme, server)
        return kept[scheme, server]


class _Body:
    """An answer's body that does not end early in silence, as http.client lets it."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response

    def readinto(self, buffer: memoryview) -> int:
        count = self._response.readinto(buffer)
        if not count and self._response.length:
            raise Unreadable
        return count


def _connect(scheme: str, server: str) -> http.client.HTTPConnection:
    host = urlsplit(f"//{server}").hostname or ""
    if scheme not in ("http", "https") or (getproxies().get(scheme) and not proxy_bypass(host)):
        raise Unreadable  # the lake's own client knows how to pass a proxy
    if scheme == "https":
        return _Secure(server, timeout=_CONNECT_SECONDS, context=ssl.create_default_context())
    return _Plain(server, timeout=_CONNECT_SECONDS)


class _Plain(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_READ_SECONDS)


class _Secure(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_READ_SECONDS)


def _is_encrypted(response: http.client.HTTPResponse) -> bool:
    """S3: an object encrypted by KMS or by a customer's key has an ETag that is no MD5."""
    kind = response.getheader("x-amz-server-side-encryption", "")
    return kind.startswith("aws:") or response.getheader(_OWN_KEYS) is not None


def just_before(path: str) -> str:
    """A name that sorts before `path`, with nothing of interest in between: where a listing has to start to show it."""
    last = ord(path[-1]) - 1
    if 0xD800 <= last <= 0xDFFF:  # no characters stand there
        last = 0xD7FF
    return f"{path[:-1]}{chr(max(last, 0))}\U0010ffff"
