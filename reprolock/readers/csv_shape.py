"""Whether a CSV file's bytes are so regular that every parser sees the same rows: each quote opens or closes a value."""

from __future__ import annotations

from typing import Any

import numpy

from reprolock.readers.csv_settings import Settings

_STEP = 1 << 26
_NEWLINE, _RETURN = ord("\n"), ord("\r")
_MANY = 10_000


def is_regular(data: Any, settings: Settings) -> bool:
    """`data`: bytes from the first row on, as an array; looked at in steps that end with a line."""
    begin = 0
    while begin < len(data):
        end = _line_end(data, min(begin + _STEP, len(data)))
        block = data[begin:end]
        if not (_has_plain_lines(block, settings) and _has_plain_quotes(block, settings)):
            return False
        begin = end
    return True


def _line_end(data: Any, at: int) -> int:
    """The end of the line that `at` is in."""
    while at < len(data):
        found = numpy.flatnonzero(data[at - 1 : at + 65536] == _NEWLINE)
        if len(found):
            return int(at + found[0])
        at += 65536
    return len(data)


def _has_plain_lines(block: Any, settings: Settings) -> bool:
    """Line ends are \\n or \\r\\n, and no line is of blanks alone, which Spark passes over."""
    returns = numpy.flatnonzero(block == _RETURN)
    if len(returns) and (settings.multiline or returns[-1] + 1 == len(block) or (block[returns + 1] != _NEWLINE).any()):
        return False
    starts = numpy.concatenate(([0], numpy.flatnonzero(block == _NEWLINE) + 1))
    starts = starts[starts < len(block)]
    first = block[starts]
    suspects = starts[(first <= 32) & (first != _NEWLINE) & (first != _RETURN)]
    return len(suspects) < _MANY and not any(_is_blank(block, int(start)) for start in suspects)


def _is_blank(block: Any, start: int) -> bool:
    line = block[start : start + 4096].tobytes().partition(b"\n")[0]
    return not line.strip(bytes(range(33)))


def _has_plain_quotes(block: Any, settings: Settings) -> bool:
    if not settings.quote:
        return True
    quotes = numpy.flatnonzero(block == ord(settings.quote))
    if not len(quotes):
        return True
    if len(quotes) % 2:
        return False  # with multiLine a value may span a step; such a file is not taken for regular
    if not settings.multiline:
        newlines = numpy.flatnonzero(block == _NEWLINE)
        if (numpy.searchsorted(quotes, newlines) & 1).any():
            return False
    return _runs_are_plain(block, quotes, settings) and _escapes_are_plain(block, quotes, settings)


def _runs_are_plain(block: Any, quotes: Any, settings: Settings) -> bool:
    """Of each run of quotes: it begins a value, ends one, or stands for quotes inside of one."""
    first = numpy.concatenate(([0], numpy.flatnonzero(numpy.diff(quotes) != 1) + 1))
    last = numpy.concatenate((first[1:] - 1, [len(quotes) - 1]))
    length = last - first + 1
    opens, closes = first % 2 == 0, last % 2 == 1
    empty = 2 if settings.escape else 1  # see csv_lines._quoted
    if settings.escape != settings.quote and (length > numpy.where(opens, empty, 1)).any():
        return False
    before, after = quotes[first[opens]] - 1, quotes[last[closes]] + 1
    bounds = (ord(settings.separator), _NEWLINE)
    begins = (before < 0) | numpy.isin(block[before], bounds)
    after_or_last = numpy.minimum(after, len(block) - 1)
    ends = (after == len(block)) | numpy.isin(block[after_or_last], (*bounds, _RETURN))
    return bool(begins.all() and ends.all())


def _escapes_are_plain(block: Any, quotes: Any, settings: Settings) -> bool:
    """Inside of quotes an escape may stand for itself alone: before a quote or another escape it takes rules."""
    if not settings.escape or settings.escape == settings.quote:
        return True
    escapes = numpy.flatnonzero(block == ord(settings.escape))
    inside = escapes[(numpy.searchsorted(quotes, escapes) & 1) == 1]
    following = block[numpy.minimum(inside + 1, len(block) - 1)]
    return not numpy.isin(following, (ord(settings.escape), ord(settings.quote))).any()
