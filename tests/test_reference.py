"""The generated parts of docs/ are current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reference import DOCS, generated, pages

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_generated_page_is_current(page: Path) -> None:
    assert page.read_text() == generated(page.read_text()), "`make reference` writes it again"


def test_every_variable_of_reprolock_is_described() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "reprolock").rglob("*.py"))
    named = set(re.findall(r"\bREPROLOCK_[A-Z_]*[A-Z]\b", sources)) - _INTERNAL
    shown = (DOCS / "reference" / "variables.md").read_text()
    assert {name for name in named if f"`{name}`" not in shown} == set()


_INTERNAL = {
    "REPROLOCK_BUILD",
    "REPROLOCK_EXECUTOR_VARIABLES",
    "REPROLOCK_BUILD_RECORD",
    "REPROLOCK_COMPLETE",
    "REPROLOCK_S",
}
"""Set by reprolock for itself, or the beginning of a name."""


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_no_code_in_a_table_has_a_backslash_that_readers_would_type(page: Path) -> None:
    r"""GitHub shows `a \| b` in a table as `a | b`, the site as it stands there: both show `&#124;` in <code>."""
    assert re.findall(r"^\|.*(`[^`]*\\\|[^`]*`)", page.read_text(), re.MULTILINE) == []
