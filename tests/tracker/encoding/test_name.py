"""What a run is called in MLflow where nobody named it."""

from __future__ import annotations

from reprolock.tracker.encoding.name import NamedRef, telling_name

MAIN = NamedRef("train", "main", "6aa6b3436f5b", False)


def test_what_was_changed_or_what_it_is_made_from() -> None:
    params = {"depth": 3, "model": {"layers": [64, 64]}, "text": "y" * 50, "more": 1}
    assert telling_name({}, params, [MAIN]) == (
        "train main@6aa6b34, depth=3, model.layers=[64, 64], text=yyyyyyyyyyyyyyyyyyy…"
    )
    changed = NamedRef("train", "exp", "6aa6b3436f5b", True)
    assert telling_name({"model.depth": 5}, params, [changed, MAIN]) == "model.depth=5, train=exp"
    assert telling_name({}, {}, []) is None
    assert telling_name({"x": "\x1b[31m" + "é" * 400}, {}, []) == "x=\\x1b[31m" + "é" * 14 + "…"
    assert len(telling_name({f"param{number}": "v" * 40 for number in range(20)}, {}, []) or "") == 120
