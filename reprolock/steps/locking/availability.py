"""Check before a run that the lake still has what is pinned: the commit and one object of each dataset, no listing.

Before a replay, which is to be evidence, the whole listing.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from reprolock.errors import NotFound, PinError
from reprolock.lake.protocol import Lake
from reprolock.model.digest import summarise
from reprolock.model.lock import DatasetPin
from reprolock.model.workspace import Input
from reprolock.steps.locking.datasets import listing

_AT_ONCE = 8


def check_pins(lake: Lake, pins: Iterable[DatasetPin]) -> None:
    """PinError (exit 4) names the first dataset whose commit, or whose first object, is gone."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done in [pool.submit(_check, lake, pin) for pin in pins]:
            done.result()


def in_place(pins: Iterable[DatasetPin], inputs: Iterable[Input]) -> list[DatasetPin]:
    """The pins that Spark may read in the lake itself, be there a copy on this machine or not."""
    names = {item.name for item in inputs if not item.url.startswith("file:")}
    return [pin for pin in pins if pin.name in names]


def check_listings(lake: Lake, pins: Iterable[DatasetPin]) -> None:
    """PinError (exit 4) names the first dataset of which the lake lists anything else than what is pinned."""
    for pin in pins:
        found = summarise(listing(lake, pin.place, pin.glob), lake.scheme).digest
        if found != pin.digest:
            raise PinError(
                f"dataset {pin.name}: what the lake lists at {pin.resolved} has the digest {found}, pinned is {pin.digest}",
                hint="either what the lake has at this commit was changed, or this is another lake",
            )


def _check(lake: Lake, pin: DatasetPin) -> None:
    place = pin.place
    try:
        commit = lake.resolve(place.repository, pin.commit)
        first = next(listing(lake, place, pin.glob, few=True), None)
        if commit.id == pin.commit and first is not None:
            lake.stat(place.repository, pin.commit, first.path)
            return
    except (NotFound, PinError) as error:
        raise gone(pin, f"which is gone: {error.message}") from None
    raise gone(pin, "and nothing is there")


def gone(pin: DatasetPin, why: str) -> PinError:
    """What a dataset is pinned at is not there any more; `why` ends the sentence."""
    return PinError(
        f"dataset {pin.name} is pinned at {pin.resolved}, {why}",
        hint="restore the commit in the lake",
        owner_hint="`reprolock lock --upgrade` pins what is there now",
    )
