"""Read many objects of one commit at the same time, and hand each one's bytes to its receiver as they arrive.

1. By plain HTTP, where the lake hands out addresses: at best of its object store, at twice the rate (`downloads`).
2. Through `Lake.open`, where it does not, or where that failed for an object.

An object whose transfer breaks is read again from its start; one failure that stays ends them all.
"""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Generic, NamedTuple, Protocol, TypeVar

from reprolock.errors import ReprolockError, ServiceError
from reprolock.lake import errors
from reprolock.lake.protocol import Lake, Object
from reprolock.lake.transfer.addresses import Address, Addressing
from reprolock.lake.transfer.curl import Downloads, Store, Unreadable
from reprolock.model.content import Meaning, Mismatch, meaning_of
from reprolock.model.uri import LakeURI

TRANSFERS = 16
"""Objects on their way at the same time; small ones by their addresses are more. A lake in a folder has no waiting to hide: there, one."""
_LANES = (
    2  # threads that read addresses: one is the fastest for small objects, for large ones it does not hash fast enough
)
_SMALL = 2**18
_SMALL_TRANSFERS = 64  # in one thread: the more have come at each turn, the fewer turns
_TRIES = 3
_PAUSE_SECONDS = 1.0
_BEAT_SECONDS = 0.25
_ADDRESSES = 1000
_ADDRESSED_BYTES = 4 * 2**30  # what a slow line still reads before the addresses expire
_CHUNK = 2**18

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Step(NamedTuple, Generic[T]):
    """What happened since the step before: objects were received, and so many bytes came.

    Fewer than none where a transfer broke and its bytes have to come again.
    """

    received: Sequence[T]
    bytes: int


class Receiver(Protocol[T_co]):
    """Takes one object's bytes, in a transfer's own thread. Raises Mismatch where they are not those that the listing names."""

    def write(self, data: bytes) -> object:
        """The next bytes."""
        ...

    def end(self) -> T_co:
        """All bytes have come: what became of them."""
        ...

    def drop(self) -> None:
        """The rest will not come, or what came was refused."""
        ...


Receive = Callable[[Object, Meaning], Receiver[T]]
"""Called with an object whose bytes are about to come, and what its checksum is over, as far as that is known."""


def transfer(lake: Lake, place: LakeURI, objects: Sequence[Object], receive: Receive[T]) -> Iterator[Step[T]]:
    """Read objects that were listed, sorted, at `place` (a commit), each into what `receive` makes for it.

    Steps come at least four times a second, so that a user sees bytes move. PinError where
    an object is gone or damaged, ServiceError when the lake stays away; a receiver's own errors pass through.
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
        self._store = Store()
        self._addressed: queue.Queue[tuple[Object, Address] | None] = queue.Queue(_ADDRESSES)
        self._asked: queue.SimpleQueue[tuple[Object, Meaning, bool] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[list[T] | BaseException] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._bytes = 0
        self._askers = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def run(self, objects: Sequence[Object]) -> Iterator[Step[T]]:
        if isinstance(self._lake, Addressing):
            mean = sum(item.size for item in objects) // (len(objects) or 1) + 1
            lanes, transfers = (1, _SMALL_TRANSFERS) if mean < _SMALL else (_LANES, TRANSFERS // _LANES)
            amount = max(TRANSFERS, min(_ADDRESSES, _ADDRESSED_BYTES // mean))
            self._start(self._address, self._lake, objects, amount, lanes)
            for _ in range(lanes):
                self._start(self._download, transfers)
        else:
            for item in objects:
                self._ask(item)
        left = len(objects)
        while left:
            try:
                result = self._results.get(timeout=_BEAT_SECONDS)
            except queue.Empty:
                yield Step((), self._slots_taken())
                continue
            if isinstance(result, BaseException):
                raise result
            left -= len(result)
            yield Step(result, self._slots_taken())

    def stop(self) -> None:
        """End the threads: at once, or, of those that ask the lake itself, not before a silent server's time-out."""
        self._stopped.set()
        for _ in range(self._askers):  # wakes those that wait for a job
            self._asked.put(None)
        patience = time.monotonic() + 2
        for thread in self._threads:
            if thread.ident is None:  # a Ctrl-C came before it was started
                continue
            thread.join(max(0.0, patience - time.monotonic()))

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        def guarded() -> None:
            try:
                work(*arguments)
            except _Stopped:
                pass
            except BaseException as error:
                self._results.put(error)

        # Daemons: one that hangs in a read must not keep an interrupted process alive.
        thread = threading.Thread(target=guarded, name="transfer", daemon=True)
        self._threads.append(thread)
        thread.start()

    # by addresses
    def _address(self, lake: Addressing, objects: Sequence[Object], usual: int, lanes: int) -> None:
        """Find each object's address, some at a time, since they hold for minutes only."""
        start, amount = 0, usual
        while start < len(objects) and self._store.gives:
            some = objects[start : start + amount]
            found = self._find_addresses(lake, some)
            if not found:
                break
            # The lake looks where the first one stands; those that are far from it come with a later call.
            reached = max(index for index, item in enumerate(some, 1) if item.path in found)
            for item in some[:reached]:
                if item.path in found:
                    self._queue((item, found[item.path]))
                else:
                    self._ask(item)
            start += reached
            # Few of many are wanted: ask for less, since every address costs the lake a signature.
            amount = max(TRANSFERS, min(usual, 2 * reached))
        for item in objects[start:]:
            self._ask(item)
        for _ in range(lanes):
            self._queue(None)

    def _find_addresses(self, lake: Addressing, some: Sequence[Object]) -> dict[str, Address]:
        try:
            found = lake.addresses(self._place.repository, self._place.ref, [item.path for item in some])
        except ReprolockError:
            return {}  # what is wrong will show again, and be said, when the object itself is asked for
        return {address.path: address for address in found}

    def _queue(self, job: tuple[Object, Address] | None) -> None:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                return self._addressed.put(job, timeout=_BEAT_SECONDS)
        raise _Stopped

    def _download(self, most: int) -> None:
        """One lane: as many downloads at a time as it may have, until there is nothing left to start."""
        downloads: Downloads[_Arrival[T]] = Downloads(most, self._store)
        try:
            more = True
            while (more or downloads.busy) and not self._stopped.is_set():
                more = more and self._fill(downloads)
                ended = [self._finish(*end) for end in downloads.turn(_BEAT_SECONDS)]
                if received := list(chain.from_iterable(ended)):
                    self._results.put(received)
        finally:
            for arrival in downloads.close():
                arrival.drop()

    def _fill(self, downloads: Downloads[_Arrival[T]]) -> bool:
        """Start what there is to start; whether more may come."""
        while not downloads.full:
            try:
                job = self._addressed.get(block=not downloads.busy, timeout=_BEAT_SECONDS)
            except queue.Empty:
                return True
            if job is None:
                return False
            item, address = job
            try:
                if self._store.gives:
                    downloads.start(address, _Arrival(item, self._receive, self._count, of_store=address.of_store))
                    continue
            except Unreadable:
                pass
            self._ask(item)
        return True

    def _finish(self, arrival: _Arrival[T], error: BaseException | None) -> Sequence[T]:
        """What came of it, if anything did."""
        try:
            if error is None:
                return (arrival.end(),)
            arrival.drop()
            raise error
        except (Unreadable, Mismatch) as reason:
            self._ask(arrival.item, arrival.meaning, doubted=isinstance(reason, Mismatch))
        except BaseException as failure:
            self._results.put(failure)
        return ()

    # through the lake
    def _ask(self, item: Object, meaning: Meaning = "unknown", *, doubted: bool = False) -> None:
        """`doubted`: the store gave other bytes, which a proxy may have made."""
        self._asked.put((item, meaning, doubted))
        with self._lock:
            if self._askers == (1 if self._lake.kind == "git" else TRANSFERS):
                return
            self._askers += 1
        self._start(self._answer)

    def _answer(self) -> None:
        while not self._stopped.is_set() and (job := self._asked.get()) is not None:
            self._results.put([self._one(*job)])

    def _one(self, item: Object, meaning: Meaning, doubted: bool) -> T:
        place = self._place._replace(path=item.path)
        ends: list[int | None] = []
        for attempt in range(1, _TRIES + 1):
            arrival = _Arrival(item, self._receive, self._count, meaning=meaning)
            try:
                with self._lake.open(place.repository, place.ref, item.path) as stream:
                    arrival.began()
                    shutil.copyfileobj(stream, arrival, _CHUNK)
                    return arrival.end()
            except Mismatch:
                raise errors.damaged(place, place.ref) from None
            except ServiceError:
                # A lake never comes to the end of an object of which its store has fewer bytes than the listing names.
                ends.append(arrival.received)
                same_end = len(ends) == _TRIES and len(set(ends)) == 1
                if arrival.received is not None and (doubted or same_end):
                    raise errors.damaged(place, place.ref) from None
                if attempt == _TRIES or self._stopped.wait(_PAUSE_SECONDS):
                    raise
            finally:
                arrival.drop()
        raise AssertionError("unreachable")

    # what arrivals tell
    def _count(self, size: int) -> None:
        if self._stopped.is_set() and size > 0:
            raise _Stopped
        with self._lock:
            self._bytes += size

    def _slots_taken(self) -> int:
        with self._lock:
            taken, self._bytes = self._bytes, 0
        return taken


class _Stopped(Exception):
    """The caller no longer waits for the rest."""


class _Arrival(Generic[T]):
    """One object on its way to its receiver: counts its bytes, and ends early when the caller no longer waits."""

    def __init__(
        self,
        item: Object,
        receive: Receive[T],
        count: Callable[[int], None],
        *,
        meaning: Meaning = "unknown",
        of_store: bool = False,
    ) -> None:
        self.item = item
        self.meaning: Meaning = meaning
        self._of_store = of_store
        self._receive = receive
        self._count = count
        self._bytes = 0
        self._receiver: Receiver[T] | None = None

    def began(self, etag: str = "", encrypted: bool = False) -> None:
        """Bytes will come. Of an object store's ETag can be told what the checksum is over; the lake's own repeats it."""
        if self._of_store:
            self.meaning = meaning_of(self.item.checksum, self.item.size, etag, encrypted)
        self._receiver = self._receive(self.item, self.meaning)

    @property
    def received(self) -> int | None:
        """How many bytes have come; None before an answer has."""
        return self._bytes if self._receiver else None

    def write(self, data: bytes) -> None:
        """The next bytes."""
        assert self._receiver
        self._count(len(data))
        self._bytes += len(data)
        self._receiver.write(data)

    def end(self) -> T:
        """What became of the bytes."""
        assert self._receiver
        try:
            result = self._receiver.end()
        except BaseException:
            self.drop()
            raise
        self._receiver = None
        return result

    def drop(self) -> None:
        """Its bytes do not count, unless it has ended well."""
        if self._receiver:
            self._receiver.drop()
            self._receiver = None
            self._count(-self._bytes)
