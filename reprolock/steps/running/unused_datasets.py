"""Find datasets that are declared and that nothing in the project names: a typing error, or data that is read outside the lock.

Said only where it is sure that neither the command nor the code names them. Where a script could reach them under a name that it
computes, by walking over all of them, or by an address, nothing is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from reprolock.environment.code.snapshot import Snapshot, contents
from reprolock.model.spec import Spec
from reprolock.model.uri import LakeURI

_ANY_NAME = re.compile(
    rb"\.\s*datasets\b|REPROLOCK_CONTEXT|getattr|\b(?:dataset|open_dataset|reprolock\s*\.\s*open)\s*\((?!\s*[\"'])"
)
"""How code reaches a dataset without its name in it. A text with a prefix, such as f"…", is taken for a computed one."""


def unused_datasets(spec: Spec, code: Snapshot, root: Path) -> Iterator[str]:
    """A sentence for each; `root` is where the code is."""
    words = [*spec.run.command, *spec.run.env.values(), json.dumps(spec.params, default=str)]
    left = {name for name in spec.datasets if not any(name in word for word in words)}
    if not left or not any(file.path in spec.run.command for file in code.files):
        return  # what a package's own program reads is not known
    # The script first: where it names them all, no other file is read.
    script_first = sorted(code.files, key=lambda file: file.path not in spec.run.command)
    for _, data in contents(code._replace(files=tuple(script_first)), root):
        if b"\0" in data or _ANY_NAME.search(data):
            return
        left = {name for name in left if not any(text.encode() in data for text in _traces(spec, name))}
        if not left:
            return
    for name in sorted(left):
        yield f'dataset "{name}" is declared and pinned, but neither the command nor the code names it'


def _traces(spec: Spec, name: str) -> tuple[str, ...]:
    """Texts that code has which reads a dataset: its name, or its repository."""
    return name, LakeURI.parse(spec.datasets[name].uri).repository
