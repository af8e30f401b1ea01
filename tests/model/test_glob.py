"""Hadoop's globs; what each pattern matches here was compared with org.apache.hadoop.fs.GlobFilter."""

from __future__ import annotations

import pytest

from reprolock.model.glob import is_glob, matches

NAMES = ("a.csv", "b.tsv", "_old.csv", "ab", "a", "b", "^", "a,b", "a{b}", "}", "[a]", "A", "é", "a\nb")


@pytest.mark.parametrize(
    ("glob", "matched"),
    [
        (None, NAMES),
        ("*", NAMES),
        ("*.csv", ("a.csv", "_old.csv")),
        ("[^_]*.csv", ("a.csv",)),
        ("[!_]*.csv", ("a.csv",)),
        ("*.{csv,tsv}", ("a.csv", "b.tsv", "_old.csv")),
        ("{a,{b,c}}*.?sv", ("a.csv", "b.tsv")),
        ("{*.c,b}*sv", ("a.csv", "b.tsv", "_old.csv")),
        ("{[a-b],*{o,l}}*", ("a.csv", "b.tsv", "_old.csv", "ab", "a", "b", "a,b", "a{b}", "a\nb")),
        ("?", ("a", "b", "^", "}", "A", "é")),
        ("[a-b]", ("a", "b")),
        ("a?b", ("a,b", "a\nb")),
        ("a,b", ("a,b",)),
        ("\\[a\\]", ("[a]",)),
        ("a\\{b\\}", ("a{b}",)),
        ("}", ("}",)),
        ("[a^]", ("a", "^")),
    ],
)
def test_names_that_match(glob: str | None, matched: tuple[str, ...]) -> None:
    assert tuple(name for name in NAMES if matches(f"some/folder/{name}", glob)) == matched


@pytest.mark.parametrize(
    ("glob", "message"),
    [
        ("[a", '"[a" has an open "["; write \\[ for the character itself'),
        ("{a,b", '"{a,b" has an open "{"; write \\{ for the character itself'),
        ("a\\", '"a\\" has a backslash before nothing; it escapes only special characters'),
        ("\\d", '"\\d" has a backslash before a d; it escapes only special characters'),
        ("[[]", '"[[]" has a "[" inside of a set; write \\[ for the character itself'),
        ("[]a]", '"[]a]" has a set that is empty or begins with "]"; write \\] for the character itself'),
        ("[^]a]", '"[^]a]" has a set that is empty or begins with "]"; write \\] for the character itself'),
        ("[*]", '"[*]" has a "*" inside of a set, which Hadoop does not take literally'),
        ("[b-a]", '"[b-a]" is not a glob that Hadoop takes: bad character range b-a'),
        ("{a,b}" * 10, f'"{"{a,b}" * 10}" stands for more than 1000 alternatives; write fewer in braces'),
    ],
)
def test_what_is_no_glob(glob: str, message: str) -> None:
    assert not is_glob(glob)
    with pytest.raises(ValueError) as caught:
        matches("a", glob)
    assert str(caught.value) == message
