"""Documents that are the same, documents that are not, and what is not a document."""

from __future__ import annotations

import pytest

from reprolock.model.json_compare import compare_json, json_digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a": 1, "b": 2}', b'{"b":2,"a":1}'),
        (b"[1, 1.5, 100]", b"[1.0, 15e-1, 1e2]"),
        (b"[0]", b"[-0.0]"),
        (b'["\\u00e9"]', '["é"]'.encode()),
        (b"[NaN, Infinity]", b"[ NaN,Infinity ]"),
    ],
)
def test_the_same(one: bytes, other: bytes) -> None:
    assert json_digest(one) == json_digest(other)
    assert compare_json(one, other) == []


@pytest.mark.parametrize(
    ("one", "other", "sentence"),
    [
        (b"[1]", b"[true]", "[0] is true, recorded 1"),
        (b"[1]", b'["1"]', '[0] is "1", recorded 1'),
        (b"[null]", b"[]", "[0] is gone, recorded null"),
        (b"{}", b"[]", "the document is [], recorded {}"),
        (b'{"a": {}}', b'{"a": {"b": [1]}}', "a.b is new: [1]"),
        (b'{"runs": [{"x y": 1}]}', b'{"runs": [{"x y": 2}]}', 'runs[0]["x y"] is 2, recorded 1'),
        (b"[1, 2]", b"[2, 1]", "[0] is 2, recorded 1"),
        (b"[9007199254740993]", b"[9007199254740992]", "[0] is 9007199254740992, recorded 9007199254740993"),
        (b"[0]", b"[1e-400]", "[0] is 1e-400, recorded 0"),
        (
            b"[0.1]",
            b"[0.1000000000000000000001]",
            "[0] is 0.1000000000000000000001, recorded 0.1",
        ),
        (
            b"[12345678901234567890.1]",
            b"[12345678901234567890.2]",
            "[0] is 12345678901234567890.2, recorded 12345678901234567890.1",
        ),
        (b"[NaN]", b"[null]", "[0] is null, recorded NaN"),
        (b"[Infinity]", b"[1e308]", f"[0] is {10**308}"[:80] + "…, recorded Infinity"),
        (b'"x"', b'"' + b"y" * 100 + b'"', f'the document is "{"y" * 79}…, recorded "x"'),
    ],
)
def test_different(one: bytes, other: bytes, sentence: str) -> None:
    assert json_digest(one) != json_digest(other)
    assert str(compare_json(one, other, (), 0.0, 0.0)[0]).startswith(sentence[:60])
    if len(sentence) < 80:
        assert str(compare_json(one, other)[0]) == sentence


def test_numbers_within_a_tolerance() -> None:
    one, other = b'{"loss": 0.5, "n": 100, "x": NaN}', b'{"loss": 0.5000001, "n": 101, "x": NaN}'
    assert [each.path for each in compare_json(one, other, rel=1e-6)] == ["n"]
    assert compare_json(one, other, rel=0.01) == []
    assert [each.path for each in compare_json(one, other, abs_=0.5)] == ["n"]
    assert compare_json(b"[Infinity]", b"[1e308]", rel=0.9) != []


@pytest.mark.parametrize(
    ("ignore", "paths"),
    [
        ([], ["meta.time", "runs[0].time", "time"]),
        (["time"], []),
        (["meta.time"], ["runs[0].time", "time"]),
        (["runs.time"], ["meta.time", "time"]),
        (["meta"], ["runs[0].time", "time"]),
        (["nothing"], ["meta.time", "runs[0].time", "time"]),
    ],
)
def test_keys_are_left_out_by_name_or_path(ignore: list[str], paths: list[str]) -> None:
    one = b'{"time": 1, "meta": {"time": 1}, "runs": [{"time": 1, "x": 1}]}'
    other = b'{"time": 2, "meta": {"time": 2}, "runs": [{"time": 2, "x": 1}]}'
    assert [each.path for each in compare_json(one, other, ignore)] == paths
    assert (json_digest(one, ignore) == json_digest(other, ignore)) == (not paths)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b'{"a": 1, "a": 2}', 'no JSON document: the key "a" stands twice in one object'),
        (b"[1e999]", "no JSON document: 1e999 is beyond what a double can hold"),
        (b"[1e99999999999999999999]", "no JSON document: 1e99999999999999999999 is beyond what a double can hold"),
        (b"[1e-99999]", "no JSON document that could be compared: 1e-99999 is too near to 0"),
        (
            b"[1e-99999999999999999999]",
            "no JSON document that could be compared: 1e-99999999999999999999 is too near to 0",
        ),
        (b'{"a":\n\n,}', "no JSON document: Expecting value in line 3"),
        (b'{"a": 1}\n{"a": 2}', "no JSON document: Extra data in line 2"),
        (b"", "no JSON document: Expecting value in line 1"),
        (b"\xff\xfe\xfa", "no JSON document: it is not UTF-8"),
        ("{}".encode("utf-16"), "no JSON document: it is not UTF-8"),
        ("{}".encode("utf-16-le"), "no JSON document: Expecting property name enclosed in double quotes in line 1"),
        (b'"\xed\xa0\x80"', "no JSON document: it is not UTF-8"),
        (b"\xef\xbb\xbf{}", "no JSON document: it begins with a byte order mark"),
        (b"[" * 100_000, "no JSON document that could be compared: it is nested deeper than 200 levels"),
        (b"[" * 300 + b"]" * 300, "no JSON document that could be compared: it is nested deeper than 200 levels"),
    ],
)
def test_what_is_no_document_says_why(data: bytes, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        json_digest(data)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("data", [b'{"time": 1}', b'[{"time": 1}, {"time": 2}]', b'{"a": {"time": 1}, "b": []}'])
def test_a_document_of_which_ignore_leaves_nothing_is_not_compared(data: bytes) -> None:
    with pytest.raises(ValueError, match="^ignore leaves nothing of it to compare$"):
        json_digest(data, ["time"])
    assert json_digest(b'{"a": []}', ["time"]) != json_digest(b"{}", ["time"])


def test_a_documents_digest_is_pinned() -> None:
    assert (
        json_digest(b'{"b": [1.5, null], "a": "x"}')
        == "document:ca2af2e8fd1eb071b54365b0e6d9d9ae679000c3818a3f8d479afe1ee2531f8f"
    )
