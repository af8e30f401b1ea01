"""Find the folders from which this Python imports though no package is installed there: those of editable installs (`pip
install -e`) and of other `.pth` files."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_OURS = "reprolock"


def linked_folders(packages: Iterable[Path]) -> dict[Path, str]:
    """Each folder that files in `packages` lead to, with the name of the file; the one that holds reprolock is left out."""
    found: dict[Path, str] = {}
    for folder in packages:
        for file in sorted((*folder.glob("*.pth"), *folder.glob("__editable___*_finder.py"))):
            with suppress(OSError, ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                text = file.read_text(encoding="utf-8-sig")
                for place in _of_finder(text) if file.suffix == ".py" else _of_pth(text):
                    linked = (folder / place).resolve()
                    inside = linked.is_relative_to(folder.resolve())
                    if not inside and linked.is_dir() and not (linked / _OURS).is_dir():
                        found.setdefault(linked, file.name)
    return found


def _of_pth(text: str) -> Iterator[str]:
    """The lines that name a folder; others are comments, or are executed."""
    for line in text.splitlines():
        if line.strip() and not line.startswith(("#", "import ", "import\t")):
            yield line.strip()


def _of_finder(text: str) -> Iterator[str]:
    """The folders around the packages of setuptools' finder: `MAPPING: dict[str, str] = {'pkg': '/home/ann/pkg'}`."""
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.AnnAssign) and statement.value and ast.unparse(statement.target) == "MAPPING":
            found = ast.literal_eval(statement.value)
            yield from (str(Path(place).parent) for place in found.values()) if isinstance(found, dict) else ()
