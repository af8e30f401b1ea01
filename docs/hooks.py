"""A hook of MkDocs: pages that the navigation of mkdocs.yml does not place come last in the section of their folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Append what is missing, by name. A section is named as its folder, with a capital letter."""
    docs = Path(config.docs_dir)
    placed = str(config.nav)
    for section in config.nav:
        for title, pages in section.items() if isinstance(section, dict) else ():
            found = (path.relative_to(docs).as_posix() for path in sorted((docs / title.lower()).rglob("*.md")))
            if isinstance(pages, list):
                pages.extend(page for page in found if f"'{page}'" not in placed)
    return config
