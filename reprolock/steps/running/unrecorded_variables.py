"""Scripts that read variables from a file `.env` of the project. It is never part of the code, for it holds secrets; python-dotenv
looks for it in every folder above the script's, and so finds it from a run's folder, while a replay elsewhere does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from reprolock.environment.code.snapshot import Snapshot

_READS = re.compile(r"^[^#\n]*\b(?<!def )(?:load_dotenv|find_dotenv|dotenv_values|read_env)\(", re.MULTILINE)


def unrecorded_variables(code: Snapshot, root: Path) -> Iterator[str]:
    """A sentence on the first such script, where the project has the file. `root` is where the code is."""
    if not (root / ".env").is_file():
        return
    for file in code.files:
        if not file.path.endswith((".py", ".ipynb")):
            continue
        try:
            text = (root / file.path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if found := _READS.search(text):
            where = "" if file.path.endswith(".ipynb") else f":{text.count(chr(10), 0, found.end()) + 1}"
            yield (
                f"{file.path}{where} reads .env, which is no part of a run: what it sets is not recorded, and a replay may not find it; "
                "set it by run.env, or run.pass_env for secrets"
            )
            return
