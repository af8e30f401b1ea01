"""Find links of the code whose targets a run's folder will not have: git-annex's, and those to what git ignores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from reprolock.environment.code.snapshot import Snapshot
from reprolock.model.uri import is_under, with_folders


def links_elsewhere(code: Snapshot, root: Path, made: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Each link with what it leads to in the end, both relative to `root`, where the code is.

    `made` are paths that the command makes.
    """
    links = [file.path for file in code.files if file.mode == "120000"]
    there = {place for file in code.files for place in with_folders(file.path)} if links else set()
    for path in links:
        target = os.path.relpath(os.path.realpath(root / path), os.path.realpath(root)).replace(os.sep, "/")
        if target not in {*there, "."} and not any(is_under(target, place) for place in made):
            yield path, target
