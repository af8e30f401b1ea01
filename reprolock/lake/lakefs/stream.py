"""An object of a lakeFS server as a stream of bytes that outlives a broken connection."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from reprolock.errors import ServiceError
from reprolock.lake.lakefs.transport import Refused, Transport


class ObjectStream(io.RawIOBase):
    """An object's bytes as they arrive. A connection that breaks off is taken up again where it broke,
    if the object is still the same one (its ETag says so)."""

    def __init__(self, transport: Transport, place: Sequence[str], query: Mapping[str, str]) -> None:
        self._transport, self._place, self._query = transport, place, query
        self._response = transport.stream(place, query, {})
        self._etag = self._response.headers.get("ETag")
        self._offset = 0

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; the number of bytes, 0 at the end."""
        try:
            data = self._transport.read(self._response, len(buffer))
        except ServiceError:
            self._resume()
            data = self._transport.read(self._response, len(buffer))
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)

    def close(self) -> None:
        """Give back the connection. What was not read is not worth reading: the connection is dropped."""
        if not self.closed:
            self._response.close()
        super().close()

    def _resume(self) -> None:
        self._response.close()
        try:
            response = self._transport.stream(self._place, self._query, {"Range": f"bytes={self._offset}-"})
        except Refused:
            raise self._changed_error() from None
        if response.status != 206 or response.headers.get("ETag") != self._etag:
            response.close()
            raise self._changed_error()
        self._response = response

    def _changed_error(self) -> ServiceError:
        endpoint = self._transport.credentials.endpoint
        return ServiceError(
            f"the connection to {endpoint} broke, and the object has changed meanwhile", hint="try again"
        )
