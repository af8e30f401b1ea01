"""What a Spark Connect server answers is foreign: it is written nowhere but where the copy belongs."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import reprolock.engine.tables

pytest.importorskip("pyspark")
FOLDER = Path(reprolock.engine.tables.__file__).parent


class Answers:
    """A session whose server has these objects, whatever it is asked for: no real one answers as the last test needs."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.read = self
        self.rows = [SimpleNamespace(path=path, content=data) for path, data in objects.items()]

    def __getattr__(self, name: str) -> Any:
        return (lambda *_: iter(self.rows)) if name == "toLocalIterator" else (lambda *_: self)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """script.py, beside the modules that it is run with."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("REPROLOCK_CONNECT_SETTINGS", "{}")
    return runpy.run_path(str(FOLDER / "script.py"), run_name="script")


def test_what_is_below_the_address_is_copied(script: dict[str, Any], tmp_path: Path) -> None:
    script["copy"](
        Answers({"s3a://r/c/out/a.json": b"1", "s3a://r/c/out/k=1/b.json": b"2"}),
        "s3a://r/c/out",
        str(tmp_path / "out"),
    )
    assert {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.json")} == {
        "out/a.json": b"1",
        "out/k=1/b.json": b"2",
    }


@pytest.mark.parametrize("path", ["s3a://r/c/stolen.json", "s3a://r/c/out/../../stolen.json", "/etc/stolen.json"])
def test_nothing_is_written_elsewhere(script: dict[str, Any], tmp_path: Path, path: str) -> None:
    with pytest.raises(Exception, match="the server answers with .*, which is not below s3a://r/c/out"):
        script["copy"](Answers({path: b"x"}), "s3a://r/c/out", str(tmp_path / "a" / "b" / "out"))
    assert list(tmp_path.rglob("*.json")) == []
