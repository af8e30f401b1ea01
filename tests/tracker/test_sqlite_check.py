"""A path that no MLflow on SQLite can open is named before MLflow is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reprolock.errors import MachineError
from reprolock.tracker.stores.sqlite_check import check
from reprolock.tracker.tracking_uri import Place, sqlite_uri


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        (os.fsdecode(b"caf\xe9"), "has a name that is not UTF-8, which MLflow cannot open"),
        ("/".join(["d" * 120] * 4), "has a path longer than the 500 bytes that SQLite takes"),
    ],
)
def test_a_path_that_cannot_be_opened_is_named_as_it_is(tmp_path: Path, folder: str, sentence: str) -> None:
    file = tmp_path / folder / "mlflow.db"
    with pytest.raises(MachineError) as caught:
        check(Place(sqlite_uri(file), "the default of mlflow.tracking_uri"), file, writing=True)
    assert str(caught.value) == f"{file} (the default of mlflow.tracking_uri) {sentence}"
    assert not file.parent.exists()
