"""The short form of `make campaign`: fewer mutations, one kill of each kind of step, on the embedded lake."""

from __future__ import annotations

from pathlib import Path

import kills
import mutations
import pytest
from site_ import Site
from table import Row, markdown


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A project with data in its lake, and a lock."""
    made = Site(tmp_path_factory.mktemp("campaign") / "project")
    made.fill()
    return made


def test_mutations_are_read_or_refused(site: Site) -> None:
    rows = mutations.campaign(site, 25, 11)
    assert [row.notes for row in rows] == [[], [], [], []]
    assert [row.tried for row in rows[:3]] == [25, 25, 25]
    assert rows[3].tried > 20  # a change that changes no byte is none


def test_a_kill_loses_nothing(site: Site) -> None:
    row = kills.campaign(site, "embedded lake", 2, 11)
    assert (row.tried, row.notes) == (2, [])


def test_the_table_counts_what_was_noted(tmp_path: Path) -> None:
    row = Row("a part", tried=3)
    row.note("lost", ["one", "two"])
    assert markdown([row]).splitlines()[-1] == "| a part | 3 | 0 | 2 | 0 | 0 |"
