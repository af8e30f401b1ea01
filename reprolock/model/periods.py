"""Durations and periods as repro.toml writes them: `1d12h` in seconds, `10y` in days."""

from __future__ import annotations

import math
import re

DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_PERIOD = re.compile(r"(\d{1,6})([dwy])")
_LONGEST_DAYS = 365_250


def seconds(duration: str) -> int:
    """`1d12h` in seconds, 1000 years at most; 0 for what is not a duration."""
    match = DURATION.fullmatch(duration)
    if not match or not duration:
        return 0
    days, hours, minutes, secs = (int(part or 0) for part in match.groups())
    return min(((days * 24 + hours) * 60 + minutes) * 60 + secs, _LONGEST_DAYS * 86_400)


def days(period: str) -> int:
    """`10y`, `26w`, `90d` in days, a year being 365.25 of them rounded up; 0 for what is not a period of 1 day to 1000 years."""
    match = _PERIOD.fullmatch(period)
    if not match:
        return 0
    number = math.ceil(int(match[1]) * {"d": 1, "w": 7, "y": 365.25}[match[2]])
    return number if number <= _LONGEST_DAYS else 0
