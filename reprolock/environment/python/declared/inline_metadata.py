"""Read the packages that a script names for itself in a comment (PEP 723, `# /// script`): `uv run` and pipx take them, a lock does not."""

from __future__ import annotations

import tomllib
from contextlib import suppress

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_FIRST, _LAST = "# /// script", "# ///"
"""As PEP 723 has them, for one type of block."""


def inline_packages(script: str) -> tuple[str, ...]:
    """Their normalised names; none where the comment is not there or is no TOML."""
    lines = [line.removeprefix("#").removeprefix(" ") for line in _block(script)]
    try:
        declared = tomllib.loads("\n".join(lines)).get("dependencies", ())
    except (ValueError, RecursionError):
        return ()
    names: dict[str, None] = {}
    for text in declared if isinstance(declared, list) else ():
        with suppress(InvalidRequirement, TypeError):
            names[canonicalize_name(Requirement(text).name)] = None
    return tuple(names)


def _block(script: str) -> list[str]:
    """The comment's lines: up to the last line that may end it, of those that stand together."""
    block: list[str] | None = None
    for line in [*script.splitlines(), ""]:
        if block is not None and (line == "#" or line.startswith("# ")):
            block.append(line)
        elif block is not None and _LAST in block:
            return block[: len(block) - 1 - block[::-1].index(_LAST)]
        else:
            block = [] if line == _FIRST else None
    return []
