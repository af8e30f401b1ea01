"""The schemas: each field says what it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reprolock.steps.maintenance.schema import schema


def undescribed(document: dict[str, Any]) -> Iterator[str]:
    """Every model and every property of one without a description."""
    for owner, model in (("", document), *document.get("$defs", {}).items()):
        if not model.get("description"):
            yield owner or "the file itself"
        for name, field in model.get("properties", {}).items():
            if not field.get("description"):
                yield f"{owner}.{name}".removeprefix(".")


@pytest.mark.parametrize("name", sorted(schema().keys() - {"commands.schema.json"}))
def test_every_field_says_what_it_means(name: str) -> None:
    document = schema()[name]
    assert len(document["properties"]) > 3
    assert list(undescribed(document)) == []
