"""Files of the project that a failed command names, and that are not among the code: data that git ignores, most often.

Where people work they are beside the script; a run's own folder has the code alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path

from reprolock.environment.code.snapshot import Snapshot
from reprolock.model.spec import Spec
from reprolock.model.uri import is_under, with_folders
from reprolock.steps.project.code import scripts_of
from reprolock.steps.project.script_arguments import read_script

_MOST = 3
_SECRETS = ".env"


def missing_files(spec: Spec, code: Snapshot, root: Path) -> Iterator[str]:
    """A sentence for each, three at most. `root` is where the code is, and what the command was started beside."""
    there = {place for path in code.state.files for place in with_folders(path)}
    outputs = [output.path for output in spec.outputs.values()]
    found: dict[str, str] = {}
    for who, folder, texts in _named(spec, code, root):
        for path in _paths(folder, texts, root):
            if path not in there and not any(is_under(path, output) for output in outputs):
                found.setdefault(path, who)
    for path, who in list(sorted(found.items()))[:_MOST]:
        hint = "declare it as a dataset, or name it in run.code"
        if posixpath.basename(path).startswith(_SECRETS):
            hint = "give the command its variables by run.env or run.pass_env"
        yield f"{who} names {path}, which is in the project and not among the code: {hint}"


def _named(spec: Spec, code: Snapshot, root: Path) -> Iterator[tuple[str, str, Iterable[str]]]:
    """Who names something, the folder that it may be relative to, and the texts."""
    values = (value for value in spec.params.values() if isinstance(value, str))
    yield "repro.toml", "", [*spec.run.command[1:], *spec.run.env.values(), *values]
    for _, places in scripts_of(spec.run.command):
        for place in map(posixpath.normpath, places):
            if place in code.state.files:
                try:
                    text = (root / place).read_text(encoding="utf-8")
                except (OSError, ValueError):
                    continue
                yield place, posixpath.dirname(place), read_script(text).texts


def _paths(folder: str, texts: Iterable[str], root: Path) -> Iterator[str]:
    """What of the texts is a file or a folder of the project; `Path("data") / "train.csv"` has two texts for one."""
    likely = {posixpath.normpath(text) for text in texts if text.isprintable() and not text.startswith(("/", "~"))}
    likely -= {text for text in likely if text.startswith("..") or text == "."}
    whole = {text for text in likely if "/" in text or "." in text}
    for text in {*whole, *(f"{word}/{text}" for word in likely - whole if (root / word).is_dir() for text in whole)}:
        for path in {text, posixpath.join(folder, text)}:
            place = root / path
            if any(place.iterdir()) if place.is_dir() else place.exists():
                yield path
