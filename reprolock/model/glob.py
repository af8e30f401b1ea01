"""Hadoop's globs, as Spark's `pathGlobFilter` matches a file's name by them.

`*` any characters, `?` one, `[ab]`, `[a-c]`, `[^a]` or `[!a]` one of a set, `{a,b}` alternatives, which may nest, and a
backslash takes the next character literally. The rules are those of org.apache.hadoop.fs.GlobPattern.
"""

from __future__ import annotations

import functools
import re
from posixpath import basename

_LITERAL_IN_GLOBS = ".$()|+"
_REGULAR_ESCAPES = re.compile(r"[0-9A-Za-z]")
_MOST_ALTERNATIVES = 1000
"""`{a,b}{c,d}` has four."""


def matches(path: str, glob: str | None) -> bool:
    """Whether the last segment of a path matches; None lets all pass. ValueError for what is no glob."""
    return glob is None or compile_glob(glob).fullmatch(basename(path)) is not None


def is_glob(text: str) -> bool:
    """Whether Hadoop takes it for a glob that means what it says."""
    try:
        compile_glob(text)
    except ValueError:
        return False
    return True


def checked_glob(text: str) -> str:
    """The same text; ValueError where it is no glob."""
    compile_glob(text)
    return text


@functools.lru_cache(maxsize=64)
def compile_glob(glob: str) -> re.Pattern[str]:
    """The regular expression that a whole name must match. ValueError says what is wrong with the glob."""
    try:
        return re.compile(_expression(glob), re.DOTALL)
    except re.error as error:
        raise ValueError(f'"{glob}" is not a glob that Hadoop takes: {error.msg}') from None


def _expression(glob: str) -> str:
    """Character by character, as Hadoop translates it, with groups multiplied out."""
    outer: list[_Group] = []
    group = _Group()
    in_set = False
    characters = iter(enumerate(glob))
    for index, character in characters:
        if character == "\\":
            _, escaped = next(characters, (index, ""))
            group.add(_escaped(glob, escaped))
        elif in_set:
            group.add(_in_set(glob, index, character))
            in_set = character != "]"
        elif character == "[":
            in_set = True
            group.add(character)
        elif character == "{":
            outer.append(group)
            group = _Group()
        elif character == "}" and outer:
            inner, group = group, outer.pop()
            group.add_group(inner, glob)
        elif character == "," and outer:
            group.next_alternative()
        elif character == "*":
            group.add_any()
        else:
            group.add("." if character == "?" else re.escape(character))
    if in_set or outer:
        raise ValueError(
            f'"{glob}" has an open "{"[" if in_set else "{"}"; write \\{"[" if in_set else "{"} for the character itself'
        )
    return "|".join(map(_alternative, group.alternatives))


class _Group:
    """What stands between braces, or the whole: its alternatives, each as the expressions between its `*`, of fixed length each."""

    def __init__(self) -> None:
        self._ended: list[list[str]] = []
        self._open = [[""]]

    @property
    def alternatives(self) -> list[list[str]]:
        return [*self._ended, *self._open]

    def add(self, expression: str) -> None:
        for pieces in self._open:
            pieces[-1] += expression

    def add_any(self) -> None:
        for pieces in self._open:
            pieces.append("")

    def add_group(self, inner: _Group, glob: str) -> None:
        found = inner.alternatives
        if len(found) * len(self._open) > _MOST_ALTERNATIVES:
            raise ValueError(f'"{glob}" stands for more than {_MOST_ALTERNATIVES} alternatives; write fewer in braces')
        self._open = [[*before[:-1], before[-1] + after[0], *after[1:]] for before in self._open for after in found]

    def next_alternative(self) -> None:
        self._ended += self._open
        self._open = [[""]]


def _alternative(pieces: list[str]) -> str:
    """One expression. A `*` is not tried again once the piece behind it was found: the first place of a piece of fixed length is
    as good as any, and a name that is made for it, `aaaa…` for `*a*a*a*b`, would take years."""
    first, *others = pieces
    middle, last = others[:-1], others[-1:]
    return first + "".join(f"(?>.*?{piece})" for piece in middle) + "".join(f".*{piece}" for piece in last)


def _escaped(glob: str, character: str) -> str:
    """Hadoop hands the escape to a regular expression, where letters and digits would mean something else."""
    if not character or _REGULAR_ESCAPES.match(character):
        raise ValueError(
            f'"{glob}" has a backslash before {f"a {character}" if character else "nothing"}; it escapes only special characters'
        )
    return re.escape(character)


def _in_set(glob: str, index: int, character: str) -> str:
    if character == "[":
        raise ValueError(f'"{glob}" has a "[" inside of a set; write \\[ for the character itself')
    if character == "]" and (glob[index - 1] == "[" or glob[index - 2 : index] in ("[^", "[!")):
        raise ValueError(f'"{glob}" has a set that is empty or begins with "]"; write \\] for the character itself')
    if character == "^" and glob[index - 1] != "[":
        return "\\^"
    if character in "{}*?" or (character == "," and _inside_group(glob, index)):
        raise ValueError(f'"{glob}" has a "{character}" inside of a set, which Hadoop does not take literally')
    if character == "!":
        return "^" if glob[index - 1] == "[" else "!"
    return f"\\{character}" if character in f"{_LITERAL_IN_GLOBS}&~#" else character


def _inside_group(glob: str, index: int) -> bool:
    return glob[:index].count("{") > glob[:index].count("}")
