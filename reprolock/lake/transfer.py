"""Many objects of one commit, read at the same time. Listed objects in; what became of their bytes out, as they arrive.

1. By plain HTTP, where the lake hands out addresses (see `addresses`): at best of its object store, at twice the rate.
2. Through `Lake.open`, where it does not, or where that failed for an object.

An object whose transfer breaks is read again from its start; one failure that stays ends them all.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, repeat
from typing import Generic, NamedTuple, TypeVar, cast

from reprolock.errors import ReprolockError, ServiceError
from reprolock.lake import faults
from reprolock.lake.addresses import Address, Addressing, ObjectStore, Unreadable
from reprolock.lake.checksum import Meaning, Mismatch, Stream, meaning_of
from reprolock.lake.protocol import Lake, Object
from reprolock.model.uri import LakeURI

TRANSFERS = 16
"""Objects on their way at the same time. A lake in a folder has no waiting to hide: there, one."""
_TRIES = 3
_PAUSE_SECONDS = 1.0
_BEAT_SECONDS = 0.25
_QUEUED = 512
_ADDRESSES = 1000
_ADDRESSED_BYTES = 4 * 2**30  # what a slow line still reads before the addresses expire

T = TypeVar("T")


class Step(NamedTuple, Generic[T]):
    """What happened since the step before: an object was received (or, None, none was yet), and so many bytes came.

    Fewer than none where a transfer broke and its bytes have to come again.
    """

    received: T | None
    bytes: int


Receive = Callable[[Object, Stream, Meaning], T]
"""Called in a transfer's own thread with an object, its bytes, and what its checksum is over, as far as that is
known. Raises Mismatch where the bytes are not those that the listing names."""


def transfer(lake: Lake, place: LakeURI, objects: Sequence[Object], receive: Receive[T]) -> Iterator[Step[T]]:
    """Read objects that were listed, sorted, at `place` (a commit), handing each to `receive`.

    Steps come at least four times a second, so that somebody who watches sees bytes move. PinError where
    an object is gone or damaged, ServiceError when the lake stays away; `receive`'s own errors pass through.
    """
    transfers = _Transfers(lake, place, receive)
    try:
        yield from transfers.run(objects)
    finally:
        transfers.stop()


class _Transfers(Generic[T]):
    def __init__(self, lake: Lake, place: LakeURI, receive: Receive[T]) -> None:
        self._lake = lake
        self._place = place
        self._receive = receive
        self._store = ObjectStore()
        self._jobs: queue.Queue[tuple[Object, Address | None] | None] = queue.Queue(_QUEUED)
        self._results: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._bytes = 0
        self._counting = threading.Lock()
        self._threads: list[threading.Thread] = []

    def run(self, objects: Sequence[Object]) -> Iterator[Step[T]]:
        workers = 1 if self._lake.kind == "git" else min(TRANSFERS, len(objects))
        for work in (lambda: self._feed(objects, workers), *[self._work] * workers):
            # Daemons: one that hangs in a read must not keep an interrupted process alive.
            thread = threading.Thread(target=work, name="transfer", daemon=True)
            thread.start()
            self._threads.append(thread)
        left = len(objects)
        while left:
            try:
                result = self._results.get(timeout=_BEAT_SECONDS)
            except queue.Empty:
                yield Step(None, self._taken())
                continue
            if isinstance(result, BaseException):
                raise result
            left -= 1
            yield Step(result, self._taken())

    def stop(self) -> None:
        """End the threads: at once between two pieces of an object, or not before a silent server's time-out."""
        self._stopped.set()
        with suppress(queue.Empty):
            while True:
                self._jobs.get_nowait()
        with suppress(queue.Full):
            for _ in self._threads:  # wakes those that wait for a job
                self._jobs.put_nowait(None)
        patience = time.monotonic() + 2
        for thread in self._threads:
            thread.join(max(0.0, patience - time.monotonic()))

    def _feed(self, objects: Sequence[Object], workers: int) -> None:
        try:
            for job in chain(self._addressed(objects), repeat(None, workers)):
                self._put(job)
        except _Stopped:
            return
        except BaseException as error:
            self._results.put(error)

    def _put(self, job: tuple[Object, Address | None] | None) -> None:
        while not self._stopped.is_set():
            try:
                return self._jobs.put(job, timeout=_BEAT_SECONDS)
            except queue.Full:
                continue
        raise _Stopped

    def _addressed(self, objects: Sequence[Object]) -> Iterator[tuple[Object, Address | None]]:
        """Each object with its address, where it has one; asked for some at a time."""
        usual = _ADDRESSES
        if objects:
            mean = sum(item.size for item in objects) // len(objects) + 1
            usual = max(TRANSFERS, min(_ADDRESSES, _ADDRESSED_BYTES // mean))
        start, amount = 0, usual
        while start < len(objects) and isinstance(self._lake, Addressing) and self._store.gives:
            some = objects[start : start + amount]
            found = self._found(self._lake, some)
            if not found:
                break
            # The lake looks where the first one stands; those that are far from it come with a later call.
            reached = max(index for index, item in enumerate(some, 1) if item.path in found)
            yield from ((item, found.get(item.path)) for item in some[:reached])
            start += reached
            # Few of many are wanted: ask for less, since every address costs the lake a signature.
            amount = max(TRANSFERS, min(usual, 2 * reached))
        yield from ((item, None) for item in objects[start:])

    def _found(self, lake: Addressing, some: Sequence[Object]) -> dict[str, Address]:
        try:
            found = lake.addresses(self._place.repository, self._place.ref, [item.path for item in some])
        except ReprolockError:
            return {}  # what is wrong will show again, and be said, when the object itself is asked for
        return {address.path: address for address in found}

    def _work(self) -> None:
        while not self._stopped.is_set() and (job := self._jobs.get()) is not None:
            try:
                result: T | BaseException = self._one(*job)
            except _Stopped:
                return
            except BaseException as error:
                result = error
            self._results.put(result)

    def _one(self, item: Object, address: Address | None) -> T:
        meaning: Meaning = "unknown"
        if address is not None and self._store.gives:
            try:
                with self._store.opened(address) as arrival:
                    if address.of_store:
                        meaning = meaning_of(item.checksum, arrival.etag, arrival.encrypted)
                    return self._received(item, arrival.stream, meaning)
            except (Unreadable, Mismatch):
                pass
        place = self._place._replace(path=item.path)
        for attempt in range(1, _TRIES + 1):
            try:
                with self._lake.open(place.repository, place.ref, item.path) as stream:
                    return self._received(item, cast(Stream, stream), meaning)
            except Mismatch:
                raise faults.damaged(place, place.ref) from None
            except ServiceError:
                if attempt == _TRIES or self._stopped.wait(_PAUSE_SECONDS):
                    raise
        raise AssertionError("unreachable")

    def _received(self, item: Object, stream: Stream, meaning: Meaning) -> T:
        watched = _Watched(stream, self._stopped, self._count)
        try:
            return self._receive(item, watched, meaning)
        except BaseException:
            self._count(-watched.bytes)
            raise

    def _count(self, size: int) -> None:
        with self._counting:
            self._bytes += size

    def _taken(self) -> int:
        with self._counting:
            taken, self._bytes = self._bytes, 0
        return taken


class _Stopped(Exception):
    """Nobody waits for the rest."""


class _Watched:
    """A stream that counts what passes, and ends early when nobody waits any more."""

    def __init__(self, stream: Stream, stopped: threading.Event, count: Callable[[int], None]) -> None:
        self._stream = stream
        self._stopped = stopped
        self._count = count
        self.bytes = 0

    def readinto(self, buffer: memoryview) -> int:
        if self._stopped.is_set():
            raise _Stopped
        count = self._stream.readinto(buffer)
        self.bytes += count
        self._count(count)
        return count
