"""Explain why uv could not resolve the requirements, in words of repro.toml."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from reprolock.environment.python.uv import Complaint
from reprolock.errors import UsageError
from reprolock.model.python_version import is_exact

UNDATED = re.compile(r"`([^`]+)` is missing an upload date")
"""uv's warning about a file, under --exclude-newer."""
_LONG = 240
"""Longer explanations of uv are shortened to their first and their last reason."""
_FOREIGN = re.compile(r"tool\.uv|requires-python|exclude-newer|--[a-z]")
"""A line that speaks of settings and options which reprolock's user does not have."""
_PYTHON_OF_A_FILE = re.compile(r"(\S+?)==(\S+) requires Python (\S+?),? (?:and|we can conclude)")
_NO_WHEEL = re.compile(r"(\S+?)==(\S+) has no usable wheels")
_PYTHON = re.compile(
    r"the requested Python version \(>=([\d.]+)\) does not satisfy Python(\S+) and (\S+?)==(\S+) depends on"
)


def unresolvable_error(complaint: Complaint, python: str) -> UsageError:
    """uv's explanation: what contradicts what as the sentence, uv's whole reasoning as further lines.

    `python` is the version that was asked for, as the lock pins it.
    """
    told = Complaint(
        complaint.head, complaint.causes, tuple(hint for hint in complaint.hints if not _FOREIGN.search(hint))
    )
    lines = tuple(line for line in map(_plain, told.lines[1:]) if not _FOREIGN.search(line))
    if by_address := re.search(r"[Pp]ackage (\S+) was included as a URL dependency", told.text.replace("`", "")):
        return UsageError(
            f"{by_address[1]} is named by address in another package's metadata, and a lock takes only what has a SHA-256",
            hint=f"leave out what needs {by_address[1]} in this way, or ask for a version of it that does not",
        )
    if match := _PYTHON.search(" ".join(lines)):
        return _python_error(match[3], match[4], match[2], python, lines)
    if match := _PYTHON_OF_A_FILE.search(" ".join(lines)):
        return _python_error(match[1], match[2], match[3], python, lines)
    if match := _NO_WHEEL.search(" ".join(lines)):
        return UsageError(
            f"{match[1]} {match[2]} has no wheel, and --no-build allows nothing else",
            problems=lines,
            hint=f"leave out --no-build, or ask for a version of {match[1]} that has wheels",
        )
    if "No solution found" not in told.head:
        sentence = f"uv cannot resolve the requirements: {_plain(told.innermost)}"
    else:
        grounds = re.findall(r"\b[Bb]ecause (.+?),? we can conclude", " ".join(lines))
        if sum(map(len, grounds)) > _LONG:
            grounds = [f"{grounds[0]} …", grounds[-1]]
        sentence = f"the requirements cannot be resolved: {'; '.join(grounds) or _plain(told.innermost)}"
    return UsageError(
        sentence, problems=lines if len(lines) > 1 else (), hint="loosen or change the requirements of [environment]"
    )


def undated_error(files: Sequence[str]) -> UsageError:
    """--as-of, and an index that does not say when its files were uploaded."""
    return UsageError(
        f"--as-of: the package index does not say when {shorten(files)} was uploaded, so what was there then is not known",
        hint="leave out --as-of and pin versions in [environment], or name an index that gives upload times (PEP 700) in UV_DEFAULT_INDEX",
    )


def shorten(files: Sequence[str]) -> str:
    """The first of some names, and how many there are besides."""
    return f"{files[0]} and {len(files) - 1} more" if len(files) > 1 else files[0]


def _python_error(name: str, version: str, asked: str, python: str, lines: Sequence[str]) -> UsageError:
    """A package that does not run on the locked Python, or not on every release of it."""
    if is_exact(python) or not _accepts_some(asked.rstrip(","), python):
        return UsageError(
            f"{name} {version} needs Python {asked}, and the lock is for Python {python}",
            problems=tuple(lines),
            hint=f"change environment.python, or ask for a version of {name} that runs on Python {python}",
        )
    return UsageError(
        f"{name} {version} needs Python {asked}, and Python {python} stands for every release of it, {python}.0 included",
        problems=tuple(lines),
        hint=f'write the release that you have, such as environment.python = "{python}.7", or a range, such as ">={python}.7,<3.{int(python.split(".")[1]) + 1}"',
    )


def _accepts_some(asked: str, python: str) -> bool:
    try:
        specifier = SpecifierSet(asked)
    except InvalidSpecifier:
        return False
    return any(f"{python}.{release}" in specifier for release in range(1, 40))


def _plain(line: str) -> str:
    """A line of uv's without the markup, and without the marker of this Python."""
    return re.sub(r"\{python_full_version < '[\d.]+'\}", "", line.replace("`", "")).strip()
