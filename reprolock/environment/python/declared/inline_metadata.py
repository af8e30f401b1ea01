"""Read the packages that a script names for itself in a comment (PEP 723, `# /// script`): `uv run` and pipx take them, a lock does not."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_BLOCK = re.compile(r"(?m)^# /// script$\s(?P<content>(?:^#(?:| .*)$\s)+)^# ///$")
"""As PEP 723 has it, for one type of block."""


def inline_packages(script: str) -> tuple[str, ...]:
    """Their normalised names; none where the comment is not there or is no TOML."""
    block = _BLOCK.search(script)
    if block is None:
        return ()
    lines = (line.removeprefix("#").removeprefix(" ") for line in block["content"].splitlines())
    try:
        declared = tomllib.loads("\n".join(lines)).get("dependencies", ())
    except (ValueError, RecursionError):
        return ()
    names: dict[str, None] = {}
    for text in declared if isinstance(declared, list) else ():
        with suppress(InvalidRequirement, TypeError):
            names[canonicalize_name(Requirement(text).name)] = None
    return tuple(names)
