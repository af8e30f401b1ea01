"""What an address shows, and where a listing that gives addresses has to start."""

from __future__ import annotations

import pytest

from reprolock.lake.transfer.addresses import Address, just_before


@pytest.mark.parametrize("path", ["a", "train/b", "a/\x01", "x/\ue000", "é"])
def test_just_before(path: str) -> None:
    before = just_before(path)
    assert before.encode() < path.encode()
    assert before > path[:-1]


def test_what_is_shown_of_an_address_is_its_path() -> None:
    assert str(Address("a", "http://secret", {"Authorization": "Basic secret"})) == "Address(path='a')"
