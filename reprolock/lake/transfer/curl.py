"""Read many addresses by plain HTTP at the same time, in one thread.

libcurl does it: a thread for each connection would spend more time waiting for Python's lock than reading. Whatever
goes wrong is `Unreadable`, which says nothing, since what it could say may hold a signature: the reader asks the lake
itself instead, which can say why.
"""

from __future__ import annotations

import os
import re
import ssl
import time
from typing import Generic, Protocol, TypeVar

import pycurl

from reprolock.lake.proxies import proxy_for
from reprolock.lake.transfer.addresses import Address

_CONNECT_SECONDS = 5
# A download slower than this many bytes a second for this long is given up.
_SLOW_BYTES = 1024
_SLOW_SECONDS = 30
_PAUSE_SECONDS = 0.05
# One reading of a socket, and what is handed on at once: small enough for a processor's cache, large enough to pay.
_PIECE = 2**16
_FAILURES = 16
_ANSWERS = re.compile(rb"\r?\n\r?\n")
# What is read of an answer's header: one pass over all its lines, since small objects have more header than bytes.
_FIELDS = re.compile(
    rb"^(etag|x-amz-server-side-encryption(?:-customer-algorithm)?):(.*)$", re.IGNORECASE | re.MULTILINE
)
_OWN_KEYS = b"x-amz-server-side-encryption-customer-algorithm"


class Unreadable(Exception):
    """An address that gave no bytes, or not all of them."""


class Reader(Protocol):
    """Receives the bytes of an address. What it raises ends the download, and comes back with it."""

    def began(self, etag: str, encrypted: bool) -> None:
        """The server gives the object: its ETag without quotes, and whether the store encrypts with keys of its own, so
        that the ETag is none over these bytes."""
        ...

    def write(self, data: bytes) -> object:
        """The next bytes."""
        ...


R = TypeVar("R", bound=Reader)


class Store:
    """Circuit breaker per object store, shared by all downloads from it. One that gives nothing (it stands in a network of its own, its clock
    is wrong, it has fallen silent) is soon left alone."""

    def __init__(self) -> None:
        self._failures = 0

    @property
    def gives(self) -> bool:
        """False once so many failures came in a row."""
        return self._failures < _FAILURES

    def saw(self, failure: bool) -> None:
        """One download ended."""
        self._failures = self._failures + 1 if failure else 0


class Downloads(Generic[R]):
    """As many downloads at a time as `most`, over connections that are kept. For one thread, which closes it."""

    def __init__(self, most: int, store: Store) -> None:
        self._multi = pycurl.CurlMulti()
        self._store = store
        self._idle = [_Connection[R]() for _ in range(most)]
        self._busy: dict[pycurl.Curl, _Connection[R]] = {}
        self._proxies: dict[str, str] = {}

    @property
    def busy(self) -> bool:
        """Whether something is on its way."""
        return bool(self._busy)

    @property
    def full(self) -> bool:
        """Whether no more can be started."""
        return not self._idle

    def start(self, address: Address, reader: R) -> None:
        """Begin one; `turn` says how it ended. Unreadable for what is not an address."""
        connection = self._idle.pop()
        try:
            connection.aim(address, reader, self._proxy(address.url))
            self._multi.add_handle(connection.handle)
        except (pycurl.error, ValueError):  # an address is foreign input: it may be none
            self._idle.append(connection)
            self._store.saw(failure=True)
            raise Unreadable from None
        self._busy[connection.handle] = connection

    def turn(self, seconds: float) -> list[tuple[R, BaseException | None]]:
        """Wait at most so long for bytes and hand them on; whose downloads ended, and what went wrong."""
        ended = self._hand_on()
        if not ended and self._busy:
            if any(self._multi.fdset()):
                self._multi.select(seconds)
            else:  # no socket yet, or where more than 1,024 files are open, none whose number select(2) can hold
                time.sleep(min(seconds, _PAUSE_SECONDS))
            ended = self._hand_on()
        return ended

    def _proxy(self, url: str) -> str:
        """The proxy for an address's server; "" is none, whatever curl itself would find in the environment."""
        server = "/".join(url.split("/", 3)[:3])
        if server not in self._proxies:
            self._proxies[server] = proxy_for(server, os.environ) or ""
        return self._proxies[server]

    def close(self) -> list[R]:
        """Give back connections; whose downloads were still on their way."""
        left = list(self._busy.values())
        for connection in left:
            self._multi.remove_handle(connection.handle)
        for connection in (*left, *self._idle):
            connection.handle.close()
        self._multi.close()
        return [connection.reader for connection in left]

    def _hand_on(self) -> list[tuple[R, BaseException | None]]:
        self._multi.perform()
        ended: list[tuple[R, BaseException | None]] = []
        left = 1
        while left:
            left, whole, broken = self._multi.info_read()
            ended += [self._ended(handle, whole=True) for handle in whole]
            ended += [self._ended(handle, whole=False) for handle, _, _ in broken]
        return ended

    def _ended(self, handle: pycurl.Curl, *, whole: bool) -> tuple[R, BaseException | None]:
        connection = self._busy.pop(handle)
        self._multi.remove_handle(handle)
        self._idle.append(connection)
        error = connection.ended(whole)
        self._store.saw(failure=isinstance(error, Unreadable))
        return connection.reader, error


class _Connection(Generic[R]):
    """One of curl's handles, and the download that uses it now."""

    reader: R

    def __init__(self) -> None:
        self.handle = handle = pycurl.Curl()
        self._lines: list[bytes] = []
        self._begun = False
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._error: BaseException | None = None
        trusted = ssl.get_default_verify_paths()  # SSL_CERT_FILE and SSL_CERT_DIR, else the system's
        for option, value in (
            (pycurl.NOSIGNAL, 1),  # signals belong to the main thread
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),  # as object stores speak it
            (pycurl.PATH_AS_IS, 1),  # a key may hold "..", and the signature is over it
            (pycurl.CONNECTTIMEOUT, _CONNECT_SECONDS),
            (pycurl.LOW_SPEED_LIMIT, _SLOW_BYTES),
            (pycurl.LOW_SPEED_TIME, _SLOW_SECONDS),
            (pycurl.NOPROXY, ""),
            (pycurl.BUFFERSIZE, _PIECE),
            (pycurl.SSL_OPTIONS, pycurl.SSLOPT_NATIVE_CA),  # macOS and Windows keep theirs in no file
            (pycurl.CAINFO, trusted.cafile and os.fsencode(trusted.cafile)),
            (pycurl.CAPATH, trusted.capath and os.fsencode(trusted.capath)),
            (pycurl.HEADERFUNCTION, self._lines.append),
            (pycurl.WRITEFUNCTION, self._write),
        ):
            if value is not None:
                handle.setopt(option, value)

    def aim(self, address: Address, reader: R, proxy: str) -> None:
        """Make ready for the next download."""
        self.reader = reader
        self._lines.clear()
        self._begun = False
        self._pieces.clear()
        self._waiting = 0
        self._error = None
        self.handle.setopt(pycurl.URL, address.url)
        self.handle.setopt(pycurl.PROXY, proxy)
        self.handle.unsetopt(
            pycurl.HTTPHEADER
        )  # an empty list would leave the credentials that the last address was asked with
        if address.headers:
            self.handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in address.headers.items()])

    def ended(self, whole: bool) -> BaseException | None:
        """What went wrong, when no more bytes come."""
        if self._error is None and whole:
            self._hand_on()
        return self._error or (None if whole else Unreadable())

    def _write(self, data: bytes) -> int:
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= _PIECE:
            self._hand_on()
        return len(data) if self._error is None else 0  # curl then ends the download

    def _hand_on(self) -> None:
        """Called by curl, which would print what is raised here: so it is kept."""
        try:
            if not self._begun:
                self.reader.began(*_parse_header(b"".join(self._lines)))
                self._begun = True
            if self._waiting:
                self.reader.write(self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces))
                self._pieces.clear()
                self._waiting = 0
        except BaseException as error:
            self._error = error


def _parse_header(header: bytes) -> tuple[str, bool]:
    """An object's ETag, and whether it is none over the bytes. S3: so it is where KMS or a customer's key encrypts.

    Unreadable unless the answer gives the object.
    """
    # A proxy's own may stand before it, the trailers of a chunked one behind it.
    answers = [part for part in _ANSWERS.split(header.strip()) if part.startswith(b"HTTP/")]
    if not answers or answers[-1].split(maxsplit=2)[1:2] != [b"200"]:
        raise Unreadable
    fields = {name.lower(): value.strip() for name, value in _FIELDS.findall(answers[-1])}
    own_keys = fields.get(b"x-amz-server-side-encryption", b"").startswith(b"aws:") or _OWN_KEYS in fields
    return fields.get(b"etag", b"").decode("latin-1").strip('"'), own_keys
